"""How the containers of the profiles are followed from their first alert to their verdicts."""

import asyncio
import re
import secrets
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from tests.stack.answers import Json
from tests.stack.containers import Patient, docker
from tests.stack.profiles import FAILED, NOTHING, RECOVERED, Life, Profile
from tests.stack.profiles_faults import Fault
from tests.stack.profiles_ward import Clinic, docker_log
from tests.stack.wait import NeverHappened, always, eventually

#: An alert fires 9 s (CPU) or 20 s (memory) after its container fell ill, the restart comes 3 s
#: later. A busy machine may take twice as long for everything.
RESTARTED_WITHIN = 75.0
#: From a restart to its verdict: 9 s of deadline, or up to 21 s until it has settled.
JUDGED_WITHIN = 60.0
#: From one verdict to the next: 15 s of backoff besides.
NEXT_WITHIN = 90.0
#: The illness of a profile that relapses, and the alert, come so long after the recovery.
RELAPSED_WITHIN = 150.0
#: Cores that the containers of one lab may use together, and how many there are at once. The engine
#: has each of two cores only for a part: all containers weigh as much as one process of the host.
CORES: Final = 0.6
BEDS: Final = 10

#: What a verdict was wrong as.
FALSE_RECOVERED = "false recovered"
FALSE_FAILED = "false failed"
OTHERWISE = "otherwise wrong"


