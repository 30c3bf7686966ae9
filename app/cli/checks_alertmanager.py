"""Alertmanager, asked by its own API: does what fires reach Relevo, and people as well?"""

import re
from collections.abc import Collection, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from app.adapters.alertmanager_mutes import may_mute
from app.adapters.alertmanager_routes import UnreadableRoutes, read_configuration, ways
from app.adapters.join_files import WEBHOOK
from app.adapters.monitoring import AboutAlertmanager, Silence
from app.cli.checks_prometheus import WATCHDOG, Evidence
from app.cli.finding import Check, finding, ok, warning
from app.errors import SourceUnavailable

_CONNECT: Final = "relevo connect --apply adds it"
#: Where no rule of theirs is known, one of ours is followed.
_SHIPPED: Final = {"alertname": "ContainerHighCPU", "severity": "critical"}
_MOST: Final = 20


async def look(
    alertmanager: AboutAlertmanager, receiver: str, containers: Collection[str], seen: Evidence
) -> list[Check]:
    """
    Look at all of it.

    :param receiver: the name of Relevo's
    :param containers: names of those that have opted in
    """
    try:
        text = await alertmanager.configuration()
        configuration = read_configuration(text)
        checks = [ok("alertmanager", f"{alertmanager.url} answers")]
        counted = await alertmanager.failed_webhooks()
        checks += receiver_checks(configuration, receiver, counted)
        checks += _routes(configuration, receiver, containers, seen)
        if may_mute(text, receiver):
            checks.append(
                finding(
                    "mutes",
                    f"the route to {receiver} has mute or active time intervals: at such times "
                    "Relevo is told nothing, and pulls open nothing at any time",
                    "take mute_time_intervals and active_time_intervals off that route, and off "
                    "those above it; pause Relevo instead (relevo pause --for 2h)",
                )
            )
        checks += _silences(await alertmanager.silences(), containers, seen)
        checks += await _watchdog(alertmanager, seen)
        checks += _failures(*counted)
        return checks
    except UnreadableRoutes as exc:
        return [finding("routes", str(exc), "amtool config routes test says where they lead")]
    except SourceUnavailable as exc:
        start = "start it, or set RELEVO_ALERTMANAGER_URL to where it is"
        return [finding("alertmanager", str(exc), start)]


def receiver_checks(
    configuration: Mapping[str, Any], name: str, counted: tuple[float, float]
) -> list[Check]:
    """
    Look at Relevo's receiver.

    :param counted: webhook notifications that were sent since its start, and that failed
    """
    ours = next((r for r in configuration.get("receivers") or () if r.get("name") == name), None)
    if ours is None:
        gone = f"there is no receiver {name}"
        return [finding("receiver", gone, f"{_CONNECT}; or set RELEVO_ALERTMANAGER_RECEIVER")]
    hooks = ours.get("webhook_configs") or ()
    checks = []
    if any(str(hook.get("send_resolved", "true")).lower() == "false" for hook in hooks):
        off = f"the receiver {name} is not told of what is over"
        checks.append(finding("receiver", off, "set send_resolved: true"))
    urls = [str(hook.get("url", "")) for hook in hooks]
    known = [urlsplit(url) for url in urls if url.rstrip("/").endswith(WEBHOOK)]
    if known:
        hosts = " and ".join(one.netloc.rpartition("@")[2] for one in known)
        return checks or [ok("receiver", f"{name} leads to Relevo's webhook at {hosts}")]
    if not any("secret" in url or url == "" for url in urls):
        wrong = f"the receiver {name} does not lead to Relevo's webhook"
        return [*checks, finding("receiver", wrong, f"its url must end with {WEBHOOK}")]
    # Newer ones hide the address: then only what was delivered tells something.
    sent, failed = counted
    proof = "relevo connect --test TARGET sends an alert the whole way"
    if sent > failed:
        delivered = f"{sent - failed:g} webhook notifications were delivered, to Relevo perhaps"
        return [*checks, ok("receiver", f"{name}: its address is hidden; {delivered} ({proof})")]
    return [*checks, warning("receiver", f"the address of {name} is hidden, nothing proven", proof)]


