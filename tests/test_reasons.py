"""Words are closed lists: written as metrics want them, and each explained to people."""

import re
from enum import StrEnum
from pathlib import Path

import pytest

from app.domain.decision import Action, Outcome, Reason, Verdict
from app.domain.fidelity import RefusalReason
from app.domain.remediation import State, Trigger

PAGE = Path(__file__).parents[1] / "docs" / "reasons.md"
WORDS: list[type[StrEnum]] = [Action, Outcome, Reason, RefusalReason, State, Trigger, Verdict]
EXPLAINED: dict[str, type[StrEnum]] = {
    "Reasons": Reason,
    "Verdicts": Verdict,
    "Outcomes": Outcome,
    "States": State,
}

#: Relevo goes on by itself, or is done. For every other reason there is something to do.
GOES_ON = {
    Reason.FIRST_NEED,
    Reason.BACKOFF,
    Reason.WINDOW_FULL,
    Reason.INTERRUPTED,
    Reason.FOUND_STOPPED,
    Reason.MANUAL,
    Reason.SETTLING,
    Reason.SETTLED,
    Reason.RELIEF,
    Reason.WARM_UP,
    Reason.RESOLVED,
    Reason.COOLDOWN,
    Reason.RESTARTED_MEANWHILE,
    Reason.NEW_INCARNATION,
    Reason.START_GRACE,
    Reason.STALE,
    Reason.COVER,
    Reason.UNDER_COVER,
    Reason.QUIET,
    Reason.COVER_OVER,
}


def entries(title: str) -> list[tuple[str, str]]:
    """The words of a chapter of the page, with what is said of each."""
    chapter = PAGE.read_text(encoding="utf-8").split(f"\n## {title}\n")[1].split("\n## ")[0]
    found = re.findall(r"^- `(\w+)`: (.*(?:\n  .*)*)", chapter, re.MULTILINE)
    listed = re.findall(r"^- ", chapter, re.MULTILINE)
    assert len(found) == len(listed), "an entry is written like this: - `word`: what it means"
    return [(word, " ".join(text.split())) for word, text in found]


# ---------------------------------------------------------------- the words


@pytest.mark.parametrize("word", list(RefusalReason))
def test_a_refusal_is_a_reason(word: RefusalReason) -> None:
    """So that it can be told like any other."""
    assert Reason(word.value).value == word.value


@pytest.mark.parametrize("words", WORDS)
def test_words_are_written_as_labels_of_metrics_are(words: type[StrEnum]) -> None:
    for word in words:
        assert word.value == word.name.lower()
        assert word.value.replace("_", "").isalpha()


#: Semantics, section 10.
PROMISED = (
    "first_need backoff window_full already_scaled at_max cooldown silenced resolved human hold "
    "pause brake budget min_healthy deploy start_grace restarted_meanwhile not_running "
    "paused_container protected not_opted_in no_such_target ambiguous_target ambiguous_engine "
    "other_engine observe stale no_fresh_data engine_down store_down"
)


@pytest.mark.parametrize("word", PROMISED.split())
def test_a_promised_word_is_a_reason(word: str) -> None:
    assert word in list(Reason)


@pytest.mark.parametrize(
    ("words", "promised"),
    [
        pytest.param(
            State,
            "ok waiting acting verifying settling cooldown held quarantined closed",
            id="states",
        ),
        pytest.param(
            Outcome,
            "recovered relieved cancelled vanished superseded escalated released",
            id="outcomes",
        ),
        pytest.param(Action, "restart start scale_out scale_in", id="actions"),
    ],
)
def test_closed_lists_are_closed(words: type[StrEnum], promised: str) -> None:
    assert {word.value for word in words} == set(promised.split())


def test_only_what_shows_a_restart_to_have_failed_counts() -> None:
    assert {verdict.value for verdict in Verdict if verdict.counts} == {
        "relapsed",
        "symptom_persists",
        "unhealthy",
        "exited",
        "crash_loop",
        "engine_error",
        "timed_out",
    }


# ---------------------------------------------------------------- the page


@pytest.mark.parametrize("title", EXPLAINED)
def test_every_word_is_explained_once(title: str) -> None:
    words = [word for word, _ in entries(title)]

    assert sorted(words) == sorted(word.value for word in EXPLAINED[title])


@pytest.mark.parametrize("title", EXPLAINED)
def test_an_explanation_is_a_sentence(title: str) -> None:
    for word, text in entries(title):
        before, _, after = text.partition("*Do:*")
        assert before.strip().endswith("."), word
        assert "*Do:*" not in text or after.strip().endswith("."), word


@pytest.mark.parametrize("reason", list(Reason))
def test_what_to_do_is_said_where_there_is_something_to_do(reason: Reason) -> None:
    said = dict(entries("Reasons"))[reason]

    assert ("*Do:*" in said) == (reason not in GOES_ON)


@pytest.mark.parametrize("verdict", list(Verdict))
def test_the_page_knows_what_counts(verdict: Verdict) -> None:
    said = dict(entries("Verdicts"))[verdict]

    assert bool(re.search(r"\bCounts\b", said)) == verdict.counts


def test_links_within_the_page_lead_somewhere() -> None:
    text = PAGE.read_text(encoding="utf-8")
    titles = {title.lower().replace(" ", "-") for title in re.findall(r"^#+ (.*)$", text, re.M)}

    for anchor in re.findall(r"\]\(#([\w-]+)\)", text):
        assert anchor in titles
