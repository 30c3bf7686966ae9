"""Whether the target is ill: notices, the API, and who is alive to tell."""

from datetime import timedelta
from typing import Any

import pytest

from app.domain.alert import AlertStatus, ListedState
from app.domain.observation import Symptom
from app.policies.spec import Patience
from app.policies.symptom import (
    Evidence,
    Pulled,
    Unreachable,
    newly_listed,
    pipeline_doubt,
    sample_doubt,
    sickness,
)
from tests.builders import START, alert, at, known, listed_alert

EXPIRY = timedelta(hours=8)
RESOLVED = alert(status=AlertStatus.RESOLVED)
SUPPRESSED = listed_alert(ListedState.SUPPRESSED)
OTHER = listed_alert(fingerprint="f2")


def judge(seconds: float = 60, **evidence: Any) -> Symptom:
    return sickness(Evidence(**evidence), now=at(seconds), expiry=EXPIRY).symptom


@pytest.mark.parametrize(
    ("evidence", "symptom"),
    [
        # no API is configured: the notices are all there is
        ({"known": (known(),), "pulled": None}, Symptom.ACTIVE),
        ({"known": (known(alert=RESOLVED),), "pulled": None}, Symptom.ABSENT),
        ({"known": (), "pulled": None}, Symptom.ABSENT),
        # the API lists it
        ({"known": (known(),), "pulled": Pulled(on_source=(listed_alert(),))}, Symptom.ACTIVE),
        ({"known": (), "pulled": Pulled(on_source=(listed_alert(),))}, Symptom.ACTIVE),
        ({"known": (known(),), "pulled": Pulled(on_source=(SUPPRESSED,))}, Symptom.SUPPRESSED),
        ({"known": (), "pulled": Pulled(on_source=(SUPPRESSED, OTHER))}, Symptom.ACTIVE),
        ({"known": (), "pulled": Pulled(on_clones=(listed_alert(),))}, Symptom.ACTIVE),
        # the API listed it once and does no more: it is the API's to tell, not the notice's
        ({"known": (known(listed=True),), "pulled": Pulled()}, Symptom.ABSENT),
        ({"known": (known(listed=True),), "pulled": Pulled(dead="no watchdog")}, Symptom.UNKNOWN),
        # posted by hand, never listed: its own last notice, however the pipeline is
        ({"known": (known(),), "pulled": Pulled()}, Symptom.ACTIVE),
        ({"known": (known(),), "pulled": Pulled(dead="no watchdog")}, Symptom.ACTIVE),
        ({"known": (known(),), "pulled": Pulled(), "stale": "old"}, Symptom.ACTIVE),
        ({"known": (known(alert=RESOLVED),), "pulled": Pulled(dead="x")}, Symptom.ABSENT),
        # old samples prove nothing, neither illness nor health
        ({"known": (known(listed=True),), "pulled": Pulled(), "stale": "old"}, Symptom.UNKNOWN),
        (
            {"known": (), "pulled": Pulled(on_source=(listed_alert(),)), "stale": "old"},
            Symptom.UNKNOWN,
        ),
        # configured, and silent
        ({"known": (known(),), "pulled": Unreachable("refused")}, Symptom.UNKNOWN),
        ({"known": (known(listed=True),), "pulled": Unreachable("refused")}, Symptom.UNKNOWN),
        ({"known": (known(alert=RESOLVED),), "pulled": Unreachable("x")}, Symptom.ABSENT),
    ],
)
def test_has_three_values_and_doubt(evidence: dict[str, Any], symptom: Symptom) -> None:
    assert judge(**evidence) is symptom


@pytest.mark.parametrize(
    ("hours", "symptom"), [(7.99, Symptom.ACTIVE), (8, Symptom.ABSENT), (9, Symptom.ABSENT)]
)
def test_a_posted_alert_expires_after_its_last_notice(hours: float, symptom: Symptom) -> None:
    assert judge(hours * 3600, known=(known(),), pulled=Pulled()) is symptom


def test_one_alert_of_two_keeps_it_ill() -> None:
    two = (known(alert=RESOLVED), known(alert=alert(fingerprint="f2")))

    assert judge(known=two, pulled=None) is Symptom.ACTIVE


