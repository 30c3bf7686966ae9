"""Which policy covers a target, and what its labels may still say."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.policies.match import (
    incarnation,
    max_instances,
    most_careful,
    policy_for,
    policy_named,
)
from app.policies.spec import Match, Mode, Policy, Rulebook, ScaleOutRules
from tests.builders import listed

SERVICE = "com.docker.compose.service"
BOOK = Rulebook(
    policies=(
        (Match(labels={SERVICE: "web"}, alerts=("ContainerHighCPU",)), Policy(name="web-cpu")),
        (Match(labels={SERVICE: "web"}), Policy(name="web")),
        (Match(labels={SERVICE: "db", "tier": "1"}), Policy(name="first-tier")),
        (Match(alerts=("ContainerHighMemory",)), Policy(name="memory")),
    )
)
ANYTHING = Rulebook(policies=((Match(), Policy(name="all")), (Match(), Policy(name="late"))))


@pytest.mark.parametrize(
    ("labels", "alert", "expected"),
    [
        pytest.param({SERVICE: "web"}, "ContainerHighCPU", "web-cpu", id="label-and-alert-match"),
        pytest.param({SERVICE: "web"}, "ContainerHighMemory", "web", id="the-first-match-wins"),
        pytest.param({SERVICE: "web"}, "", "web", id="no-alert-yet"),
        pytest.param({SERVICE: "db"}, "Other", "default", id="one-of-two-labels-is-not-enough"),
        pytest.param({SERVICE: "db", "tier": "1"}, "Other", "first-tier", id="both-labels"),
        pytest.param({SERVICE: "db", "tier": "2"}, "Other", "default", id="another-value"),
        pytest.param({}, "ContainerHighMemory", "memory", id="an-alert-alone"),
        pytest.param({}, "containerhighmemory", "default", id="names-of-alerts-have-their-case"),
        pytest.param({}, "ContainerHighMemoryToo", "default", id="no-prefix-match"),
        pytest.param({}, "Other", "default", id="nothing-matches"),
        pytest.param({"relevo.policy": "memory"}, "Other", "memory", id="the-label-names-it"),
        pytest.param(
            {"relevo.policy": "memory", SERVICE: "web"},
            "ContainerHighCPU",
            "memory",
            id="the-label-beats-every-match",
        ),
        pytest.param(
            {"relevo.policy": "gone", SERVICE: "web"}, "", "web", id="a-label-nobody-knows-is-mute"
        ),
        pytest.param(
            {"relevo.policy": "default", SERVICE: "web"}, "", "default", id="the-label-may-opt-out"
        ),
        pytest.param({"heal.policy": "memory"}, "Other", "default", id="another-prefix"),
    ],
)
def test_chooses_a_policy(labels: dict[str, str], alert: str, expected: str) -> None:
    assert policy_for(BOOK, labels, alert, prefix="relevo").name == expected


def test_the_prefix_of_labels_is_configurable() -> None:
    labels = {"heal.policy": "memory", "heal.max-instances": "7"}

    assert policy_for(BOOK, labels, "Other", prefix="heal").name == "memory"
    assert max_instances(Policy(), labels, prefix="heal") == 7


def test_an_empty_match_covers_everything() -> None:
    assert policy_for(ANYTHING, {}, "Whatever", prefix="relevo").name == "all"


@pytest.mark.parametrize(
    ("name", "expected"), [("web", "web"), ("default", "default"), ("gone", "default")]
)
def test_an_open_remediation_keeps_its_policy_by_name(name: str, expected: str) -> None:
    assert policy_named(BOOK, name).name == expected


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        pytest.param(None, 3, id="no-label"),
        pytest.param("5", 5, id="a-number"),
        pytest.param("1", 1, id="one"),
        pytest.param("0", 1, id="the-original-itself-stays"),
        pytest.param("9999", 9999, id="four-digits"),
        pytest.param("10000", 3, id="five-digits-are-a-slip"),
        pytest.param("", 3, id="empty"),
        pytest.param("-1", 3, id="negative"),
        pytest.param("+5", 3, id="a-sign"),
        pytest.param("5.0", 3, id="a-fraction"),
        pytest.param(" 5", 3, id="a-blank"),
        pytest.param("٣", 3, id="digits-beyond-ascii"),
        pytest.param("²", 3, id="superscript"),
        pytest.param("many", 3, id="a-word"),
    ],
)
def test_the_label_wins_where_it_is_a_number(label: str | None, expected: int) -> None:
    labels = {} if label is None else {"relevo.max-instances": label}

    assert max_instances(Policy(), labels, prefix="relevo") == expected


@given(label=st.text(max_size=8), default=st.integers(min_value=1, max_value=50))
def test_a_label_never_takes_the_last_instance(label: str, default: int) -> None:
    policy = Policy(scale_out=ScaleOutRules(max_instances=default))

    assert 1 <= max_instances(policy, {"relevo.max-instances": label}, prefix="relevo") < 10_000


@pytest.mark.parametrize(
    ("change", "is_new"),
    [
        pytest.param({}, False, id="the-same-again"),
        pytest.param({"id": "f" * 64}, False, id="re-created"),
        pytest.param({"name": "web2"}, False, id="renamed"),
        pytest.param({"image": "shop:latest"}, False, id="another-tag-of-the-same-image"),
        pytest.param({"image_id": "sha256:new"}, True, id="a-new-image"),
        pytest.param(
            {"labels": {"com.docker.compose.config-hash": "2"}}, True, id="a-new-configuration"
        ),
        pytest.param(
            {"labels": {"com.docker.compose.config-hash": "1", "x": "y"}},
            False,
            id="another-label",
        ),
    ],
)
def test_a_new_image_or_configuration_is_a_new_incarnation(
    change: dict[str, object], is_new: bool
) -> None:
    before = listed(labels={"com.docker.compose.config-hash": "1"})
    after = replace(before, **change)  # type: ignore[arg-type]

    assert (incarnation(after) != incarnation(before)) is is_new


@pytest.mark.parametrize(
    ("modes", "expected"),
    [
        ((), Mode.ENFORCE),
        ((Mode.ENFORCE, Mode.ENFORCE), Mode.ENFORCE),
        ((Mode.ENFORCE, Mode.OBSERVE), Mode.OBSERVE),
        ((Mode.OBSERVE, Mode.ENFORCE, Mode.ENFORCE), Mode.OBSERVE),
    ],
)
def test_the_most_careful_mode_wins(modes: tuple[Mode, ...], expected: Mode) -> None:
    assert most_careful(*modes) is expected
