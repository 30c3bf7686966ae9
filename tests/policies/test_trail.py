"""What goes into the audit with each step."""

import pytest

from app.domain.audit import AuditEntry, AuditKind
from app.domain.control import Order, OrderKind
from app.domain.decision import Action, Reason, Verdict
from app.domain.remediation import Attempt, Remediation, Trigger
from app.policies import trail
from tests.builders import START, TARGET, at, attempt, hex_id, remediation

BEGUN = attempt(acted_at=None, started_after=None)


def record(*attempts: Attempt) -> Remediation:
    return remediation(attempts=attempts)


def line(kind: AuditKind, **more: object) -> AuditEntry:
    values: dict[str, object] = {
        "at": at(9),
        "kind": kind,
        "target": TARGET,
        "remediation": "web-1",
        "attempt": "web-1.1",
        "action": Action.RESTART,
        "container_id": hex_id(1),
        "trigger": Trigger.AUTOMATIC,
        "reason": Reason.FIRST_NEED,
    }
    return AuditEntry(**(values | more))  # type: ignore[arg-type]


def found(before: Remediation | None, after: Remediation | None) -> tuple[AuditEntry, ...]:
    return trail.of_step([before], [after], at=at(9))


def test_an_intent_says_what_is_about_to_be_done() -> None:
    assert trail.intent(record(BEGUN), BEGUN.id, at=at(9)) == line(AuditKind.INTENT)


def test_an_intent_of_a_person_says_who_and_why() -> None:
    ordered = attempt(trigger=Trigger.MANUAL, ordered="anna: it leaks", reason=Reason.MANUAL)

    told = trail.intent(record(ordered), ordered.id, at=at(9))

    assert (told.trigger, told.why) == (Trigger.MANUAL, "anna: it leaks")


def test_an_intent_without_its_attempt_is_told_all_the_same() -> None:
    told = trail.intent(record(), "web-1.7", at=at(9))

    assert (told.kind, told.attempt, told.target) == (AuditKind.INTENT, "web-1.7", TARGET)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        pytest.param(None, None, [], id="nothing is open"),
        pytest.param(record(BEGUN), record(BEGUN), [], id="still under way"),
        pytest.param(record(BEGUN), record(attempt()), [line(AuditKind.ACTED)], id="answered"),
        pytest.param(None, record(attempt()), [line(AuditKind.ACTED)], id="answered at once"),
        pytest.param(record(attempt()), record(attempt()), [], id="being verified"),
        pytest.param(
            record(BEGUN),
            record(attempt(acted_at=None, error="500: no")),
            [line(AuditKind.ACTED, detail="500: no")],
            id="refused by the engine",
        ),
        pytest.param(
            record(attempt()),
            record(
                attempt(
                    verdict=Verdict.RECOVERED,
                    verdict_reason=Reason.SETTLED,
                    evidence="quiet for 4 min",
                )
            ),
            [
                line(
                    AuditKind.OUTCOME,
                    verdict=Verdict.RECOVERED,
                    reason=Reason.SETTLED,
                    detail="quiet for 4 min",
                )
            ],
            id="judged",
        ),
        pytest.param(
            record(attempt(verdict=Verdict.RECOVERED)),
            record(attempt(verdict=Verdict.RELAPSED)),
            [line(AuditKind.OUTCOME, verdict=Verdict.RELAPSED, reason=None)],
            id="its verdict has turned",
        ),
        pytest.param(
            record(BEGUN),
            record(
                attempt(acted_at=None, verdict=Verdict.CANCELLED, verdict_reason=Reason.RESOLVED)
            ),
            [line(AuditKind.OUTCOME, verdict=Verdict.CANCELLED, reason=Reason.RESOLVED)],
            id="nothing was done",
        ),
        pytest.param(None, record(attempt(trigger=Trigger.FOREIGN)), [], id="somebody else's"),
        pytest.param(
            None,
            record(attempt(trigger=Trigger.REHEARSAL, verdict=Verdict.WOULD_HAVE)),
            [],
            id="rehearsed",
        ),
    ],
)
def test_a_step_says_what_it_found_out(
    before: Remediation | None, after: Remediation | None, expected: list[AuditEntry]
) -> None:
    assert list(found(before, after)) == expected


def test_an_answer_and_a_verdict_in_one_step_are_two_lines() -> None:
    told = found(record(BEGUN), record(attempt(verdict=Verdict.EXITED)))

    assert [one.kind for one in told] == [AuditKind.ACTED, AuditKind.OUTCOME]


def test_an_order_says_who_and_why() -> None:
    order = Order(
        id="web-1.1m",
        kind=OrderKind.RESET,
        remediation="web-1",
        reason="it was the disk",
        author="anna",
        at=START,
    )

    assert trail.placed(TARGET, order) == AuditEntry(
        at=START,
        kind=AuditKind.ORDER,
        target=TARGET,
        remediation="web-1",
        order="reset",
        author="anna",
        why="it was the disk",
    )
