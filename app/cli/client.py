"""A client of Relevo's own API, for the command line."""

import uuid
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote

import httpx

#: Reading is answered at once, or the list says what is down.
_READING_S: Final = 10
#: An order looks at the container first; a dry run of a clone takes a slow engine half a minute.
_ORDERING_S: Final = 60
#: Scaling activities told with a story.
_LATELY: Final = 3

Params = Mapping[str, str | int | None]


class ApiError(Exception):
    """
    The API did not answer, or refused. The message is for the person at the terminal.

    :param status: of the answer; None where there was none that we know
    :param reason: of a refused order, its word
    """

    def __init__(
        self, message: str, *, status: int | None = None, reason: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


class RelevoClient:
    """Asks one Relevo, and orders."""

    def __init__(self, url: str, *, token: str | None) -> None:
        self._url = url
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        # HTTP_PROXY is for the net: whoever listens there has no business with our token.
        self._http = httpx.AsyncClient(
            base_url=url,
            headers=headers,
            timeout=_READING_S,
            trust_env=False,
            verify=httpx.create_ssl_context(),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._http.aclose()

    async def overview(self) -> dict[str, Any]:
        """Ask for status and targets."""
        status = await self.status()
        # Without an engine there is no list of targets, and the status says so.
        if status["engine"] is None:
            return {"status": status, "targets": []}
        return {"status": status, **await self.targets()}

    async def status(self) -> dict[str, Any]:
        """Ask how it is."""
        return await self._get("/api/v1/status", holds="container_engine")

    async def targets(self) -> dict[str, Any]:
        """Ask for all targets."""
        return await self._get("/api/v1/targets", holds="targets")

    async def target(self, name: str) -> dict[str, Any]:
        """Ask for one target."""
        return await self._get(f"/api/v1/targets/{_part(name)}", holds="target")

    async def remediations(self, **params: str | int | None) -> dict[str, Any]:
        """Ask for stories: ``target``, ``state``, ``limit``."""
        return await self._get("/api/v1/remediations", holds="remediations", params=params)

    async def remediation(self, remediation_id: str) -> dict[str, Any]:
        """Ask for one story with its case files."""
        return await self._get(f"/api/v1/remediations/{_part(remediation_id)}", holds="attempts")

    async def activities(self, **params: str | int | None) -> dict[str, Any]:
        """Ask for scaling activities: ``group``, ``limit``."""
        return await self._get("/api/v1/activities", holds="activities", params=params)

    async def policies(self) -> dict[str, Any]:
        """Ask for the policies in force."""
        return await self._get("/api/v1/policies", holds="defaults")

    async def metrics(self) -> str:
        """Ask for its metrics, as text."""
        try:
            answer = await self._http.get("/metrics")
        except httpx.HTTPError as exc:
            raise self._silent(exc) from exc
        if not answer.is_success:
            self._body(answer)
        return answer.text

    async def story(self, target: str) -> dict[str, Any]:
        """Ask for all that tells why a target is as it is."""
        shown = await self.target(target)
        listed = await self.remediations(target=shown["target"], limit=1)
        newest = shown["remediation"] or next((r["id"] for r in listed["remediations"]), None)
        return {
            "status": await self.status(),
            "target": shown,
            "remediation": await self.remediation(newest) if newest is not None else None,
            **await self.activities(group=shown["group"], limit=_LATELY),
        }

    async def audit(self, **params: str | int | None) -> dict[str, Any]:
        """Ask for lines of the audit: ``after``, ``since``, ``limit``."""
        return await self._get("/api/v1/audit", holds="lines", params=params)

    async def audit_check(self) -> dict[str, Any]:
        """Ask whether the audit is what was written."""
        return await self._get("/api/v1/audit/verify", holds="whole")

    async def order_target(self, target: str, what: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Have something done to a target: ``restart``, ``scale-out``, ``hold``, …"""
        return await self._order(f"/api/v1/targets/{_part(target)}/{what}", body)

    async def cancel(self, remediation_id: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Call a remediation off."""
        return await self._order(f"/api/v1/remediations/{_part(remediation_id)}/cancel", body)

    async def pause(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Pause everything."""
        return await self._order("/api/v1/pause", body)

    async def resume(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """End the pause."""
        return await self._order("/api/v1/resume", body)

    async def _get(self, path: str, *, holds: str, params: Params | None = None) -> dict[str, Any]:
        given = {name: value for name, value in (params or {}).items() if value is not None}
        try:
            answer = await self._http.get(path, params=given)
        except httpx.HTTPError as exc:
            raise self._silent(exc) from exc
        body = self._body(answer)
        if holds not in body:
            raise self._stranger()
        return body

    async def _order(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        # The same key both times: whatever became of the first, it is done once.
        headers = {"Idempotency-Key": str(uuid.uuid4())}
        send = self._http.build_request(
            "POST", path, json=body, headers=headers, timeout=_ORDERING_S
        )
        try:
            try:
                answer = await self._http.send(send)
            except httpx.TransportError:
                answer = await self._http.send(send)
        except httpx.HTTPError as exc:
            raise self._silent(exc) from exc
        return self._body(answer)

    def _body(self, answer: httpx.Response) -> dict[str, Any]:
        try:
            body = answer.json()
        except ValueError as exc:
            raise self._stranger() from exc
        if answer.is_error and isinstance(body, dict) and "detail" in body:
            raise ApiError(
                f"{self._url} answered {answer.status_code}: {body['detail']}",
                status=answer.status_code,
                reason=body.get("reason"),
            )
        if not answer.is_success or not isinstance(body, dict):
            raise self._stranger()
        return body

    def _silent(self, exc: Exception) -> ApiError:
        said = str(exc) or type(exc).__name__
        return ApiError(
            f"{self._url} does not answer ({said}); is it running, and is RELEVO_URL right?"
        )

    def _stranger(self) -> ApiError:
        return ApiError(f"{self._url} answers, but it is not Relevo")


def _part(text: str) -> str:
    """Write a name as one part of a path; a name of dots would lead elsewhere."""
    return quote(text, safe=":") if text.strip(".") else quote(text).replace(".", "%2E")
