"""One Alertmanager of the pair: groups, sends, repeats, forgets; and answers its API."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random

from app.domain.alert import Alert, AlertStatus, ListedAlert
from tests.sim.loop import VirtualLoop
from tests.sim.prometheus import WATCHDOG, Sent, moment
from tests.sim.trace import Trace

GROUP_WAIT = 10.0
GROUP_INTERVAL = 60.0
REPEAT = 4 * 3600.0
#: Its peer waits for this much longer, and then sends only what has not been sent yet.
PEER_WAIT = 15.0


@dataclass(slots=True)
class Entry:
    """One alert as it knows it."""

    sent: Sent
    updated_at: float
    #: As it was notified last: firing since, or ended; None: never.
    notified: tuple[str, float] | None = None
    #: As it was listed last, and what of: most pulls find it as it was.
    listed: tuple[tuple[Sent, bool, float], ListedAlert] | None = None


@dataclass(slots=True)
class Notifying:
    """How notifications fare at the moment, chances from 0 to 1."""

    lost: float = 0.0
    twice: float = 0.0
    late: float = 0.0
    truncated: float = 0.0
    gossip_lost: float = 0.0


@dataclass(slots=True)
class Log:
    """
    What the receiver was told, as each of the pair knows it.

    Gossip that is lost keeps the other from knowing, never the one who told: that one tells
    the end of what it told.
    """

    of: dict[int, dict[str, tuple[str, float, float]]] = field(default_factory=dict)


#: Hands a notification to some live controller; answers an HTTP status, 0 for none.
Post = Callable[[list[Alert], int], Awaitable[int]]


class Alertmanager:
    """See the module."""

    def __init__(
        self, number: int, loop: VirtualLoop, random: Random, trace: Trace, log: Log, post: Post
    ) -> None:
        self.number = number
        self._loop = loop
        self._random = random
        self._trace = trace
        self._log = log
        self._told = log.of.setdefault(number, {})
        self._post = post
        self.manner = Notifying()
        self.down = False
        self.up_since = -3600.0
        self.alerts: dict[str, Entry] = {}
        self.silenced: dict[str, float] = {}
        self._silenced_at: dict[str, float] = {}
        self._flush_planned = False
        self._life = 0
        loop.later(GROUP_INTERVAL + number, self._again, 0)

    @property
    def label(self) -> str:
        """Its name in the trace."""
        return f"am{self.number}"

    def restart(self) -> None:
        """Forget all alerts; what it has told survives."""
        self._trace.add(self.label, "restarted")
        self.alerts.clear()
        self.up_since = self._loop.now
        self._flush_planned = False
        self._life += 1
        self._loop.later(GROUP_INTERVAL, self._again, self._life)

    def take(self, alerts: list[Sent]) -> None:
        """Take what Prometheus sends."""
        if self.down:
            return
        for sent in alerts:
            entry = self.alerts.get(sent.fingerprint)
            if entry is None and not sent.firing:
                continue
            if entry is None:
                self.alerts[sent.fingerprint] = Entry(sent, self._loop.now)
            else:
                # It merges: one that goes on keeps its earliest beginning.
                overlaps = entry.sent.firing and entry.sent.ends_at >= self._loop.now
                if sent.firing and overlaps:
                    sent = Sent(
                        sent.fingerprint,
                        sent.labels,
                        min(sent.starts_at, entry.sent.starts_at),
                        sent.ends_at,
                        True,
                    )
                entry.sent, entry.updated_at = sent, self._loop.now
        if not self._flush_planned:
            self._flush_planned = True
            wait = GROUP_WAIT + PEER_WAIT * self.number
            self._loop.later(wait, self._flush, self._life)

    def is_silenced(self, entry: Entry) -> bool:
        """Whether a person has silenced it."""
        if not self.silenced:
            return False
        return self.silenced.get(entry.sent.labels.get("name", ""), -1.0) > self._loop.now

    def silence(self, name: str, until: float) -> None:
        """Have a person silence the alerts of a container."""
        self.silenced[name] = until
        self._silenced_at[name] = self._loop.now

    def silenced_for(self, name: str) -> float | None:
        """For how long it has been silenced; None: it is not."""
        if self.silenced.get(name, -1.0) <= self._loop.now:
            return None
        return self._loop.now - self._silenced_at[name]

    def active(self) -> list[Entry]:
        """Alerts that it takes for firing."""
        now = self._loop.now
        return [one for one in self.alerts.values() if one.sent.firing and one.sent.ends_at > now]

    # ------------------------------------------------------------ notifying

    def _again(self, life: int) -> None:
        if life != self._life:
            return
        self._loop.later(GROUP_INTERVAL, self._again, life)
        self._flush(life)

    def _flush(self, life: int) -> None:
        if life != self._life:
            return
        self._flush_planned = False
        if self.down:
            return
        now, changed, batch = self._loop.now, False, []
        for fingerprint, entry in self.alerts.items():
            if entry.sent.labels["alertname"] == WATCHDOG or self.is_silenced(entry):
                continue
            firing = entry.sent.firing and entry.sent.ends_at > now
            state = "firing" if firing else "resolved"
            told = self._told.get(fingerprint)
            if not firing and (told is None or told[0] == "resolved"):
                continue
            batch.append((fingerprint, state, entry))
            if told is None or told[:2] != (state, entry.sent.starts_at) or now - told[2] > REPEAT:
                changed = True
        if batch and changed:
            self._loop.create_task(self._send(batch, life))

    async def _send(self, batch: list[tuple[str, str, Entry]], life: int) -> None:
        manner, random = self.manner, self._random
        alerts = [self._written(entry, state) for _, state, entry in batch]
        truncated = 0
        if len(alerts) > 1 and random.random() < manner.truncated:
            truncated = random.randrange(1, len(alerts))
            alerts = alerts[:-truncated]
        if random.random() < manner.late:
            await asyncio.sleep(random.uniform(1, 50))
        # The end of an alert that no pull has listed is known by its notice alone.
        may_be_lost = all(state == "firing" for _, state, _ in batch)
        if may_be_lost and random.random() < manner.lost:
            self._trace.add(self.label, "lost", len(alerts))
            status = 202
        else:
            status = await self._until_taken(alerts, truncated)
        if status // 100 == 2 and life == self._life:
            is_heard = random.random() >= manner.gossip_lost
            for told in self._log.of.values() if is_heard else (self._told,):
                for fingerprint, state, entry in batch:
                    told[fingerprint] = (state, entry.sent.starts_at, self._loop.now)
        if random.random() < manner.twice:
            await asyncio.sleep(random.uniform(0, 20))
            await self._post(alerts, truncated)

    async def _until_taken(self, alerts: list[Alert], truncated: int) -> int:
        """Send; again on 5xx or no answer, until the next flush is due anyway."""
        wait, give_up, status = 0.5, self._loop.now + GROUP_INTERVAL, 0
        while self._loop.now < give_up:
            status = await self._post(alerts, truncated)
            self._trace.add(self.label, "posted", f"{len(alerts)} {status}")
            if status // 100 in (2, 4):
                return status
            await asyncio.sleep(wait)
            wait = min(2 * wait, 30.0)
        return status

    def _written(self, entry: Entry, state: str) -> Alert:
        sent = entry.sent
        return Alert(
            fingerprint=sent.fingerprint,
            status=AlertStatus(state),
            labels=sent.labels,
            alert_annotations={},
            starts_at=moment(sent.starts_at),
            ends_at=None if state == "firing" else moment(min(sent.ends_at, self._loop.now)),
        )