class Void(Exception):
    """The profile did not come about, so there is nothing to be judged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """One attempt and what Relevo said of it."""

    profile: str
    #: 1 is the first attempt.
    attempt: int
    accepts: tuple[str, ...]
    #: Whether a return of the illness has to be seen.
    relapses: bool
    #: The first one; `nothing` where no attempt was made.
    verdict: str
    #: It turned into `relapsed` afterwards.
    turned: bool
    evidence: str

    @property
    def wrong(self) -> str | None:
        """What it was wrong as; None: it was right."""
        if self.verdict not in self.accepts:
            if self.verdict == RECOVERED and NOTHING not in self.accepts:
                return FALSE_RECOVERED
            failed = self.verdict in FAILED and self.could_be_false_failed
            return FALSE_FAILED if failed else OTHERWISE
        if self.verdict == RECOVERED and self.relapses and not self.turned:
            return FALSE_RECOVERED
        return OTHERWISE if self.turned and not self.relapses else None

    @property
    def could_be_false_recovered(self) -> bool:
        """Whether it was not, or not lastingly, cured: `recovered` would be, or stay, wrong."""
        return self.relapses or not {RECOVERED, NOTHING} & set(self.accepts)

    @property
    def could_be_false_failed(self) -> bool:
        """Whether nothing has failed: a verdict that counts would be wrong."""
        return not FAILED & set(self.accepts)

    @property
    def truth(self) -> str:
        """In one word, for the matrix."""
        accepted = set(self.accepts)
        if self.relapses:
            return "well, ill again later"
        if NOTHING in accepted:
            return "never ill for long"
        if FAILED & accepted:
            return "still ill"
        if RECOVERED in accepted:
            return "cured"
        return "nobody can tell" if "unknown" in accepted else "taken away"


@dataclass(slots=True, kw_only=True)
class Chart:
    """What became of one container."""

    profile: str
    judgements: list[Judgement] = field(default_factory=list)
    outcome: str | None = None
    #: Why it does not count; None: it does.
    void: str | None = None
    #: What was wrong beside the verdicts.
    complaints: list[str] = field(default_factory=list)
    #: All that is known, where something was wrong.
    witnesses: dict[str, Any] | None = None

    @property
    def wrong(self) -> list[str]:
        """Everything that is not as it should be; empty: all is right."""
        return [
            f"{one.wrong}: attempt {one.attempt} is {one.verdict} ({one.evidence}),"
            f" true is {' or '.join(one.accepts)}{', turned later' if one.relapses else ''}"
            for one in self.judgements
            if one.wrong
        ] + self.complaints


class Visit:
    """One container and its stories; what disturbances may do to it."""

    def __init__(self, lab: Clinic, profile: Profile, patient: Patient) -> None:
        self.lab = lab
        self.profile = profile
        self.patient = patient
        self.chart = Chart(profile=profile.name)
        self._acted_at = 0.0

    # ---------------------------------------------------------------- for disturbances

    async def since_restart(self, seconds: float) -> None:
        """
        Wait until so much time has passed since the attempt; not scaled.

        :raises Void: it has been judged by then
        """

        async def past() -> bool:
            return asyncio.get_running_loop().time() >= self._acted_at + seconds

        await eventually(past, within=seconds + 5, what="time passes")
        if (await self.attempts())[0]["verdict"] is not None:
            raise Void("it was judged before it could be disturbed")

    async def silence(self) -> None:
        """Silence its alerts in Alertmanager."""
        await self.lab.silence(self.patient)

    async def replace(self, *lives: Life) -> None:
        """Replace it by a new container of the same name, as a deploy does."""
        await docker("rm", "--force", self.patient.id)
        name = self.patient.name.removeprefix(f"{self.lab.engine}-")
        self.patient = await self.lab.ward.admit_profile(name, self.profile, lives=lives)

    # ---------------------------------------------------------------- its stories

    async def attempts(self) -> list[Json]:
        """All attempts, oldest first."""
        stories = reversed(await self.lab.remediations(self.patient))
        return [attempt for story in stories for attempt in story["attempts"]]

    async def restarted(self) -> None:
        """Wait until the first attempt has been carried out. :raises Void: it never is"""

        async def look() -> bool:
            found = await self.attempts()
            return bool(found) and (found[0]["acted_at"] or found[0]["verdict"]) is not None

        try:
            await eventually(look, within=RESTARTED_WITHIN, what="the first restart")
        except NeverHappened as exc:
            raise Void(f"it was never restarted: {exc}") from exc
        self._acted_at = asyncio.get_running_loop().time()

    async def verdict(self, number: int, accepts: frozenset[str], *, within: float) -> None:
        """Wait for the verdict on one attempt (1 is the first), and write it down."""

        async def look() -> Json | None:
            done = [one for one in await self.attempts() if one["verdict"] is not None]
            return done[number - 1] if len(done) >= number else None

        relapses = self.profile.relapses and number == 1
        try:
            found = await eventually(look, within=within, what=f"verdict {number}")
        except NeverHappened as exc:
            found = {"verdict": "none", "evidence": str(exc)}
        turned = False
        # One that relapses at once may be seen relapsed already.
        if found["verdict"] == "relapsed" and relapses:
            found, turned = found | {"verdict": RECOVERED}, True
        elif found["verdict"] == RECOVERED and relapses:
            turned = await self._turns()
        self.chart.judgements.append(
            Judgement(
                profile=self.profile.name,
                attempt=number,
                accepts=tuple(sorted(accepts)),
                relapses=relapses,
                verdict=str(found["verdict"]),
                turned=turned,
                evidence=str(found["evidence"]),
            )
        )

    async def _turns(self) -> bool:
        async def look() -> bool:
            return bool((await self.attempts())[0]["verdict"] == "relapsed")

        try:
            return await eventually(look, within=RELAPSED_WITHIN, what="the relapse")
        except NeverHappened:
            return False

    async def ends(self) -> None:
        """Wait for the end of its newest story, where the profile says how that must be."""
        wanted = self.profile.outcome

        async def look() -> Json | None:
            stories = await self.lab.remediations(self.patient)
            return stories[0] if stories and stories[0]["state"] == "closed" else None

        if wanted is None or self.chart.wrong:
            return
        try:
            self.chart.outcome = (await eventually(look, within=20, what="its end"))["outcome"]
        except NeverHappened as exc:
            self.chart.complaints.append(str(exc))
            return
        if self.chart.outcome != wanted:
            self.chart.complaints.append(f"it ended as {self.chart.outcome}, not {wanted}")

    # ---------------------------------------------------------------- from beginning to end

    async def run(self) -> None:
        """Follow the container through its profile."""
        profile = self.profile
        if NOTHING in profile.accepts:
            await self._nothing_is_done()
            return
        await self.restarted()
        if profile.disturbance is not None:
            await profile.disturbance(self)
        await self.verdict(1, profile.accepts, within=JUDGED_WITHIN)
        await self.came_about()
        if profile.afterwards is not None:
            await profile.afterwards(self)
        for number, accepts in enumerate(profile.later, start=2):
            if not self.chart.wrong:
                await self.verdict(number, accepts, within=NEXT_WITHIN)
        await self.ends()

    async def came_about(self) -> None:
        """
        Ask the container whether it did what its profile says, whatever the verdict.

        :raises Void: the machine was too busy
        """
        profile = self.profile
        lines = [line.split(" ", 1) for line in await docker_log(self.patient)]
        # Whose truth is another one than that it burns may as well not burn.
        burns = profile.relapses or FAILED & profile.accepts or "cancelled" in profile.accepts
        starved = [said for _, said in lines if "starved" in said and "life 1:" not in said]
        if burns and starved:
            raise Void(f"it did not get the CPU that it asked for: {starved}")
        within = profile.done_within
        if within is None:
            return
        steps = [(at, said) for at, said in lines if said.startswith("life 2: ")]
        began = datetime.fromisoformat(f"{steps[0][0][:26]}+00:00")
        done = [
            datetime.fromisoformat(f"{at[:26]}+00:00") - began
            for at, said in steps
            if said.endswith(": idle")
        ]
        if not done or done[0] > timedelta(seconds=within):
            raise Void(f"it was not done within {within:g} s: {done}")

    async def _nothing_is_done(self) -> None:
        found: list[Json] = []

        async def look() -> None:
            found[:] = await self.attempts()

        await always(look, during=self.profile.stay, until=lambda: bool(found))
        self.chart.judgements.append(
            Judgement(
                profile=self.profile.name,
                attempt=1,
                accepts=(NOTHING,),
                relapses=False,
                verdict="restarted" if found else NOTHING,
                turned=False,
                evidence=str(found[:1]),
            )
        )


@asynccontextmanager
async def admitted(lab: Clinic, profile: Profile) -> AsyncIterator[Visit]:
    """Have a container of a profile in the lab within the block; void what did not come about."""
    name = re.sub("[^a-z0-9]+", "-", profile.name.lower()).strip("-")
    patient = await lab.ward.admit_profile(f"{name}-{secrets.token_hex(2)}", profile)
    visit = Visit(lab, profile, patient)
    lab.arrives(patient)
    try:
        yield visit
    except Exception as exc:  # noqa: BLE001 -- one that failed must not end all the others
        visit.chart.void = f"{type(exc).__name__}: {exc}"
        visit.chart.judgements.clear()
    finally:
        lab.leaves(patient)
        if visit.chart.wrong or visit.chart.void or lab.keeps_all:
            visit.chart.witnesses = await lab.witnesses(visit.patient)
        await docker("rm", "--force", "--volumes", visit.patient.id)


class _Beds:
    """Lets in as many containers as the machine can carry."""

    def __init__(self, beds: int) -> None:
        self._free = beds
        #: In millicores, which add up without an error.
        self._left = round(CORES * 1000)
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def taken(self, profile: Profile) -> AsyncIterator[None]:
        """Have a place within the block."""
        needed = round(profile.cores * 1000)
        async with self._changed:
            await self._changed.wait_for(lambda: self._free > 0 and self._left >= needed)
            self._free -= 1
            self._left -= needed
        try:
            yield
        finally:
            async with self._changed:
                self._free += 1
                self._left += needed
                self._changed.notify_all()


async def attend(lab: Clinic, profiles: Iterable[Profile], *, beds: int = BEDS) -> list[Chart]:
    """Go through profiles side by side, as many at once as there are beds; longest first."""
    free = _Beds(beds)

    async def one(profile: Profile) -> Chart:
        async with free.taken(profile):
            async with admitted(lab, profile) as visit:
                await visit.run()
            return visit.chart

    longest_first = sorted(profiles, key=lambda profile: -profile.stay)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(profile)) for profile in longest_first]
    return [task.result() for task in tasks]


async def endure(lab: Clinic, faults: Sequence[Fault], *, copies: int = 1) -> list[Chart]:
    """Go through faults of the chain, one after the other."""
    return [chart for fault in faults for chart in await _suffer(lab, fault, copies)]


async def _suffer(lab: Clinic, fault: Fault, copies: int) -> list[Chart]:
    """Let a part fail once all containers are being verified; mend it; wait for the verdicts."""
    profiles = fault.profiles * copies
    visits: list[Visit] = []
    #: Those whose restart is still waited for.
    waiting = len(profiles)
    verified, struck = asyncio.Event(), asyncio.Event()

    async def one(profile: Profile) -> Chart:
        nonlocal waiting
        async with admitted(lab, profile) as visit:
            try:
                await visit.restarted()
                visits.append(visit)
            finally:
                waiting -= 1
                if waiting == 0:
                    verified.set()
            await struck.wait()
            if visit.chart.void is None:
                await visit.verdict(1, profile.accepts, within=JUDGED_WITHIN + fault.lasts)
                await visit.came_about()
        return visit.chart

    async def nothing() -> None:
        """Let it last."""

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(profile)) for profile in profiles]
        await verified.wait()
        for visit in visits:
            if (await visit.attempts())[0]["verdict"] is not None:
                visit.chart.void = "it was judged before the fault"
        await fault.strike(lab)
        struck.set()
        try:
            await always(nothing, during=fault.lasts)
        finally:
            await fault.mend(lab)
    return [task.result() for task in tasks]
