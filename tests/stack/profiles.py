"""
Sickness profiles: what containers do, what is done to them, and what the true verdict is.

Times are those of the shipped configuration; the labs run it twenty times faster, and so is what is
written here. Not scaled is what is the engine's own: stop graces and health checks.

`profiles_ward` makes the containers, `profiles_visit` follows them; `test_profiles` goes through
all of them once, `verdict_accuracy` many times.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from tests.stack.containers import Patient, docker
from tests.stack.lab import FACTOR

Step = str
Life = tuple[Step, ...]

#: Verdicts that count as a failed restart when they are the first.
FAILED = frozenset(
    {"symptom_persists", "unhealthy", "exited", "crash_loop", "engine_error", "timed_out"}
)
#: Instead of a verdict: nothing was ever done.
NOTHING = "nothing"
RECOVERED = "recovered"
PERSISTS = "symptom_persists"

_SECOND = 1
_MINUTE = 60


# ------------------------------------------------------------------------------ what it does


def _hundredths(seconds: float) -> int:
    return max(1, round(seconds / FACTOR * 100))


@dataclass(frozen=True, slots=True)
class Limits:
    """What a container may use: cores, and MiB."""

    #: So small that all containers together weigh no more than one process of the host.
    cpus: float = 0.05
    mib: int = 64
    #: Docker's --cpu-shares: who comes first where the machine is busy.
    shares: int = 1024

    def millicores(self, share: float) -> int:
        """Turn a share of the CPU limit into what profile.sh wants."""
        return round(share * self.cpus * 1000)

    def mib_of(self, share: float) -> int:
        """Turn a share of the memory limit into what profile.sh wants."""
        return round(share * self.mib)


SMALL = Limits()
#: To be filled at once: first in line for CPU, and not so much of it that to use it all for long
#: would take it from the others.
QUICK = Limits(cpus=0.15, mib=32, shares=16_384)
#: A probe is a process in the container: 20 ms of CPU, each second.
PROBED = Limits(cpus=0.15)


def burn(share: float = 2, seconds: float = 0, *, of: Limits = SMALL) -> Step:
    """Use CPU, as a share of the limit (above 1: all there is), for a while or (0) for ever."""
    return f"burn:{of.millicores(share)}" + (f":{_hundredths(seconds)}" if seconds else "")


def rest(seconds: float) -> Step:
    """Use nothing for a while."""
    return f"rest:{_hundredths(seconds)}"


def hold(share: float, *, of: Limits = QUICK) -> Step:
    """Use memory, as a share of the limit, from now on."""
    return f"hold:{of.mib_of(share)}"


def leak(share: float, seconds: float, *, of: Limits = QUICK) -> Step:
    """Use more and more memory."""
    return f"leak:{of.mib_of(share)}:{_hundredths(seconds)}"


def depend(*, of: Limits = SMALL) -> Step:
    """Use all CPU for ever, unless what it needs was there as this life began."""
    return f"depend:{of.millicores(2)}"


# ------------------------------------------------------------------------------ what is done to it


class Visit(Protocol):
    """What a disturbance can see and do; `profiles_visit` has it."""

    @property
    def patient(self) -> Patient:
        """The container."""

    async def since_restart(self, seconds: float) -> None:
        """Wait until so much time has passed since the attempt; not scaled."""

    async def silence(self) -> None:
        """Silence its alerts in Alertmanager."""

    async def replace(self, *lives: Life) -> None:
        """Replace it by a new container of the same name, as a deploy does."""


Disturbance = Callable[[Visit], Awaitable[None]]


async def silenced(visit: Visit) -> None:
    """Somebody silences the alert."""
    await visit.since_restart(0)
    await visit.silence()


async def stopped_by_hand(visit: Visit) -> None:
    """Somebody stops the container."""
    await visit.since_restart(3)
    await docker("stop", visit.patient.id)


async def stopped_at_once(visit: Visit) -> None:
    """Somebody stops the container before the events of our restart have faded away."""
    await visit.since_restart(0.5)
    await docker("stop", visit.patient.id)


async def paused_by_hand(visit: Visit) -> None:
    """Somebody freezes the container: it uses nothing any more."""
    await visit.since_restart(2)
    await docker("pause", visit.patient.id)


async def restarted_by_hand(visit: Visit) -> None:
    """Somebody restarts the container."""
    await visit.since_restart(2)
    await docker("restart", visit.patient.id)


async def deployed(visit: Visit) -> None:
    """Somebody deploys a version that is well."""
    await visit.since_restart(2)
    await visit.replace(())


async def repaired(visit: Visit) -> None:
    """Somebody repairs what the container needs; it notices at its next start."""
    await docker("exec", visit.patient.id, "touch", "/tmp/repaired")


# ------------------------------------------------------------------------------ profiles


@dataclass(frozen=True, slots=True)
class Health:
    """A health check that looks for the file /tmp/unwell; seconds, not scaled."""

    retries: int = 2
    start_period: int = 0
    interval: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One way to be ill, what is done about it, and what the true verdict is."""

    name: str
    #: Why this is the truth.
    why: str
    lives: tuple[Life, ...]
    #: Whether the first restart has really cured it.
    is_really_cured: bool
    #: Verdicts on the first attempt that are true.
    accepts: frozenset[str]
    #: Of further attempts, in their order.
    later: tuple[frozenset[str], ...] = ()
    #: How the (last) story must end; None: not waited for.
    outcome: str | None = None
    #: The illness comes back: the first verdict must turn into `relapsed`.
    relapses: bool = False
    #: Done while the first restart is being verified.
    disturbance: Disturbance | None = None
    #: Done after the first verdict.
    afterwards: Disturbance | None = None
    limits: Limits = SMALL
    health: Health | None = None
    #: Docker's --restart and --stop-timeout.
    restart: str = "no"
    stop_timeout: int = 2
    #: Does not hear SIGTERM.
    stubborn: bool = False
    #: Its second life must have done all its steps within so many seconds, not scaled, or the
    #: machine was too busy for the profile to come about. None: that does not matter.
    done_within: float | None = None
    #: How long it lies in the lab, roughly: the longest ones begin first. Seconds, scaled.
    stay: float = 40

    @property
    def cores(self) -> float:
        """What it uses for long."""
        burns = any(step.startswith(("burn", "depend")) for life in self.lives for step in life)
        return self.limits.cpus if burns else SMALL.cpus


