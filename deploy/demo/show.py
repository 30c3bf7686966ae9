"""The acts of the demo: the stack rises, the shop opens, the story unfolds, the closing check."""

import time
from datetime import UTC, datetime
from pathlib import Path

from deploy.demo.checks import Closing, Finding
from deploy.demo.host import Failed, inspect, moment
from deploy.demo.screen import WIDTH, Screen
from deploy.demo.stage import Stage
from deploy.demo.story import RELIEVED, Event, Story

#: Expected are 110 s, from the customers' arrival to the end of the story. A machine that is busy
#: with other things may take longer; one that takes this long has something to be looked at.
STORY_LIMIT_S = 240.0
#: What has been said to be over must be seen to be over at most this much later.
CLOSING_LIMIT_S = 20.0
_POLL_S = 0.3
#: What is left for the last column of the closing table.
_SEEN = WIDTH - 60


class Show:
    """One run."""

    def __init__(self, screen: Screen, stage: Stage) -> None:
        self._screen = screen
        self._stage = stage
        self._began = datetime.fromtimestamp(0, UTC)
        #: The sick container's name, and its place among the targets.
        self._name = ""
        self._before = ""

    def run(self) -> bool:
        """Show all of it; return whether everything holds. :raises Failed:"""
        started = time.monotonic()
        self._introduce()
        self._raise(started)
        self._open_shop()
        story = self._watch()
        return self._close(story)

    # ------------------------------------------------------------------------ the acts

    def _introduce(self) -> None:
        line, text = self._screen.line, self._screen.text
        line(self._screen.styled("Relevo demo", "bold"))
        text(
            "A small web service has too little CPU for its load. No restart can cure that: Relevo "
            "restarts it three times, with growing waits, sees that it did not help, and lets a "
            "second instance take over half of the work. The shipped configuration, twenty times "
            "faster."
        )
        line()

    def _raise(self, started: float) -> None:
        for note in self._stage.prepare():
            self._screen.text(note)

        def waiting(doing: str) -> None:
            took = time.monotonic() - started
            self._screen.progress(f"{took:7.0f} s  bringing the stack up: {doing}")

        self._stage.raise_stack(waiting)
        self._screen.progress("")
        line, url = self._screen.line, self._stage.url
        took = time.monotonic() - started
        line(f"Up after {took:.0f} s: Prometheus, Alertmanager, Node Exporter, Redis, Relevo.")
        line(f"  Relevo        {url('RELEVO')}/")
        line(f"  its API       {url('RELEVO')}/docs")
        line(f"  Prometheus    {url('PROMETHEUS')}/alerts")
        line(f"  Alertmanager  {url('ALERTMANAGER')}")
        token = self._stage.secrets / "relevo_token_read"
        line(f"  Log in with   {_short(token)}")
        line()

    def _open_shop(self) -> None:
        self._stage.open_shop()
        self._began = moment(inspect(self._stage.customers)["State"]["StartedAt"])
        self._name = str(inspect(self._stage.web)["Name"]).lstrip("/")
        self._screen.event(
            0.0, f"{self._name} (0.2 cores) gets 60 requests a second, 3 ms of CPU time each"
        )

    def _watch(self) -> Story:
        story = Story(self._name)
        deadline = time.monotonic() + STORY_LIMIT_S
        while not story.has_ended:
            if time.monotonic() > deadline:
                limit = f"{STORY_LIMIT_S:.0f} s after the customers came"
                raise Failed(f"the story has not ended {limit}; last: {_state(story)}")
            self._look(story)
            self._screen.progress(f"{self._elapsed():7.0f} s  {_state(story)}")
            time.sleep(_POLL_S)
        self._screen.progress("")
        return story

    def _look(self, story: Story) -> None:
        now = _now()
        events: list[Event] = []
        try:
            had = bool(story.alerts)
            events += story.update_alerts(self._stage.alerts(self._name), now)
            if story.alerts and not had and not self._before:
                self._before = self._customers_said(3)
            told = self._stage.relevo("/api/v1/remediations", target=f"{self._stage.shop}-web-1")[
                "remediations"
            ]
            activities = self._stage.relevo("/api/v1/activities")["activities"]
            events += story.update(told, activities, now)
        except (OSError, ValueError, KeyError) as exc:
            # One page that does not come is no news; the time limit speaks for all of them.
            self._screen.progress(f"{self._elapsed():7.0f} s  {type(exc).__name__}: {exc}")
        for event in sorted(events, key=lambda event: event.at):
            after = (event.at - self._began).total_seconds()
            self._screen.event(max(after, 0.0), event.text, style=event.style)

    def _close(self, story: Story) -> bool:
        screen = self._screen
        closing = Closing(self._stage, began=self._began)
        deadline = time.monotonic() + CLOSING_LIMIT_S
        findings = closing.findings()
        while not all(each.holds for each in findings) and time.monotonic() < deadline:
            screen.progress("         checking")
            time.sleep(1)
            findings = closing.findings()
        findings.append(_ended_well(story))
        screen.progress("")
        screen.line()
        screen.line(f"The customers, before: {self._before}")
        screen.line(f"               after:  {self._customers_said(5)}")
        screen.line()
        for finding in findings:
            mark = ("ok    ", "good") if finding.holds else ("FAILED", "bad")
            asked = f"{finding.what:<36}{finding.source:<16}"
            screen.line(f"{screen.styled(*mark)}  {asked}{finding.seen[:_SEEN]}")
        screen.line()
        return all(finding.holds for finding in findings)

    # ------------------------------------------------------------------------ small things

    def _elapsed(self) -> float:
        return (_now() - self._began).total_seconds()

    def _customers_said(self, count: int) -> str:
        """Say how the customers fared in the last few seconds."""
        reports = self._stage.last_seconds(count)
        if not reports:
            return "nothing heard"
        answered = sum(sum(report["answered"].values()) for report in reports) / len(reports)
        lost = sum(report["failed"] + report["shed"] for report in reports) / len(reports)
        medians = sorted(report["median_ms"] for report in reports if report["median_ms"])
        median = f", half of them within {medians[len(medians) // 2]} ms" if medians else ""
        return f"{answered:.0f} answered a second{median}; {lost:.0f} turned away"


