"""The words of the fidelity report are reasons, so that a refusal can be told like any other."""

import pytest

from app.domain.decision import Reason, Verdict
from app.domain.fidelity import RefusalReason


@pytest.mark.parametrize("word", list(RefusalReason))
def test_a_refusal_is_a_reason(word: RefusalReason) -> None:
    assert Reason(word.value).value == word.value


@pytest.mark.parametrize("words", [Reason, RefusalReason, Verdict])
def test_words_are_written_as_labels_of_metrics_are(words: type[Reason]) -> None:
    for word in words:
        assert word.value == word.name.lower()
        assert word.value.replace("_", "").isalpha()


def test_only_what_shows_a_restart_to_have_failed_counts() -> None:
    assert {verdict.value for verdict in Verdict if verdict.counts} == {
        "symptom_persists",
        "unhealthy",
        "exited",
        "crash_loop",
        "engine_error",
        "timed_out",
    }
