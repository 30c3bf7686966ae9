"""What tests of single faults ask of a house, and wait for."""

from typing import Any, Final

import httpx

from app.adapters.clock import LoopClock
from tests.chaos.house import WAIT_S, House, Patient
from tests.chaos.pager import WEBHOOK, Alert, notification
from tests.chaos.starts import Starts
from tests.stack.wait import always, eventually

#: Nothing is done for 15 s after the store was lost (app/controller/tenure.py), and the rest of a
#: wait, a pull and a restart come on top.
AFTER_HOLD: Final = 45.0
#: A wait that was due long ago.
LONG_DUE: Final = 2 * WAIT_S


class Visit:
    """One house, and what the engine says of its containers."""

    def __init__(self, house: House, starts: Starts) -> None:
        self.house = house
        self._starts = starts
        self._clock = LoopClock()

    def starts(self, patient: Patient) -> int:
        """How often a container was started since it was admitted."""
        return len(self._starts.of(patient.id)) - 1

    async def post(self, *alerts: Alert, to: int = 0) -> httpx.Response:
        """Post a notification once; whatever the answer."""
        return await self.house.http.post(
            f"{self.house.controllers[to].url}{WEBHOOK}",
            json=notification(alerts, group="by hand"),
        )

    def alert(self, patient: Patient, name: str = "PostedByHand") -> Alert:
        """Make an alert that nobody sends by itself."""
        return Alert(labels=self.house.labels(patient, name), starts_at=self._clock.now())

    async def status(self, of: int = 0) -> dict[str, Any]:
        """What a controller says of itself."""
        return await self.house.controllers[of].get(self.house.http, "/api/v1/status")

    async def ready(self, of: int = 0) -> tuple[int, str]:
        """What a controller says on /-/ready: the status, and all of the text."""
        answer = await self.house.http.get(f"{self.house.controllers[of].url}/-/ready")
        return answer.status_code, answer.text

    async def stories(self, patient: Patient) -> list[dict[str, Any]]:
        """All stories of a container, newest first."""
        found = await self.house.stories()
        return [one for one in found if one["target"].endswith(f":{patient.name}")]

    async def waits(self, patient: Patient, *, within: float = 20) -> None:
        """Wait until a container waits for its restart."""

        async def look() -> bool:
            return any(one["state"] == "waiting" for one in await self.stories(patient))

        await eventually(look, within=within, what=f"{patient.name} waits")

    async def restarted(self, patient: Patient, times: int = 1, *, within: float = 20) -> None:
        """Wait until a container was restarted so often."""

        async def look() -> bool:
            return self.starts(patient) >= times

        await eventually(look, within=within, what=f"{patient.name} is restarted")
        assert self.starts(patient) == times

    async def ends(self, patient: Patient, *, within: float = 30) -> dict[str, Any]:
        """Wait until all stories of a container have ended; answer the newest."""

        async def look() -> list[dict[str, Any]]:
            found = await self.stories(patient)
            return found if found and all(one["state"] == "closed" for one in found) else []

        newest, *_ = await eventually(look, within=within, what=f"{patient.name}: it is over")
        return newest

    async def is_left_alone(self, patient: Patient, times: int, *, during: float) -> None:
        """See that a container is not restarted again."""

        async def look() -> None:
            assert self.starts(patient) == times

        await always(look, during=during)

    async def accepts(self, alert: Alert, *, within: float = 20) -> None:
        """Post until it is taken."""

        async def look() -> bool:
            return (await self.post(alert)).status_code == 202

        await eventually(look, within=within, what="alerts are taken on")

    async def refuses(self, alert: Alert, *, within: float = 10) -> httpx.Response:
        """Post until it is refused: the way that makes Alertmanager try again."""
        last: list[httpx.Response] = []

        async def look() -> bool:
            last[:] = [await self.post(alert)]
            return last[0].status_code == 503

        await eventually(look, within=within, what="alerts are refused")
        return last[0]