def _now() -> datetime:
    # The parts' own times are wall-clock times of this very machine; only these can be compared.
    return datetime.now(UTC)  # noqa: TID251 - no controller with an injected clock here


def _state(story: Story) -> str:
    """Say what is being waited for right now."""
    told = story.remediation
    if told is None:
        return "waiting for the alert (the rule wants a minute above 80%, here 3 s)"
    state = str(told["state"])
    if told["next_action"] and told["next_action_at"]:
        left = max((moment(told["next_action_at"]) - _now()).total_seconds(), 0)
        return f"{state}: {told['next_action']} in {left:.0f} s"
    return {
        "verifying": "verifying: has it helped?",
        "settling": "settling: quiet, but will it last?",
    }.get(state, state)


def _ended_well(story: Story) -> Finding:
    """Relevo's own account: three restarts that did not help, and one relief that did."""
    verdicts = [f"{attempt['action']} {attempt['verdict']}" for attempt in story.attempts]
    expected = ["restart symptom_persists"] * 3 + ["scale_out relieved"]
    outcome = story.remediation["outcome"] if story.remediation else None
    said = f"{outcome}, after {len(verdicts)} attempts"
    if verdicts != expected:
        said = f"{outcome}: {', '.join(verdicts)}"
    holds = verdicts == expected and outcome == RELIEVED
    return Finding(holds, "3 x symptom_persists, then relieved", "Relevo", said)


def _short(path: Path) -> str:
    """Write a path as seen from here, where that is shorter."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