def _one_of(*verdicts: str) -> frozenset[str]:
    return frozenset(verdicts)


#: The memory alert's settle time is 3 s (a minute) longer than its `for`. What takes longer than
#: that, less two sweeps and evaluations, to be ill again is a profile of its own.
REFILLED = 1.5

BURNS: Life = (burn(),)
IDLES: Life = ()

CURED = (
    Profile(
        name="cured-to-idle",
        why="uses nothing after its restart",
        lives=(BURNS, IDLES),
        is_really_cured=True,
        accepts=_one_of(RECOVERED),
        outcome="recovered",
    ),
    Profile(
        name="cured-to-70%",
        why="uses 70% of its CPU after its restart: busy, and below the rule",
        lives=(BURNS, (burn(0.7),)),
        is_really_cured=True,
        accepts=_one_of(RECOVERED),
        outcome="recovered",
    ),
    Profile(
        name="warm-up",
        why="busy for 70 s after its restart, less than the deadline of 3 min, then idle",
        lives=(BURNS, (burn(2, 70),)),
        is_really_cured=True,
        accepts=_one_of(RECOVERED),
        outcome="recovered",
    ),
    Profile(
        name="cron-spike-after",
        why="cured; two minutes after its restart a job takes all CPU for 50 s, shorter than `for`",
        lives=(BURNS, (rest(120), burn(2, 50))),
        is_really_cured=True,
        accepts=_one_of(RECOVERED),
        outcome="recovered",
    ),
    Profile(
        name="memory-cured",
        why="from 90% of its memory to 20%",
        lives=((hold(0.9),), (hold(0.2),)),
        is_really_cured=True,
        accepts=_one_of(RECOVERED),
        outcome="recovered",
        limits=QUICK,
        stay=50,
    ),
    Profile(
        name="memory-just-below",
        why="from 90% of its memory to 77%, just below the rule, and held there",
        lives=((hold(0.9),), (hold(0.76),)),
        is_really_cured=True,
        accepts=_one_of(RECOVERED),
        outcome="recovered",
        limits=QUICK,
        stay=50,
    ),
    Profile(
        name="slow-stop",
        why="does not hear SIGTERM, is killed after 4 s of grace (exit code 137), then idle",
        lives=(BURNS, IDLES),
        is_really_cured=True,
        accepts=_one_of(RECOVERED),
        outcome="recovered",
        stubborn=True,
        stop_timeout=4,
    ),
    Profile(
        name="health-starts-long",
        why="its probe fails for 5 s after the restart, within the start period of 7 s",
        lives=((burn(of=PROBED),), ("unwell", rest(100), "well")),
        is_really_cured=True,
        accepts=_one_of(RECOVERED),
        outcome="recovered",
        limits=PROBED,
        health=Health(start_period=7),
    ),
    Profile(
        name="one-failed-probe",
        why="one or two probes fail and four may: never unhealthy, and idle",
        lives=((burn(of=PROBED),), (rest(60), "unwell", rest(24), "well")),
        is_really_cured=True,
        accepts=_one_of(RECOVERED),
        outcome="recovered",
        limits=PROBED,
        health=Health(retries=4),
    ),
)

