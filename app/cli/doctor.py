"""``relevo doctor``: each link from a container to a decision, each finding with its fix."""

import asyncio
import sys
from collections.abc import Awaitable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import click
import httpx

from app.adapters.clock import LoopClock
from app.adapters.monitoring import AboutAlertmanager, AboutPrometheus, date_of
from app.cli import checks_alertmanager, checks_prometheus, checks_relevo
from app.cli.asking import FINDINGS, output_option, settings_or_fail, show
from app.cli.checks_prometheus import Evidence
from app.cli.client import RelevoClient
from app.cli.finding import Check, Level, finding, lines, ok, warning
from app.settings import Settings

#: Beyond it "one minute ago" is another minute for each of them.
_SKEW: Final = timedelta(seconds=5)
_SETTLES: Final = timedelta(seconds=1)


@click.command()
@output_option
def doctor(output: str) -> None:
    """
    Look at each link of the chain, and say how to mend it.

    Asks Relevo (RELEVO_URL, RELEVO_TOKEN), Prometheus and Alertmanager (RELEVO_PROMETHEUS_URL,
    RELEVO_ALERTMANAGER_URL); changes nothing. Run it with the settings of the server:
    relevo --env-file FILE doctor. Exits 1 where something must be mended; warnings leave it at 0.
    """
    settings = settings_or_fail()
    checks = asyncio.run(_examine(settings))
    findings = sum(one.level is Level.FINDING for one in checks)
    answer = {"ok": findings == 0, "checks": [one.as_json() for one in checks]}
    show(answer, output, lambda: [*lines(checks), _summary(findings)])
    if findings:
        sys.exit(FINDINGS)


def _summary(findings: int) -> str:
    if not findings:
        return "The chain holds."
    return f"{findings} {'finding' if findings == 1 else 'findings'}."


async def _examine(settings: Settings) -> list[Check]:
    token = settings.token.get_secret_value() if settings.token else None
    async with RelevoClient(settings.url, token=token) as client:
        checks, known = await checks_relevo.look(client)
        checks += await checks_relevo.policies(
            client if known is not None else None,
            settings.policies,
            time_factor=settings.time_factor,
        )
    engine = known["status"]["engine"] if known is not None else None
    targets = known["targets"] if known is not None else []
    containers = [target["container"] for target in targets]
    seen = Evidence()
    async with httpx.AsyncClient() as http:
        if settings.prometheus_url is None:
            checks.append(_unset("prometheus", "RELEVO_PROMETHEUS_URL"))
        else:
            prometheus = AboutPrometheus(settings.prometheus_url, http)
            found, seen = await checks_prometheus.look(prometheus, containers, engine)
            checks += found
        if not settings.alertmanager_url:
            checks.append(_unset("alertmanager", "RELEVO_ALERTMANAGER_URL"))
        for url in settings.alertmanager_url:
            checks += await checks_alertmanager.look(
                AboutAlertmanager(url, http), settings.alertmanager_receiver, containers, seen
            )
        checks += await _clocks(settings, known, http)
    return checks


def _unset(link: str, name: str) -> Check:
    return warning(link, f"{name} is not set here, so it was not looked at", f"set {name}")


async def _clocks(
    settings: Settings, known: dict[str, Any] | None, http: httpx.AsyncClient
) -> list[Check]:
    """Compare the clocks of all that answer, and of the machine that asks."""
    asked: dict[str, Awaitable[datetime]] = {}
    if known is not None:
        asked["Relevo"] = date_of(http, f"{settings.url}/-/healthy", "Relevo")
    if settings.prometheus_url is not None:
        asked["Prometheus"] = AboutPrometheus(settings.prometheus_url, http).clock()
    for url in settings.alertmanager_url:
        asked[f"Alertmanager at {url}"] = AboutAlertmanager(url, http).clock()
    here = LoopClock()
    told = await asyncio.gather(
        *(_ahead(asking, here) for asking in asked.values()), return_exceptions=True
    )
    aheads = {
        who: ahead
        for who, ahead in zip(asked, told, strict=True)
        if isinstance(ahead, timedelta)  # who does not answer has been told of
    }
    return clock_checks(aheads)


async def _ahead(asking: Awaitable[datetime], here: LoopClock) -> timedelta:
    before = here.now()
    there = await asking
    # Told to the second, cut off: half a second later is the best guess.
    return there + _SETTLES / 2 - (before + (here.now() - before) / 2).astimezone(UTC)


def clock_checks(aheads: dict[str, timedelta]) -> list[Check]:
    """Judge how far the clocks are ahead of the one here, by whose they are."""
    off: Sequence[Check] = [
        finding(
            "clocks",
            f"the clock of {who} is {abs(ahead).total_seconds():.0f} s "
            f"{'ahead' if ahead > timedelta(0) else 'behind'} of the one here",
            "run NTP on every host (timedatectl set-ntp true)",
        )
        for who, ahead in aheads.items()
        if abs(ahead) > _SKEW
    ]
    if not off and aheads:
        # Two that are each right enough for the one here may be apart by twice as much.
        last, first = max(aheads, key=aheads.__getitem__), min(aheads, key=aheads.__getitem__)
        apart = aheads[last] - aheads[first]
        if apart > _SKEW:
            said = f"the clock of {last} is {apart.total_seconds():.0f} s ahead of that of {first}"
            off = [finding("clocks", said, "run NTP on every host (timedatectl set-ntp true)")]
    return [*off] or ([ok("clocks", "agree")] if aheads else [])
