"""``relevo connect --test TARGET``: one alert through the whole chain, to the first decision."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from app.adapters.monitoring import AboutAlertmanager
from app.cli.client import ApiError, RelevoClient
from app.cli.words import words
from app.errors import SourceUnavailable

ALERT: Final = "ConnectionTest"
#: Long enough for the first wait, its rehearsal and the verdict.
_LASTS: Final = timedelta(minutes=5)
#: Alertmanager notifies at once; the pull comes every 30 s where it cannot.
_ARRIVES_WITHIN_S: Final = 45.0
_LOOK_S: Final = 0.5

Say = Callable[[str], None]


class NotArrived(Exception):
    """The alert led to nothing; the message says as far as can be told why."""


async def trial(
    client: RelevoClient, alertmanager_url: str, target: str, *, in_earnest: bool, say: Say
) -> dict[str, Any]:
    """
    Post a test alert, and follow it to Relevo's first decision about it.

    :param say: told of each step
    :return: the remediation as the API tells it
    :raises ApiError, SourceUnavailable: somebody does not answer
    :raises NotArrived: no decision came of it, or none may
    """
    found = await _target(client, target)
    status = await client.status()
    if found["mode"] != "observe" and not in_earnest:
        raise NotArrived(
            f"{found['target']} is not observed but healed: it would be restarted in a minute. "
            "Set RELEVO_MODE=observe for a while, or say --in-earnest"
        )
    if found["remediation"] is not None:
        raise NotArrived(
            f"{found['target']} has a story already: relevo show {found['remediation']}"
        )
    now = datetime.fromisoformat(status["now"])
    labels = {
        "alertname": ALERT,
        "severity": "critical",
        "engine": status["engine"],
        "name": found["container"],
    }
    notes = {
        "summary": f"A test by relevo connect, about {found['container']}: nothing is wrong",
        "description": "It ends by itself within five minutes.",
    }
    async with httpx.AsyncClient() as http:
        alertmanager = AboutAlertmanager(alertmanager_url, http)
        before = await alertmanager.failed_webhooks()
        await alertmanager.post(labels, notes, begins=now, ends=now + _LASTS)
        say(f"posted {ALERT} for {found['container']} to {alertmanager.url}, for 5 minutes")
        try:
            async with asyncio.timeout(_ARRIVES_WITHIN_S):
                story = await _decided(client, alertmanager, before, found["target"])
        except TimeoutError as exc:
            raise NotArrived(await _why(client, alertmanager, before, now)) from exc
    for entry in story["decisions"]:
        say(f"{entry['at']} {entry['decision']} {entry['reason']}: {words(entry['reason'])}")
    if found["mode"] == "observe":
        say(f"observed: {_next(story)}; nothing is touched")
    say(f"relevo show {story['id']} --follow tells how it goes on")
    return story


def _next(story: dict[str, Any]) -> str:
    if story.get("next_action_at"):
        return f"a {story['next_action']} would come at {story['next_action_at']}"
    return f"it is {story['state']} ({story['reason']})"


async def _target(client: RelevoClient, name: str) -> dict[str, Any]:
    """Wait for it: Relevo may have been started a moment ago."""
    try:
        async with asyncio.timeout(_ARRIVES_WITHIN_S):
            while True:
                try:
                    return await client.target(name)
                except ApiError as exc:
                    # Not there yet, or starting; what a token may not do stays so.
                    if exc.status is not None and exc.status not in (404, 503):
                        raise
                    last = exc
                    if exc.status == 404 and await _is_up(client):
                        raise NotArrived(
                            f"{name} has not opted in, or is no container here: relevo connect "
                            "--enable NAME opts it in without creating it anew"
                        ) from exc
                await asyncio.sleep(_LOOK_S)
    except TimeoutError:
        raise last from None


async def _is_up(client: RelevoClient) -> bool:
    status = await client.status()
    return bool(status["acting"]["ok"]) and bool(status["container_engine"]["ok"])


async def _decided(
    client: RelevoClient, alertmanager: AboutAlertmanager, before: tuple[float, float], target: str
) -> dict[str, Any]:
    """
    Wait for the first decision.

    :raises NotArrived: the notice was lost. Relevo finds such an alert by asking for it, half a
        minute later; but one that ends in between is never seen
    """
    while True:
        if (await alertmanager.failed_webhooks())[1] > before[1]:
            raise NotArrived(_undelivered(alertmanager))
        listed = await client.remediations(target=target, limit=1)
        for one in listed["remediations"]:
            story = await client.remediation(one["id"])
            if ALERT in story["alerts"] and story["decisions"]:
                return story
        await asyncio.sleep(_LOOK_S)


def _undelivered(alertmanager: AboutAlertmanager) -> str:
    where = urlsplit(alertmanager.url).netloc
    return (
        f"Alertmanager at {where} could not deliver its notice: the token in its credentials_file "
        "is not one of RELEVO_TOKEN_INGEST (401), or it cannot reach Relevo; its log says which. "
        "Put the right token into that file (it is read anew each time), or correct the url"
    )


async def _why(
    client: RelevoClient,
    alertmanager: AboutAlertmanager,
    before: tuple[float, float],
    since: datetime,
) -> str:
    """Tell where it was lost, as far as that can be seen."""
    try:
        sent, _ = await alertmanager.failed_webhooks()
        status = await client.status()
    except (SourceUnavailable, ApiError) as exc:
        return f"no decision within {_ARRIVES_WITHIN_S:g} s: {exc}"
    for aside in status["not_taken"]:
        if datetime.fromisoformat(aside["at"]) >= since:
            return f"Relevo was told and did not take it: {aside['reason']}, {aside['detail']}"
    if sent == before[0]:
        return (
            "Alertmanager has sent no webhook: no route leads to Relevo, or it is muted or "
            "silenced; relevo doctor says which"
        )
    return "Alertmanager has sent webhooks, to somebody else perhaps: relevo doctor says where to"
