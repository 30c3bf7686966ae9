"""Profiles of a broken chain: a part of it fails while restarts are being verified."""

import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.stack.profiles import BURNS, IDLES, PERSISTS, RECOVERED, Profile
from tests.stack.profiles_ward import Clinic
from tests.stack.wait import eventually

Strike = Callable[[Clinic], Awaitable[None]]
Mend = Callable[[Clinic], Awaitable[None]]


async def nothing_to_mend(_: Clinic) -> None:
    """It has passed, or stays."""


async def blink(lab: Clinic) -> None:
    """Let the collector miss one scrape."""

    async def missed() -> bool:
        return await lab.scrape_failed("relevo-containers")

    lab.collector.send(signal.SIGSTOP)
    try:
        await eventually(missed, within=10, what="a scrape of the collector has failed")
    finally:
        lab.collector.send(signal.SIGCONT)


async def restart_alertmanager(lab: Clinic) -> None:
    """It forgets its alerts, and has them back when Prometheus sends them again."""
    await lab.alertmanager.stop()
    await lab.alertmanager.start()


async def kill_collector(lab: Clinic) -> None:
    """No more samples."""
    await lab.collector.kill()


async def start_collector(lab: Clinic) -> None:
    """Samples again."""
    await lab.collector.start()


async def stop_prometheus(lab: Clinic) -> None:
    """No rules; alerts in Alertmanager end by themselves, as if they had been cured."""
    await lab.prometheus.stop()


async def start_prometheus(lab: Clinic) -> None:
    """It finds the state of its alerts on its disk."""
    await lab.prometheus.start()


async def restart_prometheus(lab: Clinic) -> None:
    """It takes up its alerts where it was, as far as its disk tells."""
    await lab.prometheus.stop()
    await lab.prometheus.start()


async def kill_relevo(lab: Clinic) -> None:
    """The controller dies, and is started again."""
    await lab.controller.kill()
    await lab.controller.start()


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What fails, for how long, and what the true verdicts are then."""

    name: str
    strike: Strike
    #: Seconds, scaled already.
    lasts: float = 0
    mend: Mend = nothing_to_mend
    profiles: tuple[Profile, ...]


def _both(
    fault: str, what: str, *, ill: str = PERSISTS, cured: str = RECOVERED
) -> tuple[Profile, ...]:
    return (
        Profile(
            name=f"{fault}, ill",
            why=f"takes all CPU in every life; {what}",
            lives=(BURNS,),
            is_really_cured=False,
            accepts=frozenset({ill}),
        ),
        Profile(
            name=f"{fault}, cured",
            why=f"idle after its restart; {what}",
            lives=(BURNS, IDLES),
            is_really_cured=True,
            accepts=frozenset({cured}),
        ),
    )


BLINK = Fault(
    name="blink",
    strike=blink,
    profiles=_both("blink", "one scrape of the collector is missed during the verification"),
)
ALERTMANAGER_RESTARTED = Fault(
    name="alertmanager-restarted",
    strike=restart_alertmanager,
    profiles=_both("alertmanager-restarted", "Alertmanager is restarted, and forgets its alerts"),
)
PROMETHEUS_RESTARTED = Fault(
    name="prometheus-restarted",
    strike=restart_prometheus,
    profiles=_both(
        "prometheus-restarted",
        "Prometheus is restarted before its first quiet evaluation",
    ),
)
RELEVO_KILLED = Fault(
    name="relevo-killed",
    strike=kill_relevo,
    profiles=_both("relevo-killed", "the controller is killed, and started again"),
)
#: Longer than the settle time and all that Alertmanager remembers; shorter than the 15 min after
#: which Relevo gives up.
COLLECTOR_GONE = Fault(
    name="collector-gone",
    strike=kill_collector,
    lasts=28,
    mend=start_collector,
    profiles=_both("collector-gone", "no samples for 9 min, which end the alert as a cure would"),
)
PROMETHEUS_GONE = Fault(
    name="prometheus-gone",
    strike=stop_prometheus,
    lasts=28,
    mend=start_prometheus,
    profiles=_both("prometheus-gone", "no rules for 9 min: Alertmanager lets the alert end"),
)
#: The last one: the chain is dead afterwards.
PIPELINE_DEAD = Fault(
    name="pipeline-dead",
    strike=stop_prometheus,
    profiles=_both(
        "pipeline-dead",
        "Prometheus never comes back: nobody can tell",
        ill="unknown",
        cured="unknown",
    ),
)

#: What one lab goes through, one fault after the other.
SEQUENCES = (
    (BLINK, ALERTMANAGER_RESTARTED, RELEVO_KILLED, COLLECTOR_GONE),
    (PROMETHEUS_RESTARTED, PROMETHEUS_GONE, PIPELINE_DEAD),
)
FAULTS = tuple(fault for sequence in SEQUENCES for fault in sequence)
