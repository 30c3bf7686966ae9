"""Whether a clone takes its share: thresholds on both sides, and what proves nothing."""

from dataclasses import replace
from typing import Any

import pytest

from app.domain.container import Health
from app.domain.decision import Action, Reason, Verdict
from app.domain.remediation import Attempt, Trigger
from app.domain.usage import SideBySide, Used
from app.policies import traffic
from app.policies.spec import Policy, ScaleOutRules
from tests.builders import START, at, attempt, container, group, hex_id, remediation, seen

KIB, MIB = 1 << 10, 1 << 20
#: Both have lived for a while when the clone is warm.
BEFORE = Used(at=START, started_at="one-life", cpu_seconds=40.0, network_bytes=9 * MIB)
CLONE = container("web_new", 9)


def used(seconds: float, cpu: float, network: int | None) -> Used:
    """What has been used so many seconds later, beyond what was before."""
    total = None if network is None else 9 * MIB + network
    return Used(at=at(seconds), started_at="one-life", cpu_seconds=40.0 + cpu, network_bytes=total)


def out(**more: Any) -> Attempt:
    values: dict[str, Any] = {
        "action": Action.SCALE_OUT,
        "reason": Reason.WINDOW_FULL,
        "clone": "web_new",
        "clone_id": hex_id(9),
        "beside": SideBySide(source=BEFORE, clone=BEFORE),
    }
    return attempt(**(values | more))


def proved(
    source: tuple[float, int | None], clone: tuple[float, int | None], *, is_active: bool = True
) -> traffic.Proof | None:
    """Compare after three minutes: (CPU seconds, bytes) of each."""
    one = out()
    assert one.beside is not None
    if source[1] is None:
        before = replace(BEFORE, network_bytes=None)
        one = replace(one, beside=SideBySide(source=before, clone=before))
    after = SideBySide(source=used(180, *source), clone=used(180, *clone))
    return traffic.prove(one, after, is_active=is_active)


BUSY = (90.0, 10_000_000)


@pytest.mark.parametrize(
    ("source", "clone", "verdict"),
    [
        pytest.param(BUSY, (0.1, 0), Verdict.NO_TRAFFIC, id="nothing-came"),
        pytest.param(BUSY, (0.1, 250_000), Verdict.NO_TRAFFIC, id="hardly-anything-came"),
        pytest.param(BUSY, (30.0, 260_000), None, id="a-twentieth-of-its-half-came-and-it-works"),
        pytest.param(BUSY, (30.0, 0), None, id="nothing-came-and-it-works-all-the-same"),
        pytest.param(BUSY, (1.7, 0), Verdict.NO_TRAFFIC, id="it-only-idles"),
        pytest.param((5.0, 10_000_000), (1.7, 0), Verdict.NO_TRAFFIC, id="beside-one-that-rests"),
        pytest.param((5.0, 10_000_000), (1.9, 0), None, id="that-is-more-than-a-program-idles"),
        pytest.param(BUSY, (0.1, 5_000_000), Verdict.NO_EFFECT, id="half-came-and-it-did-nothing"),
        pytest.param(BUSY, (2.3, 5_000_000), Verdict.NO_EFFECT, id="it-did-hardly-anything"),
        pytest.param(BUSY, (2.4, 5_000_000), None, id="it-did-its-bit"),
        pytest.param(
            (8.9, 10_000_000), (0.0, 5_000_000), None, id="neither-works-so-there-is-none-to-share"
        ),
        pytest.param(
            (9.0, 10_000_000), (0.0, 5_000_000), Verdict.NO_EFFECT, id="the-source-does-work"
        ),
        pytest.param((90.0, 89_999), (0.0, 0), None, id="the-source-has-no-traffic"),
        pytest.param((90.0, 90_000), (0.0, 0), Verdict.NO_TRAFFIC, id="just-enough-traffic"),
        pytest.param((90.0, None), (0.0, None), Verdict.NO_EFFECT, id="host-network-and-no-work"),
        pytest.param((90.0, None), (60.0, None), None, id="host-network-and-work"),
        pytest.param((0.0, None), (0.0, None), None, id="host-network-and-both-rest"),
    ],
)
def test_a_clone_is_judged_by_its_share(
    source: tuple[float, int | None], clone: tuple[float, int | None], verdict: Verdict | None
) -> None:
    proof = proved(source, clone)

    assert proof is not None
    assert proof.verdict is verdict


@pytest.mark.parametrize(
    ("clone", "verdict"), [((0.1, 5_000_000), None), ((0.1, 0), Verdict.NO_TRAFFIC)]
)
def test_what_has_no_effect_is_told_while_the_source_is_ill(
    clone: tuple[float, int], verdict: Verdict | None
) -> None:
    proof = proved(BUSY, clone, is_active=False)

    assert proof is not None
    assert proof.verdict is verdict


