"""A client of Relevo's own API, for the command line."""

from types import TracebackType
from typing import Any, Self

import httpx


class ApiError(Exception):
    """The API did not answer, or refused. The message is for the person at the terminal."""


class RelevoClient:
    """Asks one Relevo."""

    def __init__(self, url: str, *, token: str | None) -> None:
        self._url = url
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._http = httpx.AsyncClient(base_url=url, headers=headers, timeout=10)

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
        status = await self._get("/api/v1/status", holds="container_engine")
        # Without an engine there is no list of targets, and the status says so.
        if status["engine"] is None:
            return {"status": status, "targets": []}
        return {"status": status, **await self._get("/api/v1/targets", holds="targets")}

    async def _get(self, path: str, *, holds: str) -> dict[str, Any]:
        try:
            answer = await self._http.get(path)
            body = answer.json()
        except httpx.HTTPError as exc:
            raise ApiError(
                f"{self._url} does not answer ({exc}); is it running, and is RELEVO_URL right?"
            ) from exc
        except ValueError as exc:
            raise ApiError(f"{self._url} answers, but it is not Relevo") from exc
        if answer.is_error and isinstance(body, dict) and "detail" in body:
            raise ApiError(f"{self._url} answered {answer.status_code}: {body['detail']}")
        if answer.is_error or not isinstance(body, dict) or holds not in body:
            raise ApiError(f"{self._url} answers, but it is not Relevo")
        return body
