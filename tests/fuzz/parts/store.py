"""
What a store may give back: a value that holds what its type says, or an error that is documented.

Most cases go to the readers of single records; one in so many is a real Redis in which somebody
has written, asked in every way there is.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, Final, cast

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from app.adapters.store import codec, open_store
from app.domain.alert import KnownAlert
from app.domain.control import Brake, Halt
from app.errors import RelevoError, Unreadable
from app.ports import Entry, Store
from tests.adapters.store import builders
from tests.adapters.store.asking import CALLS, everything
from tests.adapters.store.server import RedisServer
from tests.fuzz import soup
from tests.fuzz.parts import Missing
from tests.fuzz.shapes import wrong_within
from tests.fuzz.tally import Tally
from tests.parts import require

#: One in so many goes to a real Redis.
_WHOLE_WAY: Final = 40
#: Ways to ask for one state of a Redis.
_ASKED: Final = 8
_WITHIN_S: Final = 20.0
_KEY: Final = "{relevo}:x"


@dataclass(frozen=True)
class Record:
    """A kind of record: how it is read, one that is as it should be, and what it is read as."""

    read: Callable[[bytes], object]
    raw: bytes
    kind: Any


def _record(of: codec.Codec[Any], value: object) -> Record:
    return Record(lambda raw: of.load(raw, key=_KEY), of.dump(value), type(value))


_ALERT: Final = builders.alert()
_KNOWN: Final = KnownAlert(
    alert=_ALERT, received_at=builders.START, notified_at=builders.START, listed=False
)
RECORDS: Final[Mapping[str, Record]] = {
    "alert": _record(codec.ALERT, _ALERT),
    "remediation": _record(codec.REMEDIATION, builders.remediation()),
    "closed": _record(codec.REMEDIATION, builders.closed()),
    "activity": _record(codec.ACTIVITY, builders.left()),
    "aside": _record(codec.ASIDE, builders.aside()),
    "halt": _record(codec.HALT, builders.halt(until=60)),
    "brake": _record(codec.BRAKE, Brake()),
    "order": _record(codec.ORDER, builders.order()),
    "reply": _record(codec.REPLY, builders.reply()),
    "casefile": _record(codec.CASEFILE, builders.casefile()),
    "message": _record(codec.MESSAGE, builders.message()),
    "audit": _record(codec.AUDIT_ENTRY, builders.outcome()),
    "known": Record(
        lambda raw: codec.load_known(raw, key=_KEY),
        (codec.alert_mark(_KNOWN) + "0|").encode() + codec.ALERT.dump(_ALERT),
        KnownAlert,
    ),
    "marked": Record(
        lambda raw: codec.load_after_mark(codec.HALT, raw, key=_KEY),
        b"7|" + codec.HALT.dump(builders.halt()),
        Halt,
    ),
    "text": Record(lambda raw: codec.text(raw, key=_KEY), "läuft".encode(), str),
}
_RAWS: Final = tuple(one.raw for one in RECORDS.values())


def misread(record: Record, raw: bytes) -> str | None:
    """Read a record; say what is wrong with what it is read as."""
    try:
        found = record.read(raw)
    except Unreadable:
        return None
    return wrong_within(found, record.kind)


def spoilt(chance: Random, raw: bytes) -> bytes:
    """Write into a record as somebody else would."""
    mark, cut, rest = raw.partition(b"{")
    if cut and chance.random() < 0.6:
        with suppress(ValueError):  # what is read here may have been written into before
            return mark + soup.written(soup.spoilt(chance, json.loads(cut + rest)))
    return soup.mutated(chance, raw, *_RAWS)


def fuzz(tally: Tally, cases: int) -> None:
    """Read what is kept."""
    whole = cases // _WHOLE_WAY
    for number in tally.numbers(cases - whole):
        chance = tally.chance(number)
        name = chance.choice([*RECORDS])
        raw = spoilt(chance, RECORDS[name].raw)
        tally.outcomes[name] += 1
        with tally.case(number, raw):
            fault = misread(RECORDS[name], raw)
            if fault is not None:
                tally.find(number, f"{name}: {fault}", raw)
    if whole:
        asyncio.run(_on_a_server(tally, whole, first=cases))


# ---------------------------------------------------------------- the whole way

#: Ways to look; none of them changes what is kept, but for what it finds broken.
LOOKS: Final = tuple(
    name
    for name in CALLS
    if name
    not in (
        "claim",
        "found",
        "lead",
        "resign",
        "accept",
        "set_pause",
        "set_hold",
        "set_brake",
        "put",
    )
)


async def _on_a_server(tally: Tally, cases: int, first: int) -> None:
    try:
        program = require("redis")
    except (pytest.skip.Exception, pytest.fail.Exception) as exc:
        raise Missing("a Redis server") from exc
    with TemporaryDirectory(prefix="relevo-") as folder:
        server = RedisServer(program, Path(folder) / "r").start()
        try:
            async with (
                open_store(server.url) as store,
                Redis.from_url(server.admin, protocol=2) as admin,
            ):
                await _asked(tally, store, admin, cases, first)
        finally:
            server.kill()


async def _filled(store: Store) -> None:
    """Have something of each kind."""
    await builders.step(
        store,
        0,
        Entry(
            remediation=builders.remediation(),
            due=builders.at(60),
            failed_attempt="r1:1",
            activity=builders.activity(),
            amended=(builders.closed("r0"),),
            tally={"restarts": 1},
            outbox=(builders.message(),),
            audit=(builders.outcome(),),
        ),
    )
    await store.inbox.accept([builders.notice()], [builders.aside()], now=builders.at(1))
    await store.controls.set_pause(builders.halt())
    await store.controls.set_hold("host:web", builders.halt())
    await store.orders.place(
        "host:web", builders.order(), now=builders.at(1), reply=builders.reply()
    )
    await store.casefiles.keep("r1:1", builders.casefile())
    await store.facts.put("fact", "value")
    await CALLS["begin"](store)
    await CALLS["lead"](store)


async def _asked(tally: Tally, store: Store, admin: Redis, cases: int, first: int) -> None:
    await _filled(store)
    good = {name: cast(bytes, await admin.dump(name)) for name in await everything(admin)}
    todo = list(tally.numbers(cases, first))
    for start in range(0, len(todo), _ASKED):
        some = todo[start : start + _ASKED]
        # One state for some questions, remade from the first number of its kind.
        origin = first + (some[0] - first) // _ASKED * _ASKED
        chance = tally.chance(origin)
        for name, kept in good.items():
            await admin.restore(name, 0, kept, replace=True)
        touched = [await _write_into(admin, chance, chance.choice([*good])) for _ in range(2)]
        for number in some:
            asked = tally.chance(number).choice(LOOKS)
            tally.outcomes["the whole way"] += 1
            with tally.case(number, (asked, touched)):
                await _ask(tally, number, store, asked, touched)


async def _ask(tally: Tally, number: int, store: Store, asked: str, touched: object) -> None:
    try:
        async with asyncio.timeout(_WITHIN_S):
            await CALLS[asked](store)
    except RelevoError as exc:
        tally.outcomes[type(exc).__name__] += 1
    except ResponseError as exc:
        tally.find(number, f"{asked}: Redis says {str(exc)[:80]}", (asked, touched))


async def _write_into(admin: Redis, chance: Random, name: bytes) -> tuple[bytes, bytes]:
    """Do to a key what somebody else would; tell what was written."""
    kind = await admin.type(name)
    odd = chance.choice((spoilt(chance, chance.choice(_RAWS)), chance.choice(soup.SNIPPETS)))
    if chance.random() < 0.15:
        await admin.delete(name)
        if chance.random() < 0.7:
            await admin.rpush(name, odd)
        return name, odd
    match kind:
        case b"hash":
            fields = cast("dict[bytes, bytes]", await admin.hgetall(name))
            field = chance.choice([*fields])
            odd = spoilt(chance, fields[field]) if chance.random() < 0.7 else odd
            await admin.hset(name, chance.choice((field, field, field, odd)), odd)
        case b"zset":
            members = cast("list[bytes]", await admin.zrange(name, 0, -1))
            odd = spoilt(chance, chance.choice(members)) if chance.random() < 0.7 else odd
            score = chance.choice((0.0, -1.0, 1e308, float("inf"), 1.5, 1772366400000.0))
            await admin.zadd(name, {odd: score})
        case b"string":
            found = cast(bytes, await admin.get(name))
            odd = spoilt(chance, found) if chance.random() < 0.8 else odd
            await admin.set(name, odd)
        case b"stream":
            await admin.xadd(name, {chance.choice(("entry", "chain", "x")): odd})
        case _:
            await admin.delete(name)
    return name, odd
