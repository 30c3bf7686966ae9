"""What a dashboard is told of an attempt, and what a stranger's words become in it."""

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.decision import Action, Reason, Verdict
from app.domain.message import Message, MessageKind
from app.domain.remediation import Attempt, Trigger
from app.policies.annotation import LONGEST_TAG, message, messages, stage
from tests.builders import START, at, attempt, remediation

URL = "https://relevo.example/base/"
#: What Grafana allows for all tags of one annotation, written as JSON.
ALL_TAGS = 500


def told(one: Attempt, *, url: str | None = URL, **record: object) -> Message:
    found = message(remediation(attempts=(one,), **record), one, external_url=url)
    assert found is not None
    return found


def judged(verdict: Verdict = Verdict.RECOVERED, **more: object) -> Attempt:
    return attempt(verdict=verdict, finished_at=at(300), **more)


class _Reader(HTMLParser):
    """Reads HTML as a browser would: elements, and the text between them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.words += "\n" if tag == "br" else ""

    def handle_data(self, data: str) -> None:
        self.words += data


def test_an_action_is_told_from_its_intent_on_and_has_no_end_yet() -> None:
    found = told(attempt())

    assert (found.kind, found.id) == (MessageKind.ANNOTATION, "attempt:web-1.1")
    assert (found.payload.starts_at, found.payload.ends_at) == (at(-1), None)
    assert found.payload.text == (
        "<b>restart</b> web on host1: being verified<br>"
        "why: first_need (ContainerHighCPU)<br>"
        '<a href="https://relevo.example/base/remediations/web-1">the story</a>'
    )
    assert found.payload.tags == (
        "relevo",
        "action:restart",
        "engine:host1",
        "target:web",
        "attempt:web-1.1",
    )


def test_a_verdict_ends_it_with_its_evidence() -> None:
    found = told(judged(evidence="quiet for 4 min, and healthy"))

    assert found.payload.ends_at == at(300)
    assert "restart</b> web on host1: recovered<br>" in found.payload.text
    assert "<br>quiet for 4 min, and healthy<br>" in found.payload.text
    assert "verdict:recovered" in found.payload.tags


@pytest.mark.parametrize(
    ("one", "words"),
    [
        pytest.param(
            attempt(action=Action.SCALE_OUT, reason=Reason.WINDOW_FULL),
            "scale-out web on host1: being verified\nwhy: window_full (ContainerHighCPU)\n"
            "the story",
            id="scale-out",
        ),
        pytest.param(
            attempt(trigger=Trigger.MANUAL, ordered="anna: it leaks", reason=Reason.MANUAL),
            "restart web on host1: being verified\nwhy: ordered by anna: it leaks\nthe story",
            id="a person's",
        ),
        pytest.param(
            attempt(acted_at=None, error="no answer within 25 s"),
            "restart web on host1: no answer yet\nwhy: first_need (ContainerHighCPU)\n"
            "no answer within 25 s\nthe story",
            id="the engine is silent",
        ),
        pytest.param(
            judged(Verdict.ENGINE_ERROR, acted_at=None, error="500", evidence="it said 500"),
            "restart web on host1: engine_error\nwhy: first_need (ContainerHighCPU)\n"
            "it said 500\nthe story",
            id="the engine refuses",
        ),
    ],
)
def test_what_was_done_and_why_is_said(one: Attempt, words: str) -> None:
    assert _Reader(told(one).payload.text).words == words


@pytest.mark.parametrize(
    "one",
    [
        pytest.param(attempt(acted_at=None), id="not carried out yet"),
        pytest.param(judged(Verdict.CANCELLED, acted_at=None), id="nothing was done"),
        pytest.param(judged(Verdict.INFRASTRUCTURE, acted_at=None), id="the engine is down"),
        pytest.param(attempt(trigger=Trigger.FOREIGN), id="somebody else's"),
        pytest.param(judged(Verdict.WOULD_HAVE, trigger=Trigger.REHEARSAL), id="rehearsed"),
    ],
)
def test_what_is_no_action_of_ours_is_not_told(one: Attempt) -> None:
    assert message(remediation(attempts=(one,)), one, external_url=URL) is None


def test_without_an_address_of_our_own_there_is_no_link() -> None:
    assert "<a" not in told(attempt(), url=None).payload.text


def test_an_alert_without_name_leaves_no_empty_brackets() -> None:
    assert "why: first_need<br>" in told(attempt(), alerts=()).payload.text


@given(words=st.text(), name=st.text(), author=st.text())
def test_no_words_of_strangers_become_elements(words: str, name: str, author: str) -> None:
    one = judged(evidence=words, ordered=author, trigger=Trigger.MANUAL)

    text = told(one, container=name, alerts=(name,)).payload.text

    elements = _Reader(text).elements
    assert {tag for tag, _ in elements} <= {"b", "br", "a"}
    (link,) = [attributes for tag, attributes in elements if tag == "a"]
    assert link == {"href": "https://relevo.example/base/remediations/web-1"}


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "<a href='javascript:alert(1)'>story</a>",
        "&lt;b&gt;",
    ],
)
def test_hostile_words_are_shown_as_they_are(hostile: str) -> None:
    text = told(judged(evidence=hostile)).payload.text

    assert hostile in _Reader(text).words
    assert hostile not in text


def test_what_no_database_takes_is_left_out() -> None:
    text = told(judged(evidence="a\x00b\ud800c\x1b[31m ü 漢")).payload.text

    assert "a?b?c?[31m ü 漢" in text


def test_an_address_cannot_leave_its_attribute() -> None:
    text = told(attempt(), url='https://x/"onmouseover="alert(1)').payload.text

    ((_, link),) = [one for one in _Reader(text).elements if one[0] == "a"]
    assert list(link) == ["href"]


def test_long_words_are_cut_before_they_are_escaped() -> None:
    text = told(judged(evidence="&" * 10_000)).payload.text

    # Cut afterwards, half of an entity might be left.
    assert "&amp;" * 299 + "…<br>" in text
    assert len(text) < 2500


@given(
    slot=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,254}", fullmatch=True),
    engine=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,254}", fullmatch=True),
    verdict=st.none() | st.sampled_from(Verdict),
    action=st.sampled_from(Action),
)
def test_tags_are_of_one_vocabulary_and_fit(
    slot: str, engine: str, verdict: Verdict | None, action: Action
) -> None:
    one = attempt(id=f"{slot}-lq2x9a.12m", verdict=verdict, action=action)

    tags = told(one, target=f"{engine}:{slot}", id=f"{slot}-lq2x9a").payload.tags

    assert tags[0] == "relevo"
    pairs = [tag.split(":") for tag in tags[1:]]
    # Grafana keeps two pieces of a tag; a third one would be lost.
    assert all(len(pair) == 2 for pair in pairs)
    assert {key for key, _ in pairs} <= {"action", "verdict", "engine", "target", "attempt"}
    assert all(len(value) <= LONGEST_TAG for _, value in pairs)
    assert sum(len(tag) + 3 for tag in tags) + 1 <= ALL_TAGS


def test_long_names_are_still_told_apart() -> None:
    tags = [told(attempt(id=f"{'x' * 200}.{number}")).id for number in (1, 2)]

    assert len(set(tags)) == 2


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        (None, 0),
        (Verdict.RECOVERED, 1),
        (Verdict.EXITED, 1),
        (Verdict.RELAPSED, 2),
    ],
)
def test_how_far_a_story_is_can_be_told_from_its_tags(
    verdict: Verdict | None, expected: int
) -> None:
    assert stage(told(attempt(verdict=verdict)).payload.tags) == expected


def test_a_step_tells_of_what_it_found_out_and_of_nothing_else() -> None:
    first, second = judged(id="web-1.1"), attempt(id="web-1.2")
    before = remediation(attempts=(first, attempt(id="web-1.2", acted_at=None)))
    after = remediation(attempts=(first, second))

    found = messages([before], [after, None], external_url=None)

    assert [one.id for one in found] == ["attempt:web-1.2"]
    assert messages([after], [after], external_url=None) == ()


def test_a_verdict_that_turns_is_told_again() -> None:
    before = remediation(attempts=(judged(),))
    after = remediation(attempts=(judged(Verdict.RELAPSED),))

    (found,) = messages([before, None], [after], external_url=None)

    assert "verdict:relapsed" in found.payload.tags
    assert found.payload.starts_at < START
