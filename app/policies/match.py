"""Which policy covers a target."""

from collections.abc import Mapping

from app.domain.container import Listed
from app.policies.membership import COMPOSE
from app.policies.spec import Mode, Policy, Rulebook


def policy_for(rulebook: Rulebook, labels: Mapping[str, str], alert: str, *, prefix: str) -> Policy:
    """
    Choose the policy of a remediation that an alert opens.

    The container's label ``relevo.policy`` names one; else the first that matches its labels
    and the alert's name; else the defaults.
    """
    wanted = labels.get(f"{prefix}.policy")
    if wanted == rulebook.defaults.name:
        return rulebook.defaults
    for _, policy in rulebook.policies:
        if wanted is not None and policy.name == wanted:
            return policy
    for match, policy in rulebook.policies:
        if match.alerts and alert not in match.alerts:
            continue
        if all(labels.get(name) == value for name, value in match.labels.items()):
            return policy
    return rulebook.defaults


def policies_for(
    rulebook: Rulebook, labels: Mapping[str, str], *, prefix: str
) -> tuple[Policy, ...]:
    """List the policies that some alert may lead to, the defaults last: at least one."""
    wanted = labels.get(f"{prefix}.policy")
    every = (*(policy for _, policy in rulebook.policies), rulebook.defaults)
    named = tuple(policy for policy in every if wanted is not None and policy.name == wanted)
    if named:
        return named
    fitting = (
        policy
        for match, policy in rulebook.policies
        if all(labels.get(name) == value for name, value in match.labels.items())
    )
    return (*fitting, rulebook.defaults)


def policy_named(rulebook: Rulebook, name: str) -> Policy:
    """Find the policy of an open remediation; one that left the file falls to the defaults."""
    for _, policy in rulebook.policies:
        if policy.name == name:
            return policy
    return rulebook.defaults


def max_instances(policy: Policy, labels: Mapping[str, str], *, prefix: str) -> int:
    """Tell how many instances a group may have: the label wins where it is a number."""
    label = labels.get(f"{prefix}.max-instances", "")
    # isascii: "²".isdecimal() is False but Arabic digits pass it, and nobody means those.
    if label.isascii() and label.isdecimal() and len(label) < 5:
        return max(1, int(label))
    return policy.scale_out.max_instances


def incarnation(listed: Listed) -> str:
    """
    Tell what a container was made from.

    A new image or compose configuration is a new incarnation: its failures start anew.
    """
    return f"{listed.image_id}/{listed.labels.get(f'{COMPOSE}config-hash', '')}"


def most_careful(*modes: Mode) -> Mode:
    """Observe as soon as one of them says so."""
    return Mode.OBSERVE if Mode.OBSERVE in modes else Mode.ENFORCE
