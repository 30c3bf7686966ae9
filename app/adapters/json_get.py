"""One bounded exchange of JSON with a monitoring API; every failure is one sentence."""

import asyncio
import json
from collections.abc import Mapping
from datetime import timedelta

import httpx
from pydantic_core import from_json

from app.errors import SourceUnavailable

#: One whole call. Prometheus and Alertmanager answer ours in milliseconds; one that needs longer
#: is in trouble, and the step that asks must not be held up by it.
WHOLE_CALL = timedelta(seconds=5)
#: A host that is switched off answers nothing at all: find out soon.
_CONNECT_S = 2.0
#: 50,000 alerts of 1 kB each: more is not an answer to us.
_MOST_BYTES = 50_000_000
#: Larger answers are read beside the event loop.
_AT_ONCE = 64 * 1024
_EXCERPT = 200


class OtherStatus(SourceUnavailable):
    """
    It answered, and not with 200.

    :param status: what it answered
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


async def get_json(
    client: httpx.AsyncClient,
    url: str,
    *,
    who: str,
    params: Mapping[str, str] | None = None,
    limit: timedelta = WHOLE_CALL,
) -> object:
    """
    Return the parsed JSON of a 200 answer.

    :param who: names the far side in error messages, such as ``Prometheus``
    :param limit: time for the whole call, from connecting to the last byte
    :raises SourceUnavailable: no answer, another status, too much, or not JSON
    """
    where = f"{who} at {_shown(url)}"
    body = await _exchange(client, "GET", url, where=where, limit=limit, params=params)
    if len(body) <= _AT_ONCE:
        return _parsed(body, where)
    return await asyncio.to_thread(_parsed, body, where)


async def call_json(
    client: httpx.AsyncClient,
    method: str,
    url: str,
    *,
    who: str,
    document: object = None,
    params: Mapping[str, str] | None = None,
    auth: httpx.Auth | None = None,
    limit: timedelta = WHOLE_CALL,
) -> object:
    """
    Send a document, if any, and return the parsed JSON of a 200 answer.

    :param who: names the far side in error messages
    :param auth: how we say who we are
    :param limit: time for the whole call
    :raises OtherStatus: it answered with another status
    :raises SourceUnavailable: no answer (it may have been taken all the same), or not JSON
    """
    where = f"{who} at {_shown(url)}"
    sent = None if document is None else json.dumps(document).encode("ascii")
    body = await _exchange(
        client, method, url, where=where, limit=limit, params=params, sent=sent, auth=auth
    )
    return _parsed(body, where)


async def post_json(
    client: httpx.AsyncClient,
    url: str,
    document: object,
    *,
    who: str,
    limit: timedelta = WHOLE_CALL,
) -> None:
    """
    Post a document; a 200 answer is all that is asked for.

    :param who: names the far side in error messages
    :param limit: time for the whole call
    :raises SourceUnavailable: no answer (it may have been taken all the same), or another status
    """
    # In ASCII: half a character (a lone surrogate) is then an escape, not an error of ours.
    sent = json.dumps(document).encode("ascii")
    await _exchange(client, "POST", url, where=f"{who} at {_shown(url)}", limit=limit, sent=sent)


async def _exchange(
    client: httpx.AsyncClient,
    method: str,
    url: str,
    *,
    where: str,
    limit: timedelta,
    params: Mapping[str, str] | None = None,
    sent: bytes | None = None,
    auth: httpx.Auth | None = None,
) -> bytes:
    """Return the body of a 200 answer."""
    seconds = limit.total_seconds()
    try:
        async with asyncio.timeout(seconds):
            async with client.stream(
                method,
                url,
                params=params,
                content=sent,
                headers=None if sent is None else {"Content-Type": "application/json"},
                timeout=httpx.Timeout(seconds, connect=min(seconds, _CONNECT_S)),
                follow_redirects=False,
                auth=httpx.USE_CLIENT_DEFAULT if auth is None else auth,
            ) as answer:
                body = await _read(answer, where)
    # httpx limits each phase only: a far side that drips one byte a second passes all of them,
    # so the whole call has a limit of its own.
    except (TimeoutError, httpx.TimeoutException) as exc:
        raise SourceUnavailable(f"{where} gave no answer within {seconds:g} s") from exc
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as exc:
        why = str(exc) or type(exc).__name__
        raise SourceUnavailable(f"{where} cannot be asked: {why}") from exc
    if answer.status_code != httpx.codes.OK:
        said = f"{where} answered {answer.status_code}: {_excerpt(body)}"
        raise OtherStatus(said, answer.status_code)
    return body


def _parsed(body: bytes, where: str) -> object:
    try:
        return from_json(body, allow_inf_nan=False)
    except ValueError as exc:
        raise SourceUnavailable(f"{where} answered something that is not JSON: {exc}") from exc


async def _read(answer: httpx.Response, where: str) -> bytes:
    body = bytearray()
    async for piece in answer.aiter_bytes():
        body += piece
        if len(body) > _MOST_BYTES:
            raise SourceUnavailable(f"{where} answered more than {_MOST_BYTES} bytes")
    return bytes(body)


def _shown(url: str) -> str:
    """Give the URL without what may be secret: user, password, query."""
    try:
        return str(httpx.URL(url).copy_with(userinfo=b"", query=None, fragment=None))
    except httpx.InvalidURL:
        return "an invalid URL"


def _excerpt(body: bytes) -> str:
    words = " ".join(body[: 4 * _EXCERPT].decode("utf-8", "replace").split())[:_EXCERPT]
    return "".join(c if c.isprintable() else "?" for c in words) or "(nothing)"
