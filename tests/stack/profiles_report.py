"""What the verdicts on many profiles come to: matrix, error rates, tables."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from tests.stack.profiles import PROFILES, Profile
from tests.stack.profiles_faults import FAULTS
from tests.stack.profiles_visit import FALSE_FAILED, FALSE_RECOVERED, OTHERWISE, Chart, Judgement

#: Reliability target S19.
MOST_FALSE_RECOVERED = 0.01
MOST_FALSE_FAILED = 0.02

_TRUTHS = (
    "cured",
    "well, ill again later",
    "still ill",
    "taken away",
    "nobody can tell",
    "never ill for long",
)
_VERDICTS = (
    "recovered",
    "recovered, then relapsed",
    "symptom_persists",
    "unhealthy",
    "exited",
    "crash_loop",
    "vanished",
    "cancelled",
    "held",
    "unknown",
    "nothing",
)
_MARKS = ("<!-- measured: begin -->", "<!-- measured: end -->")


def all_profiles() -> tuple[Profile, ...]:
    """All of them, in the order of the documents."""
    return (*PROFILES, *(profile for fault in FAULTS for profile in fault.profiles))


def upper_bound(wrong: int, of: int) -> float:
    """Tell below which rate the true one lies with 95% confidence (Clopper-Pearson, one-sided)."""
    if of == 0 or wrong >= of:
        return 1.0

    def at_most(rate: float) -> float:
        return sum(math.comb(of, k) * rate**k * (1 - rate) ** (of - k) for k in range(wrong + 1))

    low, high = wrong / of, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if at_most(middle) > 0.05 else (low, middle)
    return high


def _shown(one: Judgement) -> str:
    return "recovered, then relapsed" if one.turned else one.verdict


def rate(name: str, wrong: int, of: int, most: float) -> str:
    """Say one error rate in a sentence."""
    share = wrong / of if of else 0.0
    return (
        f"{name}: {wrong} of {of} = {share:.2%} (target ≤ {most:.0%};"
        f" below {upper_bound(wrong, of):.2%} with 95% confidence)"
    )


def rates(judgements: Sequence[Judgement]) -> list[str]:
    """The two error rates, over the verdicts that could be wrong in that way, and the rest."""
    wrong = Counter(one.wrong for one in judgements)
    return [
        rate(
            "false `recovered`",
            wrong[FALSE_RECOVERED],
            sum(one.could_be_false_recovered for one in judgements),
            MOST_FALSE_RECOVERED,
        ),
        rate(
            "false failed",
            wrong[FALSE_FAILED],
            sum(one.could_be_false_failed for one in judgements),
            MOST_FALSE_FAILED,
        ),
        f"otherwise wrong: {wrong[OTHERWISE]} of {len(judgements)}",
    ]


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    return [
        "| " + " | ".join(head) + " |",
        "| --- |" + " ---: |" * (len(head) - 1),
        *("| " + " | ".join(map(str, row)) + " |" for row in rows),
    ]


def matrix(judgements: Sequence[Judgement]) -> list[str]:
    """Truth × verdict."""
    counts = Counter((one.truth, _shown(one)) for one in judgements)
    verdicts = [v for v in _VERDICTS if any(counts[truth, v] for truth in _TRUTHS)]
    verdicts += sorted({verdict for _, verdict in counts} - set(verdicts))
    return _table(
        ("truth", *(f"`{verdict}`" for verdict in verdicts), "all"),
        (
            (
                truth,
                *(counts[truth, verdict] or "" for verdict in verdicts),
                sum(counts[truth, verdict] for verdict in verdicts),
            )
            for truth in _TRUTHS
        ),
    )


def by_profile(judgements: Sequence[Judgement], voids: Counter[str]) -> list[str]:
    """One row for each profile and attempt: what is true, why, and what was said."""
    said: dict[tuple[str, int], Counter[str]] = defaultdict(Counter)
    wrong: Counter[tuple[str, int]] = Counter()
    for one in judgements:
        said[one.profile, one.attempt][_shown(one)] += 1
        wrong[one.profile, one.attempt] += one.wrong is not None
    lines = [
        "| profile | the truth, and why | verdicts | wrong | void |",
        "| --- | --- | --- | ---: | ---: |",
    ]
    for profile in all_profiles():
        for attempt in range(1, 2 + len(profile.later)):
            key = (profile.name, attempt)
            if not said[key] and not voids[profile.name]:
                continue
            first = attempt == 1
            accepts = profile.accepts if first else profile.later[attempt - 2]
            true = " or ".join(f"`{v}`" for v in sorted(accepts))
            true += ", then `relapsed`" if first and profile.relapses else ""
            verdicts = ", ".join(f"{n} `{v}`" for v, n in said[key].most_common())
            lines.append(
                f"| {profile.name if first else f'… attempt {attempt}'} | {true}"
                f"{f': {profile.why}' if first else ''} | {verdicts} | {wrong[key]}"
                f" | {voids[profile.name] if first else ''} |"
            )
    return lines


def report(charts: Sequence[Chart]) -> str:
    """Everything in Markdown."""
    judgements = [one for chart in charts for one in chart.judgements]
    voids = Counter(chart.profile for chart in charts if chart.void is not None)
    complaints = Counter((chart.profile, said) for chart in charts for said in chart.wrong)
    return "\n".join(
        [
            f"{len(judgements)} verdicts on {len(charts)} containers of"
            f" {len({chart.profile for chart in charts})} profiles;"
            f" {voids.total()} containers void (the profile did not come about).",
            "",
            *(f"- {line}" for line in rates(judgements)),
            "",
            *matrix(judgements),
            "",
            *by_profile(judgements, voids),
            *(["", "Not as they should be:", ""] if complaints else []),
            *(f"- {profile}: {said} ({count}×)" for (profile, said), count in complaints.items()),
        ]
    )


def inserted(document: str, measured: str) -> str:
    """Put the report between the marks of a document."""
    before, _, rest = document.partition(_MARKS[0])
    _, found, after = rest.partition(_MARKS[1])
    if not found:
        raise ValueError(f"the document has no marks {' … '.join(_MARKS)}")
    return f"{before}{_MARKS[0]}\n{measured}\n{_MARKS[1]}{after}"
