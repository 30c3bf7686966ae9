"""
Alerts that a test raises itself, in the real Alertmanager: posted as Prometheus would.

For what is not about measuring: the alert begins and ends when the test says so, and the container
burns nothing. Routes, notices, the API and silences are Alertmanager's own.
"""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx

from app.adapters.clock import LoopClock
from tests.stack.containers import Patient

if TYPE_CHECKING:
    from tests.stack.lab import Lab

#: The name of the alerts.
SICK = "Sick"
#: Long after any test: whoever ends an alert here does so himself.
_FAR = timedelta(hours=1)


def _now() -> datetime:
    return LoopClock().now()


class Alarm:
    """Raises and ends alerts, silences them and lists them."""

    def __init__(self, lab: "Lab") -> None:
        self._lab = lab
        #: What is being raised, by container and name: its labels, and since when.
        self._raised: dict[tuple[str, str], tuple[dict[str, str], datetime]] = {}

    async def fire(
        self,
        patient: Patient,
        *,
        name: str = SICK,
        engine: str | None = None,
        url: str | None = None,
    ) -> None:
        """
        Raise an alert on a container; once more is the same alert.

        :param engine: another than the lab's own
        :param url: of another Alertmanager than the lab's first
        """
        labels = {
            "alertname": name,
            "engine": engine or self._lab.engine,
            "name": patient.name,
            "group": patient.name,
            "severity": "critical",
        }
        known = self._raised.setdefault((patient.name, name), (labels, _now()))
        await self._post(*known, known[1] + _FAR, url)

    async def calm(self, patient: Patient, *urls: str, name: str = SICK) -> None:
        """
        End an alert.

        :param urls: of all Alertmanagers that have it; none: of the lab's first
        """
        known = self._raised.pop((patient.name, name))
        for url in urls or (None,):
            await self._post(*known, _now(), url)

    async def _post(
        self, labels: dict[str, str], starts_at: datetime, ends_at: datetime, url: str | None
    ) -> None:
        alert = {
            "labels": labels,
            "annotations": {"summary": f"{labels['name']} is sick"},
            "startsAt": starts_at.isoformat(),
            "endsAt": ends_at.isoformat(),
        }
        await self._send("POST", "alerts", [alert], url=url)

    async def silence(self, patient: Patient) -> str:
        """Silence all alerts on a container; return the silence's id."""
        now = _now()
        made = await self._send(
            "POST",
            "silences",
            {
                "matchers": [{"name": "name", "value": patient.name, "isRegex": False}],
                "startsAt": now.isoformat(),
                "endsAt": (now + _FAR).isoformat(),
                "createdBy": "test",
                "comment": "looking into it",
            },
        )
        return str(made.json()["silenceID"])

    async def unsilence(self, silence: str) -> None:
        """End a silence."""
        await self._send("DELETE", f"silence/{silence}")

    async def listed(self, name: str) -> list[dict[str, Any]]:
        """List the alerts of a name that are active."""
        answer = await self._send("GET", f'alerts?active=true&filter=alertname%3D"{name}"')
        return list(answer.json())

    async def _send(
        self, method: str, path: str, body: Any = None, *, url: str | None = None
    ) -> httpx.Response:
        answer = await self._lab.http.request(
            method, f"{url or self._lab.alertmanager_url}/api/v2/{path}", json=body
        )
        answer.raise_for_status()
        return answer
