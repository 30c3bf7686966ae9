"""Grafana's annotations over its HTTP API: one region per attempt, whatever is sent twice."""

from collections.abc import Generator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import httpx
from pydantic import BaseModel, TypeAdapter, ValidationError

from app.adapters.json_get import WHOLE_CALL, OtherStatus, call_json
from app.domain.message import Annotation, Message
from app.errors import MessageRefused, SourceUnavailable
from app.policies.annotation import stage

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
#: Not a word about the message itself: a wrong or missing right, which a person corrects; too
#: slow; too much at once.
_LATER: Final = frozenset({401, 403, 408, 429})
#: What a person has to do about it.
_REMEDY: Final = {
    401: "RELEVO_GRAFANA_TOKEN (or the user and password in RELEVO_GRAFANA_URL) is not taken there",
    403: "its service account may not read and write annotations: give it the role Editor",
}
#: One is ours; what else Grafana calls a match is looked through and left alone.
_MOST_FOUND: Final = "20"


class _Found(BaseModel, defer_build=True):
    id: int
    tags: tuple[str, ...] | None = None


_LIST: Final = TypeAdapter(tuple[_Found, ...])


class _Bearer(httpx.Auth):
    """A service account's token, on each request and in no URL."""

    def __init__(self, token: str) -> None:
        self._value = f"Bearer {token}"

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["Authorization"] = self._value
        yield request


class GrafanaAnnotations:
    """
    `ports.MessageSink` over ``/api/annotations``.

    They belong to no dashboard: any dashboard shows them that asks for their tags.

    :param url: base URL, a path prefix included; may hold user and password instead of a token
    :param token: of a service account that may read and write annotations
    :param client: shared; whoever made it closes it
    :param limit: time for one call; a message takes two
    """

    def __init__(
        self,
        url: str,
        token: str | None,
        client: httpx.AsyncClient,
        *,
        limit: timedelta = WHOLE_CALL,
    ) -> None:
        self._url = f"{url.rstrip('/')}/api/annotations"
        self._auth = None if token is None else _Bearer(token)
        self._client = client
        self._limit = limit

    async def deliver(self, message: Message) -> None:
        """See `app.ports.MessageSink`."""
        annotation = message.payload
        document = _written(annotation)
        try:
            found = await self._find(message.id)
            # Of several (two controllers at one moment) each tells the same.
            for one in found:
                if stage(one.tags or ()) <= stage(annotation.tags):
                    await self._call("PATCH", f"{self._url}/{one.id}", document)
            if not found:
                await self._call("POST", self._url, document)
        except OtherStatus as exc:
            if 400 <= exc.status < 500 and exc.status not in _LATER:
                raise MessageRefused(str(exc)) from exc
            if exc.status in _REMEDY:
                raise OtherStatus(f"{exc}: {_REMEDY[exc.status]}", exc.status) from exc
            raise

    async def _find(self, tag: str) -> Sequence[_Found]:
        body = await call_json(
            self._client,
            "GET",
            self._url,
            who="Grafana",
            params={"tags": tag, "type": "annotation", "limit": _MOST_FOUND},
            auth=self._auth,
            limit=self._limit,
        )
        try:
            listed = _LIST.validate_python(body)
        except ValidationError as exc:
            first = exc.errors(include_url=False, include_input=False)[0]
            raise SourceUnavailable(
                f"Grafana answered in a form that is not known: {first['loc']}: {first['msg']}"
            ) from exc
        # Over a MySQL it compares without regard to case.
        return [one for one in listed if tag in (one.tags or ())]

    async def _call(self, method: str, url: str, document: dict[str, object]) -> None:
        await call_json(
            self._client,
            method,
            url,
            who="Grafana",
            document=document,
            auth=self._auth,
            limit=self._limit,
        )


def _written(annotation: Annotation) -> dict[str, object]:
    document: dict[str, object] = {
        "time": _ms(annotation.starts_at),
        "tags": list(annotation.tags),
        "text": annotation.text,
    }
    if annotation.ends_at is not None:
        document["timeEnd"] = _ms(annotation.ends_at)
    return document


def _ms(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(milliseconds=1)