@pytest.mark.parametrize(
    ("source", "clone", "said"),
    [
        (BUSY, (60.0, 10_000_000), "the clone took 50 % of the traffic"),
        (
            BUSY,
            (0.1, 4096),
            "within 3m 4.0 KiB went over the clone's networks, beside 9.5 MiB over the source's",
        ),
        (
            BUSY,
            (1.0, 5_000_000),
            "within 3m the clone took 33 % of the traffic and did 1 % of the work",
        ),
        ((60.0, None), (40.0, None), "the clone did 40 % of the work"),
        ((0.0, 0), (0.0, 0), "the source had no traffic for 3m: nothing to share"),
    ],
)
def test_the_numbers_are_said(
    source: tuple[float, int | None], clone: tuple[float, int | None], said: str
) -> None:
    proof = proved(source, clone)

    assert proof is not None
    assert proof.said == said


NOW = used(180, 90.0, 10_000_000)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(None, SideBySide(source=NOW, clone=NOW), id="not-measured-when-warm"),
        pytest.param(SideBySide(source=BEFORE, clone=BEFORE), None, id="not-measured-now"),
        pytest.param(
            SideBySide(source=BEFORE, clone=BEFORE),
            SideBySide(source=None, clone=NOW),
            id="the-source-could-not-be-measured",
        ),
        pytest.param(
            SideBySide(source=BEFORE, clone=BEFORE),
            SideBySide(source=NOW, clone=None),
            id="the-clone-could-not-be-measured",
        ),
        pytest.param(
            SideBySide(source=BEFORE, clone=BEFORE),
            SideBySide(source=replace(NOW, started_at="another"), clone=NOW),
            id="the-source-was-restarted",
        ),
        pytest.param(
            SideBySide(source=BEFORE, clone=BEFORE),
            SideBySide(source=NOW, clone=replace(BEFORE, at=at(180), network_bytes=0)),
            id="it-counts-backwards",
        ),
        pytest.param(
            SideBySide(source=BEFORE, clone=BEFORE),
            SideBySide(source=BEFORE, clone=BEFORE),
            id="no-time-has-passed",
        ),
    ],
)
def test_what_cannot_be_measured_proves_nothing(
    before: SideBySide | None, after: SideBySide | None
) -> None:
    assert traffic.prove(out(beside=before), after, is_active=True) is None


@pytest.mark.parametrize(
    ("more", "up_at", "now", "asked"),
    [
        pytest.param({"beside": None}, None, 59, False, id="not-warm-yet"),
        pytest.param({"beside": None}, None, 60, True, id="warm"),
        pytest.param({}, 60, 239, False, id="no-proof-is-due"),
        pytest.param({}, 60, 240, True, id="proof-is-due"),
        pytest.param({"evidence": "it took 40 %"}, 60, 300, False, id="it-was-proved"),
        pytest.param({"beside": None}, 60, 300, False, id="nothing-to-compare-with"),
        pytest.param(
            {"beside": SideBySide(source=None, clone=BEFORE)}, 60, 300, False, id="half-measured"
        ),
        pytest.param({"reason": Reason.COVER}, None, 60, False, id="a-cover"),
        pytest.param({"trigger": Trigger.REHEARSAL}, None, 60, False, id="a-rehearsal"),
        pytest.param({"action": Action.RESTART}, None, 60, False, id="a-restart"),
        pytest.param({"acted_at": None}, None, 60, False, id="not-made-yet"),
        pytest.param({"verdict": Verdict.RELIEVED}, 60, 300, False, id="over"),
    ],
)
def test_it_is_asked_for_only_then(
    more: dict[str, Any], up_at: float | None, now: float, asked: bool
) -> None:
    scaled_out_at = None if up_at is None else at(up_at)
    record = remediation(attempts=(out(**more),), scaled_out_at=scaled_out_at)

    assert traffic.is_asked(record, CLONE, Policy(), now=at(now)) is asked


def test_it_is_not_asked_for_where_it_is_off_or_there_is_nobody_to_ask() -> None:
    record = remediation(attempts=(out(),), scaled_out_at=at(60))
    off = Policy(scale_out=ScaleOutRules(traffic_proof=START - START))
    starting = container("web_new", 9, health=Health.STARTING)

    assert not traffic.is_asked(record, CLONE, off, now=at(300))
    assert not traffic.is_asked(record, None, Policy(), now=at(300))
    assert not traffic.is_asked(None, CLONE, Policy(), now=at(300))
    warm = remediation(attempts=(out(beside=None),))
    assert not traffic.is_asked(warm, starting, Policy(), now=at(60))


def test_what_was_told_is_kept_and_asked_for_no_more() -> None:
    record = remediation(attempts=(out(),), scaled_out_at=at(60))
    after = SideBySide(source=used(180, *BUSY), clone=used(180, 60.0, 10_000_000))

    look = seen(remediation=record, group=group(used=after))
    kept = traffic.told(record, look, Reason.RELIEF)

    assert kept.attempts[-1].evidence == "the clone took 50 % of the traffic"
    assert traffic.due_at(kept, Policy()) is None
    assert traffic.told(record, seen(remediation=record), Reason.RELIEF) == record
    # Nobody could tell the symptom: whether it has an effect is not known either.
    assert traffic.told(record, look, Reason.NO_FRESH_DATA) == record
