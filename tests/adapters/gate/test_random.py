"""
Random requests at the gate's socket, by somebody who owns the controller.

``RELEVO_GATE_CASES`` says how many (100000 takes some minutes); a run prints its seed where it
fails, and ``RELEVO_GATE_SEED`` repeats it.
"""

import asyncio
import json
import os
import random
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from app.adapters.engine.endpoints import is_listed
from app.adapters.gate import speech, words
from tests.adapters.gate.host import Host, a_host
from tests.gate_lab import a_gate

CASES = int(os.environ.get("RELEVO_GATE_CASES", "2000"))
SEED = int(os.environ.get("RELEVO_GATE_SEED", "0")) or random.SystemRandom().randrange(1, 2**32)
#: At once: a controller that is owned does not wait for answers.
_AT_ONCE = 16

ON = {"relevo.enable": "true"}
OPEN = {f"{number:x}" * 64: f"open{number}" for number in range(1, 6)}
CLOSED = {"a" * 64: "closed", "b" * 64: "relevo", "c" * 64: "observed", "d" * 64: "kept"}

SMALL = "version: 1\n"
LARGE = (
    "version: 1\nguards: {burst: 1000, per_hour: 3600, max_clones: 4}\n"
    "defaults: {scale_out: {max_instances: 2}}\n"
)


def populate(host: Host) -> None:
    for container_id, name in OPEN.items():
        host.add(container_id, name, **ON)
    host.add("a" * 64, "closed")
    host.add("b" * 64, "relevo", **ON, **{"relevo.protected": "true"})
    host.add("c" * 64, "observed", **{"relevo.enable": "observe"})
    host.add("d" * 64, "kept", **ON, **{"org.opencontainers.image.title": "Prometheus"})


class Owned:
    """Somebody who says whatever may do harm."""

    def __init__(self, host: Host, chance: random.Random) -> None:
        self._host, self._chance = host, chance

    def request(self, number: int) -> tuple[str, object]:
        word = self._chance.choice([*words.WISHES, *words.WISHES, *words.QUESTIONS])
        if word in words.QUESTIONS:
            asked = {} if words.QUESTIONS[word][0] is words.NO_SUBJECT else {"id": self._id()}
            return word, self._spoilt(asked)
        body = {
            "id": self._id(),
            "attempt_id": self._attempt(number),
            "sent_at": time.monotonic() + self._chance.choice((0, 0, 0, 0, -60, 60)),
            "not_after": self._chance.choice((None, None, 0.0, time.monotonic() + 5)),
            "ticket": f"{number:020d}",
        }
        return word, self._spoilt(body | self._own(word, str(body["id"])))

    def _own(self, word: str, about: str) -> dict[str, Any]:
        state = self._host.containers.get(about, {}).get("State", {})
        started = self._chance.choice((state.get("StartedAt", ""),) * 5 + ("", "x"))
        networks = self._chance.choice(("", "", '{"front":{}}', "[]", "x"))
        own: dict[str, dict[str, Any]] = {
            "restart": {
                "expected_started_at": started,
                "stop_grace": self._chance.choice(("PT10S", "PT10S", "PT0S", "P400D", "-PT1S")),
            },
            "clone": {
                "rules": self._chance.choice(({}, {}, {"shared_volumes": "allow"})),
                "dry_run": self._chance.random() < 0.2,
            },
            "set_aside": {
                "networks": self._chance.choice((None, networks)),
                "expected_started_at": started,
            },
            "bring_back": {
                "networks": networks,
                "ends": self._chance.choice((None, started)),
                "starts": self._chance.random() < 0.5,
            },
            "force_update": {"expected_template": "t"},
            "scale": {"expected_replicas": 1, "to": self._chance.randrange(-3, 9)},
        }
        return own.get(word, {})

    def _attempt(self, number: int) -> str:
        """Name one that may be known already, of this container or of another."""
        about = self._chance.choice((number // 40, self._chance.randrange(max(number, 1))))
        return f"a.{about}" + self._chance.choice(("", "", "", ".in", ".in.in"))

    def _id(self) -> str:
        known = [*self._host.containers]
        return self._chance.choice([*known, *known, *known, "prune?", "f" * 64, known[0][:12], ""])

    def _spoilt(self, body: dict[str, Any]) -> object:
        if self._chance.random() > 0.05 or not body:
            return body
        name = self._chance.choice([*body])
        odd: tuple[Any, ...] = (
            None,
            True,
            -1,
            1e308,
            [],
            {},
            "x" * 100,
            "\ud800",
            10**400,
            "../..",
        )
        return body | {name: self._chance.choice(odd), **self._chance.choice(({}, {"path": "/x"}))}


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    ("policies", "most"), [(SMALL, 4), (LARGE, None)], ids=["shipped-budget", "large-budget"]
)
async def test_whatever_is_said(folder: Path, policies: str, most: int | None) -> None:
    chance = random.Random(SEED)
    before = time.monotonic()
    async with (
        a_host() as host,
        a_gate(host.url, folder, policies=policies) as path,
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path), limit=0)) as session,
    ):
        populate(host)
        owned = Owned(host, chance)
        said = iter(range(CASES))

        async def speak() -> None:
            for number in said:
                word, body = owned.request(number)
                raw = json.dumps(body).encode()
                async with session.post(f"http://gate{speech.PATH}{word}", data=raw) as answer:
                    assert answer.status == 200
                    told = json.loads(await answer.read())
                    assert set(told) in ({"value"}, {"error"}), told

        async with asyncio.TaskGroup() as speakers:
            for _ in range(_AT_ONCE):
                speakers.create_task(speak())

    where = f"RELEVO_GATE_SEED={SEED}"
    assert host.acts, where
    assert not any(one in act for act in host.acts for one in CLOSED), where
    assert host.overlaps == [], where
    assert {one for one in host.requests if not is_listed(*one)} == set(), where
    assert all(one in host.containers for one in (*OPEN, *CLOSED)), where
    clones = [one for one in host.containers if one not in OPEN and one not in CLOSED]
    assert len(clones) <= 4, where
    if most is not None:
        # (What an attempt has restarted or made it may start and remove for nothing.)
        paid = sum(act.endswith(("/restart", "/create")) for act in host.acts)
        elapsed = time.monotonic() - before
        assert paid <= most + elapsed / 120, where
