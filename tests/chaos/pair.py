"""Two controllers on one Redis, and how long it takes the one to act when the other is gone."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Final

import httpx

from app.adapters.clock import LoopClock
from tests.chaos.controllers import Controller
from tests.chaos.engine_proxy import Mode, Phase
from tests.chaos.house import WAIT_S, House, Patient
from tests.chaos.pager import WEBHOOK, Alert, notification
from tests.chaos.starts import Starts
from tests.stack.wait import eventually

#: How often something is looked at whose time is measured.
_LOOK_S: Final = 0.02
#: No takeover takes this long.
_GIVEN_UP_S: Final = 60.0
#: Longer than the wait: what was due while the engine was away.
_AWAY_S: Final = 6.0

Measured = dict[str, float]


class Pair:
    """A house with two controllers, brought to rest between two measurements."""

    def __init__(self, house: House, starts: Starts) -> None:
        self.house = house
        self._starts = starts
        self._clock = LoopClock()
        self._turn = 0
        #: Alert -> starts of its container before it.
        self._fired: dict[str, tuple[Patient, Alert, int]] = {}

    # ------------------------------------------------------------------ its state

    async def at_rest(self) -> tuple[Controller, Controller]:
        """Wait until one leads, the other follows, and nothing is open; answer them."""
        found: list[Controller] = []

        async def look() -> bool:
            found.clear()
            for controller in self.house.controllers:
                acting = (await controller.get(self.house.http, "/-/ready"))["acting"]
                if acting["role"] == "leading" and not acting["trouble"]:
                    found.insert(0, controller)
                else:
                    found.append(controller)
            roles = await asyncio.gather(*(self.role(one) for one in found))
            targets = (await found[0].get(self.house.http, "/api/v1/targets"))["targets"]
            return roles == ["leading", "following"] and all(
                target["state"] in ("ok", "cooldown") for target in targets
            )

        await eventually(look, within=_GIVEN_UP_S * 2, what="one leads, one follows, all is well")
        return found[0], found[1]

    async def role(self, controller: Controller) -> str | None:
        """What a controller says of itself; None: nothing."""
        with suppress(httpx.HTTPError):
            status = await controller.get(self.house.http, "/api/v1/status")
            return str(status["acting"]["role"])
        return None

    def patient(self, *, stubborn: bool = False) -> Patient:
        """Choose one of its containers, in turn."""
        fitting = [one for one in self.house.patients if one.stubborn is stubborn]
        self._turn += 1
        return fitting[self._turn % len(fitting)]

    def starts(self, patient: Patient) -> int:
        """How often a container was started."""
        return len(self._starts.of(patient.id))

    async def fire(self, patient: Patient) -> None:
        """Let an alert fire, and wait until it is taken on."""
        before = self.starts(patient)
        alert = self.house.pager.fire(self.house.labels(patient))
        self._fired[patient.id] = (patient, alert, before)

        async def taken() -> bool:
            return alert.taken_at is not None

        await eventually(taken, within=_GIVEN_UP_S, what="the alert is taken on")

    async def acted_on(self, patient: Patient) -> float:
        """Wait until a container is restarted; answer when, of the monotonic clock."""
        _, alert, before = self._fired[patient.id]
        deadline = time.monotonic() + _GIVEN_UP_S
        while self.starts(patient) <= before:
            assert time.monotonic() < deadline, f"{patient.name} is not restarted"
            await asyncio.sleep(_LOOK_S)
        self.house.pager.resolve(alert)
        return time.monotonic()

    async def seated(self, *, not_by: str) -> float:
        """Wait until somebody else has the seat; answer when."""
        deadline = time.monotonic() + _GIVEN_UP_S
        while (await self.house.redis.leader() or not_by) == not_by:
            assert time.monotonic() < deadline, "nobody takes the seat"
            await asyncio.sleep(_LOOK_S)
        return time.monotonic()

    def doubled(self) -> int:
        """Count the containers that were started more than once for their one alert."""
        many = sum(self.starts(one) - before != 1 for one, _, before in self._fired.values())
        self._fired.clear()
        return many

    # ------------------------------------------------------------------ what is measured

    async def killed_waiting(self) -> Measured:
        """SIGKILL the leader while an alert waits."""
        leader, _ = await self.at_rest()
        patient = self.patient()
        await self.fire(patient)
        instance = leader.instance or ""
        leader.shoot()
        killed_at = time.monotonic()
        seated, acted = await asyncio.gather(self.seated(not_by=instance), self.acted_on(patient))
        await self.again(leader)
        return {
            "takes the seat": seated - killed_at,
            "acts": acted - killed_at,
            "doubled": self.doubled(),
        }

    async def killed_acting(self) -> Measured:
        """SIGKILL the leader while the engine is at it, and another alert waits."""
        leader, _ = await self.at_rest()
        instance = leader.instance or ""
        stubborn, patient = self.patient(stubborn=True), self.patient()
        killed: list[float] = []

        def shoot() -> bool:
            leader.shoot()
            killed.append(time.monotonic())
            return True

        leader.proxy.trap(Phase.FORWARDED, shoot)
        await self.fire(stubborn)
        await asyncio.sleep(WAIT_S / 4)  # its turn comes later
        await self.fire(patient)
        seated, _, acted = await asyncio.gather(
            self.seated(not_by=instance), self.acted_on(stubborn), self.acted_on(patient)
        )
        assert killed, "the leader was not killed: it did not act"
        await self.again(leader)
        return {
            "takes the seat": seated - killed[0],
            "acts": acted - killed[0],
            "doubled": self.doubled(),
        }

    async def terminated(self) -> Measured:
        """SIGTERM the leader while an alert is about to be due."""
        leader, _ = await self.at_rest()
        instance = leader.instance or ""
        patient = self.patient()
        await self.fire(patient)
        asked_at = time.monotonic()
        seated, acted, _ = await asyncio.gather(
            self.seated(not_by=instance), self.acted_on(patient), leader.program.stop()
        )
        await self.again(leader)
        return {
            "takes the seat": seated - asked_at,
            # Its own wait is not the successor's fault.
            "acts": max(0.0, acted - asked_at - WAIT_S),
            "doubled": self.doubled(),
        }

    async def restarted(self) -> Measured:
        """SIGKILL both, and start the leader again: it takes its own seat back."""
        leader, follower = await self.at_rest()
        patient = self.patient()
        await self.fire(patient)
        for controller in (follower, leader):
            await controller.program.kill()
        await leader.start()
        begun = time.monotonic()
        listens = await self._until(lambda: self._answers(leader))
        acted = await self.acted_on(patient)
        await follower.start()
        return {
            "listens": listens - begun,
            "acts": acted - listens,
            "doubled": self.doubled(),
        }

    async def frozen(self, for_s: float) -> Measured:
        """SIGSTOP the leader for long: the other takes over, the woken one does nothing."""
        leader, _ = await self.at_rest()
        patient, later = self.patient(), self.patient()
        await self.fire(patient)
        leader.freeze()
        frozen_at = time.monotonic()
        try:
            acted_s = await self.acted_on(patient) - frozen_at
            await asyncio.sleep(max(0.0, for_s - 2 * WAIT_S - acted_s))
            # Due about when it wakes.
            await self.fire(later)
            await asyncio.sleep(max(0.0, frozen_at + for_s - time.monotonic()))
        finally:
            leader.thaw()
        await self.acted_on(later)
        await self.at_rest()
        woken_leads = await self.role(leader) == "leading"
        return {"acts": acted_s, "doubled": self.doubled() + woken_leads}

    async def redis_restarted(self) -> Measured:
        """SIGKILL Redis, and start it again, while an alert waits."""
        await self.at_rest()
        patient = self.patient()
        await self.fire(patient)
        await self.house.redis.kill()
        await self.house.redis.start()
        return await self._after_outage(patient)

    async def engine_back(self) -> Measured:
        """Have no engine for some seconds, while an alert waits."""
        await self.at_rest()
        patient = self.patient()
        await self.fire(patient)
        for controller in self.house.controllers:
            await controller.proxy.switch(Mode.REFUSE)
        await asyncio.sleep(_AWAY_S)
        for controller in self.house.controllers:
            await controller.proxy.switch(Mode.PASS)
        return await self._after_outage(patient)

    async def _after_outage(self, patient: Patient) -> Measured:
        back_at = time.monotonic()
        other = self.patient()
        accepted, acted = await asyncio.gather(self._accepted(other), self.acted_on(patient))
        return {
            "accepts": accepted - back_at,
            "acts": max(0.0, acted - back_at),
            "doubled": self.doubled(),
        }

    async def _accepted(self, patient: Patient) -> float:
        """Post an alert, over and over, until every controller has taken it; end it then."""
        before = self.starts(patient)
        alert = Alert(labels=self.house.labels(patient, "Posted"), starts_at=self._clock.now())

        async def post(controller: Controller) -> bool:
            body = notification([alert], group=patient.name)
            answer = await self.house.http.post(f"{controller.url}{WEBHOOK}", json=body, timeout=2)
            return answer.status_code < 300

        both = self.house.controllers
        taken = [await self._until(partial(post, controller)) for controller in both]
        alert.ends_at = self._clock.now()
        for controller in both:
            await self._until(partial(post, controller))
        assert self.starts(patient) == before
        return max(taken)

    async def _answers(self, controller: Controller) -> bool:
        return (await self.house.http.get(f"{controller.url}/-/healthy")).status_code == 200

    async def _until(self, look: Callable[[], Awaitable[bool]]) -> float:
        deadline = time.monotonic() + _GIVEN_UP_S
        while True:
            with suppress(httpx.HTTPError):
                if await look():
                    return time.monotonic()
            assert time.monotonic() < deadline, "never"
            await asyncio.sleep(_LOOK_S)

    async def again(self, controller: Controller) -> None:
        """Start one that has ended."""
        await controller.program.kill()
        await controller.start()
