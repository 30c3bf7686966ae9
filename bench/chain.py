"""Prometheus and Alertmanager of a bench: the real programs, in real time, on loopback."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx

from bench.rigs import Place
from bench.tools import need
from tests.stack.program import Program, free_port
from tests.stack.wait import eventually


@asynccontextmanager
async def alertmanager(place: Place, name: str, hook_url: str) -> AsyncIterator[str]:
    """
    Run an Alertmanager that hands each alert on by itself, without a wait; yield its address.

    :param hook_url: whom it tells, with the place's token
    """
    folder = place.home / f"alertmanager-{name}"
    folder.mkdir()
    hook = {
        "url": hook_url,
        "send_resolved": False,
        "http_config": {"authorization": {"credentials": place.token}},
    }
    route = {
        "receiver": "relevo",
        "group_by": ["..."],
        "group_wait": "0s",
        "group_interval": "1h",
        "repeat_interval": "4h",
    }
    told = {"route": route, "receivers": [{"name": "relevo", "webhook_configs": [hook]}]}
    (folder / "am.yml").write_text(json.dumps(told), encoding="utf-8")
    url = f"http://127.0.0.1:{free_port()}"
    program = Program(
        f"alertmanager-{name}",
        [
            need("prometheus-alertmanager"),
            f"--config.file={folder}/am.yml",
            f"--storage.path={folder}/data",
            f"--web.listen-address={url.removeprefix('http://')}",
            "--cluster.listen-address=",
        ],
        log=folder / "log",
    )
    async with _running(program, url):
        yield url


@asynccontextmanager
async def prometheus(
    place: Place, *, scraped: str, told: str, groups: Sequence[Mapping[str, Any]]
) -> AsyncIterator[str]:
    """
    Run a Prometheus that scrapes and evaluates each second; yield its address.

    :param scraped: ``host:port`` of its only target
    :param told: the Alertmanager's address
    :param groups: of rules
    """
    folder = place.home / "prometheus"
    folder.mkdir()
    (folder / "rules.yml").write_text(json.dumps({"groups": groups}), encoding="utf-8")
    configuration = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": ["rules.yml"],
        "alerting": {
            "alertmanagers": [
                {"static_configs": [{"targets": [told.removeprefix("http://")]}]},
            ]
        },
        "scrape_configs": [
            {
                "job_name": "bench",
                "honor_labels": True,
                "static_configs": [{"targets": [scraped]}],
            }
        ],
    }
    (folder / "prometheus.yml").write_text(json.dumps(configuration), encoding="utf-8")
    url = f"http://127.0.0.1:{free_port()}"
    program = Program(
        "prometheus",
        [
            need("prometheus"),
            f"--config.file={folder}/prometheus.yml",
            f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address={url.removeprefix('http://')}",
        ],
        log=folder / "log",
    )
    async with _running(program, url):
        yield url


@asynccontextmanager
async def _running(program: Program, url: str) -> AsyncIterator[None]:
    await program.start()
    try:
        async with httpx.AsyncClient() as http:

            async def ready() -> bool:
                if program.ended:
                    raise RuntimeError(f"{program.name} has ended:\n{program.last_words()}")
                return (await http.get(f"{url}/-/ready")).status_code == 200

            await eventually(ready, within=30, what=f"{program.name} is ready")
        yield
    finally:
        await program.stop()