ILL = (
    Profile(
        name="instant-burner",
        why="takes all CPU from the first moment of every life",
        lives=(BURNS,),
        is_really_cured=False,
        accepts=_one_of(PERSISTS),
    ),
    Profile(
        name="burner-at-92%",
        why="takes 92% of its CPU after its restart, just above the rule",
        lives=(BURNS, (burn(0.92),)),
        is_really_cured=False,
        accepts=_one_of(PERSISTS),
    ),
    Profile(
        name="quiet-45s",
        why="quiet for 45 s after its restart, then takes all CPU: its alert ends and comes back",
        lives=(BURNS, (rest(45), burn())),
        is_really_cured=False,
        accepts=_one_of(PERSISTS),
    ),
    Profile(
        # Longer would be harder, and at this pace a matter of how busy the machine is: after 90 s
        # the alert is back 3 s of ours before the settle time ends.
        name="quiet-60s",
        why="quiet for 60 s, then takes all CPU: the alert is away for most of the settle time",
        lives=(BURNS, (rest(60), burn())),
        is_really_cured=False,
        accepts=_one_of(PERSISTS),
    ),
    Profile(
        name="fast-leak",
        why="at 90% of its memory again 15 s after its restart",
        lives=((hold(0.9),), (leak(0.9, 15),)),
        is_really_cured=False,
        accepts=_one_of(PERSISTS),
        limits=QUICK,
        done_within=REFILLED,
        stay=50,
    ),
    Profile(
        name="memory-just-above",
        why="from 90% of its memory to 85%, just above the rule",
        lives=((hold(0.9),), (hold(0.85),)),
        is_really_cured=False,
        accepts=_one_of(PERSISTS),
        limits=QUICK,
        done_within=REFILLED,
        stay=50,
    ),
    Profile(
        name="sawtooth",
        why="takes all CPU for 150 s, nothing for 60 s, and so on",
        lives=(BURNS, (burn(2, 150), rest(60)) * 20),
        is_really_cured=False,
        accepts=_one_of(PERSISTS),
    ),
    Profile(
        name="cured-of-one-of-two",
        why="two alerts, CPU and memory; after its restart idle, and at 90% of its memory again",
        lives=((hold(0.9), rest(200), burn(of=QUICK)), (hold(0.9),)),
        is_really_cured=False,
        accepts=_one_of(PERSISTS),
        limits=QUICK,
        done_within=REFILLED,
        stay=50,
    ),
    Profile(
        name="dependency-down",
        why="takes all CPU until what it needs was there at its start: repaired after the first"
        " verdict, so that the second restart cures",
        lives=((depend(),),),
        is_really_cured=False,
        accepts=_one_of(PERSISTS),
        afterwards=repaired,
        later=(_one_of(RECOVERED),),
        outcome="recovered",
        stay=65,
    ),
    Profile(
        name="second-restart-cures",
        why="takes all CPU in its first two lives",
        lives=(BURNS, BURNS, IDLES),
        is_really_cured=False,
        accepts=_one_of(PERSISTS),
        later=(_one_of(RECOVERED),),
        outcome="recovered",
        stay=65,
    ),
    Profile(
        name="oom-after-restart",
        why="idle for a minute after its restart, then out of memory and killed",
        lives=(BURNS, (rest(60), "devour")),
        is_really_cured=False,
        accepts=_one_of("exited"),
    ),
    Profile(
        name="crash-loop",
        why="ends with code 1 after 20 s, again and again; the engine starts it again",
        lives=(BURNS, (rest(20), "exit:1")),
        is_really_cured=False,
        accepts=_one_of("crash_loop"),
        restart="always",
    ),
    Profile(
        name="exits-at-once",
        why="ends with code 3 as soon as it is started",
        lives=(BURNS, ("exit:3",)),
        is_really_cured=False,
        accepts=_one_of("exited"),
    ),
    Profile(
        name="unhealthy",
        why="idle after its restart, and its health check fails",
        lives=((burn(of=PROBED),), ("unwell",)),
        is_really_cured=False,
        accepts=_one_of("unhealthy"),
        limits=PROBED,
        health=Health(),
    ),
    Profile(
        name="flapping-health",
        why="idle after its restart; unhealthy and healthy in turns, every two seconds",
        lives=((burn(of=PROBED),), (rest(40), f"flap:{2 * 100}")),
        is_really_cured=False,
        accepts=_one_of("unhealthy"),
        limits=PROBED,
        health=Health(retries=1),
    ),
)

