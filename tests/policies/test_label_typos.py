"""Labels that are nearly ours."""

import pytest

from app.policies.label_typos import label_typos
from tests.builders import container


@pytest.mark.parametrize(
    ("label", "meant"),
    [
        ("relevo.enabled", "relevo.enable"),
        ("relevo-enable", "relevo.enable"),
        ("relevo_enable", "relevo.enable"),
        ("Relevo.Enable", "relevo.enable"),
        ("relevo.maxinstances", "relevo.max-instances"),
        ("relevo.max_instances", "relevo.max-instances"),
        ("relevo.polices", "relevo.policy"),
    ],
)
def test_a_typo_is_told_with_what_is_meant(label: str, meant: str) -> None:
    (said,) = label_typos([container("web", labels={label: "true"})], prefix="relevo")

    assert said.startswith(f"web: the label '{label}' has no effect, {meant} is meant: ")
    assert "create it anew" in said


@pytest.mark.parametrize(
    "labels",
    [
        {"relevo.enable": "true", "relevo.cpus": "2", "relevo.clone-of": "web"},
        {"relevo.enable": "observe"},
        {"relevo.enable": "false"},
        {"relevo.enable": " TRUE "},
        {"relevohub.enabled": "true"},
        {"relevo.colour": "blue"},
        {"other.enabled": "true"},
        {},
    ],
)
def test_what_is_right_or_somebody_elses_is_not_told(labels: dict[str, str]) -> None:
    assert label_typos([container("web", labels=labels)], prefix="relevo") == ()


def test_a_word_that_is_neither_is_told() -> None:
    (said,) = label_typos([container("web", labels={"relevo.enable": "yes"})], prefix="relevo")

    assert said.startswith("web: relevo.enable: 'yes' is neither 'true' nor 'observe'")


def test_at_most_twenty_are_told() -> None:
    many = [container(f"c{n}", n, labels={"relevo.enabled": "true"}) for n in range(1, 40)]

    assert len(label_typos(many, prefix="relevo")) == 20