def _routes(
    configuration: Mapping[str, Any], receiver: str, containers: Collection[str], seen: Evidence
) -> list[Check]:
    followed = [
        (alert, {way.receiver for way in ways(configuration["route"], alert)})
        for alert in _alerts(containers, seen)
    ]
    reached = sum(receiver in found for _, found in followed)
    # Where some of their rules reach it, the others may be meant for people alone.
    say = warning if reached else finding
    checks = []
    for alert, found in followed:
        shown = f"{alert['alertname']} of {alert.get('name', 'a container')}"
        if receiver not in found:
            away = f"no route leads {shown} to {receiver}: it goes to {', '.join(sorted(found))}"
            before = f"a route to {receiver} before yours, with continue: true; {_CONNECT}"
            checks.append(say("routes", away, before))
        elif found == {receiver}:
            alone = f"{shown} reaches {receiver} and nobody else"
            more = "set continue: true there, and add a last route without matchers for people"
            checks.append(warning("routes", alone, more))
    if reached:
        checks.append(ok("routes", f"{reached} of {len(followed)} alerts reach {receiver}"))
    # One message per fault: a hundred containers have the same one.
    return list({(one.level, _shape(one.said)): one for one in checks}.values())


def _shape(said: str) -> str:
    return re.sub(r" of \S+", "", said)


def _alerts(containers: Collection[str], seen: Evidence) -> list[dict[str, str]]:
    """Make the labels that alerts on these containers would have."""
    rules = [
        ({"alertname": rule.name, **rule.labels}, rule.names_by)
        for rule in seen.rules
        if rule.names_by is not None and rule.blind is None
    ] or [(dict(_SHIPPED), "name")]
    engine = {"engine": seen.engine} if seen.engine else {}
    return [
        {**seen.external, **engine, **labels, str(names_by): name}
        for labels, names_by in rules
        if "{{" not in "".join(labels.values())
        for name in sorted(containers or ("CONTAINER",))[:_MOST]
    ]


def _silences(silences: list[Silence], containers: Collection[str], seen: Evidence) -> list[Check]:
    checks = []
    for silence in silences:
        hit = next((a for a in _alerts(containers, seen) if _silenced(silence, a)), None)
        if hit is not None:
            said = f"{hit['alertname']} is silenced by {silence.createdBy} until {silence.endsAt}"
            checks.append(warning("silences", said, f"amtool silence expire {silence.id}"))
    return checks


def _silenced(silence: Silence, labels: Mapping[str, str]) -> bool:
    for one in silence.matchers:
        given = labels.get(one.name, "")
        try:
            fits = re.fullmatch(one.value, given) is not None if one.isRegex else one.value == given
        except re.error:
            return False
        if fits is not one.isEqual:
            return False
    return True


async def _watchdog(alertmanager: AboutAlertmanager, seen: Evidence) -> list[Check]:
    if await alertmanager.alerts(name=WATCHDOG):
        return [ok("watchdog", "alerts of Prometheus arrive")]
    if not seen.has_watchdog:
        return []  # told with the rules
    return [
        finding(
            "watchdog",
            f"{WATCHDOG} fires in Prometheus and is not here: its alerts do not arrive",
            "alerting.alertmanagers in prometheus.yml must name this Alertmanager (after a reload "
            "it takes up to a minute)",
        )
    ]


def _failures(sent: float, failed: float) -> list[Check]:
    if not failed:
        return []
    said = f"{failed:g} of {sent:g} webhook notifications have failed since its start"
    fix = (
        "its log says why; 401: credentials_file must hold a token of RELEVO_TOKEN_INGEST as "
        "Relevo has it; connection refused: the receiver's url"
    )
    return [(finding if failed == sent else warning)("webhook", said, fix)]