def test_an_alert_on_a_clone_is_a_need_but_not_the_sources() -> None:
    by_api = Evidence(known=(), pulled=Pulled(on_clones=(listed_alert(),)))
    by_notice = Evidence(known=(known(),), on_clones=frozenset({"f1"}), pulled=None)

    for evidence in (by_api, by_notice):
        sick = sickness(evidence, now=at(1), expiry=EXPIRY)
        assert (sick.symptom, sick.on_source) == (Symptom.ACTIVE, False)


def test_the_delay_counts_from_the_first_notice_received() -> None:
    later = known(alert=alert(fingerprint="f2"), received_at=at(50), notified_at=at(50))

    sick = sickness(Evidence(known=(later, known()), pulled=None), now=at(60), expiry=EXPIRY)

    assert sick.since == START


@pytest.mark.parametrize(
    ("written", "settle"),
    [
        (["4m", "6m"], timedelta(minutes=6)),
        (["12s"], timedelta(seconds=12)),
        (["soon"], None),
        ([], None),
    ],
)
def test_the_longest_settle_time_of_its_rules_wins(
    written: list[str], settle: timedelta | None
) -> None:
    alerts = tuple(
        known(alert=alert(fingerprint=str(i), alert_annotations={"relevo_settle": text}))
        for i, text in enumerate(written)
    )

    assert sickness(Evidence(known=alerts, pulled=None), now=at(1), expiry=EXPIRY).settle == settle


@pytest.mark.parametrize(
    ("up", "watchdog", "seen_before", "alive"),
    [
        pytest.param(120, True, True, True, id="all-is-well"),
        pytest.param(119, True, True, False, id="restarted-a-moment-ago"),
        pytest.param(120, False, True, False, id="the-watchdog-went-silent"),
        pytest.param(120, False, False, True, id="a-prometheus-without-our-rules"),
    ],
)
def test_absence_needs_a_pipeline_that_is_alive(
    up: float, watchdog: bool, seen_before: bool, alive: bool
) -> None:
    doubt = pipeline_doubt(
        up_since=at(-up),
        watchdog=watchdog,
        watchdog_seen_before=seen_before,
        now=START,
        patience=Patience(),
    )

    assert (doubt is None) == alive


@pytest.mark.parametrize(
    ("age", "fresh"), [(0, True), (48, True), (48.1, False), (-48, True), (-48.1, False)]
)
def test_the_newest_sample_may_be_three_sweeps_old(age: float, fresh: bool) -> None:
    assert (sample_doubt(at(-age), now=START, patience=Patience()) is None) == fresh


def test_a_container_that_nobody_measures_is_not_doubted() -> None:
    assert sample_doubt(None, now=START, patience=Patience()) is None


@pytest.mark.parametrize(
    ("one", "pulled", "expected"),
    [
        (known(), Pulled(on_source=(listed_alert(),)), ("f1",)),
        (known(listed=True), Pulled(on_source=(listed_alert(),)), ()),
        (known(), Pulled(), ()),
        (known(), Unreachable("x"), ()),
        (known(), None, ()),
    ],
)
def test_an_alert_is_the_apis_from_its_first_listing_on(
    one: Any, pulled: Any, expected: tuple[str, ...]
) -> None:
    assert newly_listed((one,), pulled) == expected


def test_what_prometheus_sends_no_more_is_neither_active_nor_gone() -> None:
    """It has restarted and forgot that it fires; Alertmanager waits for an end that never comes."""
    sick = sickness(
        Evidence(known=(known(listed=True),), pulled=Pulled(forgotten=(listed_alert(),))),
        now=START,
        expiry=timedelta(hours=8),
    )

    assert sick.symptom is Symptom.UNKNOWN
    assert sick.doubt is not None
    assert "sends it no more" in sick.doubt


def test_one_alert_that_is_still_sent_is_enough_to_be_ill() -> None:
    pulled = Pulled(
        on_source=(listed_alert(fingerprint="f2"),), forgotten=(listed_alert(fingerprint="f1"),)
    )

    sick = sickness(Evidence(known=(), pulled=pulled), now=START, expiry=timedelta(hours=8))

    assert sick.symptom is Symptom.ACTIVE
