"""What a dashboard is told of an attempt: a region from the action to its verdict."""

from collections.abc import Iterable
from hashlib import sha256
from html import escape
from typing import Final
from urllib.parse import quote

from app.domain.decision import Verdict
from app.domain.message import Annotation, Message, MessageKind
from app.domain.remediation import Attempt, Remediation, Trigger
from app.domain.target import TargetId
from app.policies import changes
from app.policies.announce_words import cut

#: Nothing else becomes a tag. Grafana splits a tag at its colons and keeps two pieces, so no
#: value may hold one; and it finds ``relevo`` by that key alone, so no other tag may have it as
#: key (two rows then match where one is asked for, and the annotation is not shown).
_PLAIN: Final = "relevo"
_KEYS: Final = ("action", "verdict", "engine", "target", "attempt")
#: Width of Grafana's columns for key and value, in characters; more is a server error there.
LONGEST_TAG: Final = 100
_NAMES: Final = {"scale_out": "scale-out", "scale_in": "scale-in"}


def messages(
    before: Iterable[Remediation | None],
    after: Iterable[Remediation | None],
    *,
    external_url: str | None,
) -> tuple[Message, ...]:
    """
    Tell what a step has found out about actions of ours.

    :param before: the records that the step began with
    :param after: the records that it leaves behind
    """
    told = (
        message(record, attempt, external_url=external_url)
        for record, attempt, _ in changes.advanced(before, after)
    )
    return tuple(one for one in told if one is not None)


def message(
    remediation: Remediation, attempt: Attempt, *, external_url: str | None
) -> Message | None:
    """Tell of one attempt as it is now; None of one that came to no action of ours."""
    if attempt.trigger in (Trigger.FOREIGN, Trigger.REHEARSAL):
        return None
    if attempt.acted_at is None and attempt.error is None:
        return None
    return Message(
        kind=MessageKind.ANNOTATION,
        id=_tag("attempt", attempt.id),
        payload=Annotation(
            starts_at=attempt.intent_at,
            ends_at=attempt.finished_at,
            text=_text(remediation, attempt, external_url),
            tags=_tags(remediation, attempt),
        ),
    )


def stage(tags: Iterable[str]) -> int:
    """How far the story is that an annotation with these tags tells: it never goes back."""
    verdicts = [tag.partition(":")[2] for tag in tags if tag.startswith("verdict:")]
    if not verdicts:
        return 0
    return 2 if Verdict.RELAPSED in verdicts else 1


def _tags(remediation: Remediation, attempt: Attempt) -> tuple[str, ...]:
    target = TargetId.parse(remediation.target)
    values = {
        "action": str(attempt.action),
        "verdict": None if attempt.verdict is None else str(attempt.verdict),
        "engine": target.engine,
        "target": target.slot,
        "attempt": attempt.id,
    }
    found = ((key, values[key]) for key in _KEYS)
    return (_PLAIN, *(_tag(key, value) for key, value in found if value is not None))


def _tag(key: str, value: str) -> str:
    value = value.replace(":", "_")
    if len(value) > LONGEST_TAG:
        digest = sha256(value.encode()).hexdigest()[:16]
        value = f"{value[: LONGEST_TAG - 17]}-{digest}"
    return f"{key}:{value}"


def _text(remediation: Remediation, attempt: Attempt, external_url: str | None) -> str:
    action = _NAMES.get(attempt.action, str(attempt.action))
    if attempt.verdict is not None:
        came_to = str(attempt.verdict)
    else:
        came_to = "being verified" if attempt.acted_at is not None else "no answer yet"
    lines = [
        f"<b>{action}</b> {_said(remediation.container)} on "
        f"{_said(TargetId.parse(remediation.target).engine)}: {came_to}",
        f"why: {_said(_why(remediation, attempt))}",
    ]
    seen = attempt.evidence or attempt.error
    if seen:
        lines.append(_said(seen))
    if external_url is not None:
        url = f"{external_url.rstrip('/')}/remediations/{quote(remediation.id, safe='')}"
        lines.append(f'<a href="{escape(url)}">the story</a>')
    return "<br>".join(lines)


def _why(remediation: Remediation, attempt: Attempt) -> str:
    if attempt.ordered is not None:
        return f"ordered by {attempt.ordered}"
    alerts = f" ({', '.join(remediation.alerts)})" if remediation.alerts else ""
    return f"{attempt.reason}{alerts}"


def _said(text: str) -> str:
    """
    Somebody else's words, as text and not too long.

    Cut before escaping makes them longer; without what no database takes (NUL, half a character).
    """
    return escape("".join(c if c.isprintable() else "?" for c in cut(text)))
