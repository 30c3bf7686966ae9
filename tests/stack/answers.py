"""What the parts of a chain say when a test asks them."""

from datetime import datetime
from typing import Any

import httpx

from tests.stack.containers import Patient
from tests.stack.notice import POSTED, notice

Json = dict[str, Any]


class Answers:
    """Asks Relevo, Prometheus and Alertmanager of one chain."""

    http: httpx.AsyncClient
    engine: str
    relevo_url: str
    prometheus_url: str
    alertmanager_url: str
    #: Scope -> Relevo's token for it.
    tokens: dict[str, str]

    async def get(self, path: str, **parameters: str) -> Json:
        """Ask Relevo's API."""
        answer = await self.http.get(
            f"{self.relevo_url}{path}",
            params=parameters,
            headers={"Authorization": f"Bearer {self.tokens['read']}"},
        )
        answer.raise_for_status()
        found: Json = answer.json()
        return found

    async def order(self, patient: Patient, what: str, reason: str) -> httpx.Response:
        """Give a person's order: ``restart``, ``scale-out``, …"""
        return await self.http.post(
            f"{self.relevo_url}/api/v1/targets/{self.engine}:{patient.slot}/{what}",
            json={"reason": reason},
            headers={"Authorization": f"Bearer {self.tokens['operate']}"},
        )

    async def metric(self, series: str) -> float:
        """Read one of Relevo's own metrics, by its name and labels as they are written."""
        answer = await self.http.get(
            f"{self.relevo_url}/metrics",
            headers={"Authorization": f"Bearer {self.tokens['read']}"},
        )
        answer.raise_for_status()
        lines = answer.text.splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(f"{series} "))

    async def counted(self, result: str, reason: str = "") -> int:
        """How many alerts have come to what, by Relevo's own count."""
        return round(
            await self.metric(f'relevo_alerts_total{{reason="{reason}",result="{result}"}}')
        )

    async def remediations(self, patient: Patient) -> list[Json]:
        """The stories of one container, newest first."""
        found: list[Json] = (
            await self.get("/api/v1/remediations", target=f"{self.engine}:{patient.slot}")
        )["remediations"]
        return found

    async def attempts(self, patient: Patient) -> list[Json]:
        """All attempts on one container, oldest first."""
        stories = reversed(await self.remediations(patient))
        return [attempt for story in stories for attempt in story["attempts"]]

    async def target(self, patient: Patient) -> Json | None:
        """What Relevo says of one container now."""
        for found in (await self.get("/api/v1/targets"))["targets"]:
            if found["target"] == f"{self.engine}:{patient.slot}":
                return dict(found)
        return None

    async def alerts(self, patient: Patient) -> list[Json]:
        """The active alerts on one container, from Alertmanager; not what Relevo says of it."""
        answer = await self.http.get(
            f"{self.alertmanager_url}/api/v2/alerts",
            params={
                "filter": [f'name="{patient.name}"', 'alertname!~"Relevo.*"'],
                "active": "true",
            },
        )
        answer.raise_for_status()
        return list(answer.json())

    async def query(self, promql: str) -> list[Json]:
        """Ask Prometheus; one dict per series."""
        answer = await self.http.get(
            f"{self.prometheus_url}/api/v1/query", params={"query": promql}
        )
        answer.raise_for_status()
        return list(answer.json()["data"]["result"])

    async def page(self, url: str) -> httpx.Response:
        """Ask for any page, whatever the answer."""
        return await self.http.get(url)

    async def post_notice(
        self, patient: Patient, *, status: str, starts_at: datetime, alert: str = POSTED
    ) -> httpx.Response:
        """Post a notice as Alertmanager would, of an alert that its API does not know."""
        return await self.http.post(
            f"{self.relevo_url}/api/v1/webhooks/alertmanager",
            json=notice(self.engine, patient, status=status, starts_at=starts_at, alert=alert),
            headers={"Authorization": f"Bearer {self.tokens['ingest']}"},
        )

    async def notify(
        self, patient: Patient, *, status: str, starts_at: datetime, alert: str = POSTED
    ) -> Json:
        """Post a notice that is taken; return the answer."""
        answer = await self.post_notice(patient, status=status, starts_at=starts_at, alert=alert)
        answer.raise_for_status()
        found: Json = answer.json()
        return found