#: Well for as long as the rules can look, and then ill again: recovered, and later turned.
RELAPSING = (
    Profile(
        name="relapse-at-25min",
        why="idle for 25 minutes and the settle time, then takes all CPU",
        lives=(BURNS, (rest(25 * _MINUTE + 5 * _MINUTE), burn())),
        is_really_cured=True,
        accepts=_one_of(RECOVERED),
        relapses=True,
        stay=125,
    ),
    Profile(
        name="slow-leak",
        why="memory grows to 90% within 9 min: above the rule after the settle time of 6 min",
        lives=((hold(0.9),), (leak(0.9, 9 * _MINUTE),)),
        is_really_cured=True,
        accepts=_one_of(RECOVERED),
        relapses=True,
        limits=QUICK,
        stay=75,
    ),
    Profile(
        name="leak-within-settle",
        why="memory above the rule after 3 min, within the settle time; but the rule's own `for`"
        " ends after it, so no alert can tell before",
        lives=((hold(0.9),), (leak(0.9, 3.4 * _MINUTE),)),
        is_really_cured=True,
        accepts=_one_of(RECOVERED, PERSISTS),
        relapses=True,
        limits=QUICK,
        stay=70,
    ),
    Profile(
        name="other-illness",
        why="CPU is cured, but it holds 90% of its memory from its restart on: that alert comes"
        " after the settle time of the first, since its `for` is longer",
        lives=((burn(of=QUICK),), (hold(0.9),)),
        is_really_cured=True,
        accepts=_one_of(RECOVERED),
        relapses=True,
        limits=QUICK,
        stay=45,
    ),
)

#: Somebody takes the attempt, or its evidence, away: nothing may count.
TAKEN_AWAY = (
    Profile(
        name="deploy-meanwhile",
        why="ill; replaced by a new container while its restart is being verified (`held` where"
        " Relevo looks between the end of the old one and its removal)",
        lives=(BURNS,),
        is_really_cured=False,
        accepts=_one_of("vanished", "held"),
        disturbance=deployed,
    ),
    Profile(
        name="silenced-meanwhile",
        why="ill; its alert is silenced while its restart is being verified",
        lives=(BURNS,),
        is_really_cured=False,
        accepts=_one_of("cancelled"),
        disturbance=silenced,
    ),
    Profile(
        name="stopped-by-hand",
        why="ill; stopped by a person while its restart is being verified",
        lives=(BURNS,),
        is_really_cured=False,
        accepts=_one_of("held"),
        disturbance=stopped_by_hand,
    ),
    Profile(
        name="stopped-at-once",
        why="ill; stopped by a person half a second after our restart: no echo of it",
        lives=(BURNS,),
        is_really_cured=False,
        accepts=_one_of("held"),
        disturbance=stopped_at_once,
    ),
    Profile(
        name="paused-by-hand",
        why="ill; frozen by a person while its restart is being verified: it uses nothing, which"
        " says nothing",
        lives=(BURNS,),
        is_really_cured=False,
        accepts=_one_of("held", "cancelled"),
        disturbance=paused_by_hand,
    ),
    Profile(
        name="restarted-by-hand",
        why="ill; a person's restart during the verification cures it, and counts for nobody"
        " (`held` where Relevo looks while it is down)",
        lives=(BURNS, BURNS, IDLES),
        is_really_cured=False,
        accepts=_one_of("cancelled", "held"),
        disturbance=restarted_by_hand,
    ),
)

WELL = (
    Profile(
        name="cron-spike",
        why="every 4 min a job takes all CPU for 50 s: shorter than the rule's `for`, so nothing"
        " is ever done",
        lives=((*(rest(190), burn(2, 50)) * 3,),),
        is_really_cured=True,
        accepts=_one_of(NOTHING),
    ),
)

#: Those that need a chain which works.
PROFILES = (*CURED, *ILL, *RELAPSING, *TAKEN_AWAY, *WELL)
