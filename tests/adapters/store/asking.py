"""Every way to ask the store for something, and all that a server holds."""

from collections.abc import Awaitable, Callable
from typing import cast

from redis.asyncio import Redis

from app.domain.audit import AuditMark
from app.domain.control import Brake
from app.ports import Candidate, Claim, Entry, RemediationFilter, Store
from tests.adapters.store.builders import (
    GROUP,
    LEASE,
    START,
    WINDOW,
    aside,
    casefile,
    halt,
    leaving,
    left,
    limits,
    notice,
    order,
    outcome,
    read,
    remediation,
    reply,
)

CLAIM = Claim(target="host:web", fence=1)
CANDIDATE = Candidate(instance="anna", life="anna-1")
#: Every way to ask the store for something.
CALLS: dict[str, Callable[[Store], Awaitable[object]]] = {
    "accept": lambda store: store.inbox.accept([notice()], [aside()], now=START),
    "claim": lambda store: store.schedule.claim(now=START, lease=LEASE, limit=1),
    "renew": lambda store: store.schedule.renew([CLAIM], now=START, lease=LEASE),
    "nudge": lambda store: store.schedule.nudge(["host:web"], now=START),
    "overdue": lambda store: store.schedule.overdue(now=START),
    "read": lambda store: read(store, 0),
    "remediation_of": lambda store: store.records.remediation_of("host:web"),
    "intend": lambda store: store.records.intend(
        CLAIM, remediation(), now=START, lease=LEASE, limits=limits()
    ),
    "note": lambda store: store.records.note(CLAIM, Entry(remediation=None, due=None), now=START),
    "count": lambda store: store.failures.count("host:web", now=START, window=WINDOW),
    "failing_targets": lambda store: store.failures.failing_targets(now=START, window=WINDOW),
    "recoveries": lambda store: store.failures.recoveries(since=START),
    "charged": lambda store: store.failures.charged(since=START),
    "glance": lambda store: store.history.glance({"host:web": GROUP}, now=START, since=START),
    "remediation": lambda store: store.history.remediation("r1"),
    "remediations": lambda store: store.history.remediations(RemediationFilter()),
    "activity": lambda store: store.history.activity("a1"),
    "activities": lambda store: store.history.activities(),
    "asides": lambda store: store.history.asides(),
    "tallies": lambda store: store.history.tallies(),
    "pause": lambda store: store.controls.pause(),
    "set_pause": lambda store: store.controls.set_pause(halt()),
    "holds": lambda store: store.controls.holds(),
    "set_hold": lambda store: store.controls.set_hold("host:web", halt()),
    "brake": lambda store: store.controls.brake(),
    "set_brake": lambda store: store.controls.set_brake(Brake()),
    "place": lambda store: store.orders.place("host:web", order(), now=START, reply=reply()),
    "pending": lambda store: store.orders.pending("host:web"),
    "replied": lambda store: store.orders.replied("k1"),
    "reply": lambda store: store.orders.reply(reply()),
    "keep": lambda store: store.casefiles.keep("r1:1", casefile()),
    "of": lambda store: store.casefiles.of("r1:1"),
    "get": lambda store: store.facts.get("fact"),
    "put": lambda store: store.facts.put("fact", "value"),
    "check": lambda store: store.health.check(),
    "remarks": lambda store: store.health.remarks(),
    "waiting": lambda store: store.outbox.waiting(limit=10),
    "done": lambda store: store.outbox.done(1),
    "entries": lambda store: store.audit.entries(),
    "texts": lambda store: store.audit.texts(),
    "verify": lambda store: store.audit.verify(),
    "head": lambda store: store.audit.head(),
    "holds of a line": lambda store: store.audit.holds(AuditMark(id="1-1", chain="c")),
    "tell": lambda store: store.audit.tell(outcome()),
    "begin": lambda store: store.scaling.begin(
        leaving(), limits("in1"), now=START, told=outcome(), reply=reply("k7")
    ),
    "under_way": lambda store: store.scaling.under_way(),
    "replaced": lambda store: store.scaling.replaced(),
    "end": lambda store: store.scaling.end(left(), now=START, told=outcome()),
    "requeue": lambda store: store.schedule.requeue(CLAIM, due=START),
    "release": lambda store: store.schedule.release([CLAIM], due=START),
    "look": lambda store: store.leadership.look(),
    "found": lambda store: store.leadership.found("h1", now=START, instead_of=""),
    "lead": lambda store: store.leadership.lead(CANDIDATE, now=START, engine="host1"),
    "resign": lambda store: store.leadership.resign(CANDIDATE),
    "charges": lambda store: store.leadership.charges(since=START),
}


async def everything(admin: Redis, pattern: str = "*") -> dict[bytes, object]:
    found: dict[bytes, object] = {}
    for name in cast("list[bytes]", await admin.keys(pattern)):
        match await admin.type(name):
            case b"hash":
                found[name] = await admin.hgetall(name)
            case b"zset":
                found[name] = await admin.zrange(name, 0, -1, withscores=True)
            case b"stream":
                found[name] = await admin.xrange(name)
            case _:
                found[name] = await admin.get(name)
    return found
