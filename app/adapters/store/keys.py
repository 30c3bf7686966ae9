"""
Names of the keys, and how long what they hold is kept.

All share the hash tag ``{relevo}``, so that Redis Cluster keeps them in one slot and one
script may touch them all. Ages are for tidying up only: no decision depends on one.
"""

from datetime import timedelta
from hashlib import sha256
from typing import Final

#: Version of what the keys hold; a store with a higher one was written by a newer Relevo.
SCHEMA: Final = 1

#: Alerts, remediations and their case files, activities, orders, failing targets and
#: recoveries, from their last change.
KEEP: Final = timedelta(days=30)
#: Start times of resolved alerts: older firing notices are recognised for twice
#: Alertmanager's longest usual repeat_interval (4 days), and for some more time.
KEEP_TOMBS: Final = timedelta(days=8)
#: What a request under an Idempotency-Key was answered.
KEEP_REPLIES: Final = timedelta(hours=24)
#: Holds of targets, after their end.
KEEP_HOLDS: Final = timedelta(days=1)
#: Alerts of one target, and starts of its resolved ones; entries of the asides, and of each
#: list of activities.
MOST: Final = 1000
#: Messages that wait for delivery.
MOST_MESSAGES: Final = 1000
#: Lines of the audit.
MOST_LINES: Final = 100_000
#: That a call has written its line: many times as long as a call may be repeated.
KEEP_CALLS: Final = timedelta(minutes=1)


class Keys:
    """
    Names of all keys.

    :param namespace: comes before every name: two Relevos, or tests, in one Redis
    """

    def __init__(self, namespace: str = "") -> None:
        self.prefix: Final = f"{namespace}{{relevo}}:"
        #: Hash: ``schema``; ``epoch``, name of the store's history; ``told_at``, the leader's
        #: time, ms; ``engine``, whom the store belongs to; ``begun_at``, since when it
        #: remembers, ms.
        self.meta: Final = self._name("meta")
        #: Sorted set: target -> when it is looked at next, ms.
        self.due: Final = self._name("due")
        #: Sorted set: claimed target -> end of its lease, ms.
        self.running: Final = self._name("running")
        #: Hash: claimed target -> fence of its lease.
        self.leases: Final = self._name("leases")
        #: Counter: grows with every write; every fence that is given out is taken from it.
        self.fence: Final = self._name("fence")
        #: Hash of the leader's seat: ``instance``, ``life``, ``term``, ``beat``.
        self.leader: Final = self._name("leader")
        #: Hash: target -> how often in a row its lease ran out.
        self.lost: Final = self._name("lost")
        #: Sorted set: ``place|json`` of an alert that was not taken on -> when, ms.
        self.asides: Final = self._name("asides")
        #: Sorted set: target -> time of its last failed restart, ms.
        self.failing: Final = self._name("failing")
        #: Sorted set: id of a remediation -> when it was opened, ms.
        self.history: Final = self._name("history")
        #: The open ones of `history`.
        self.open: Final = self._name("open")
        #: Sorted set: id of an activity -> its start, ms.
        self.activities: Final = self._name("activities")
        #: Hash: group -> id of its scale-in that is under way.
        self.leaving: Final = self._name("leaving")
        #: Hash: id of a source that is isolated or stopped -> id of the activity that did so.
        self.replaced: Final = self._name("replaced")
        #: Sorted set: ``attempt|target`` of a restart that helped -> time of its verdict, ms.
        self.recoveries: Final = self._name("recoveries")
        #: Sorted set: attempt under way -> end of its action slot, ms.
        self.slots: Final = self._name("slots")
        #: Sorted set: attempt -> when it was charged to the budget, ms.
        self.charges: Final = self._name("charges")
        #: Sorted set: target -> since when it waits for its turn, ms.
        self.waiting: Final = self._name("waiting")
        #: Sorted set: target that waits -> when it is forgotten unless it asks again, ms.
        self.asked: Final = self._name("asked")
        #: Hash: ``pause``, ``brake``, JSON; ``cleared``, the brake's `cleared_at`, ms;
        #: ``hold:`` and a target, ``until|json``.
        self.control: Final = self._name("control")
        #: Hash: name -> sum.
        self.tallies: Final = self._name("tallies")
        #: Sorted set: ``place|kind|json`` of a message that waits for delivery -> place.
        self.outbox: Final = self._name("outbox")
        #: Hash: ``place``, the last one given out; ``dropped:`` and a kind, how many gave way.
        self.outbox_counts: Final = self._name("outbox", "counts")
        #: Stream: ``ms-number`` -> ``chain``, digest of the line before and of this one;
        #: ``entry``, JSON.
        self.audit: Final = self._name("audit")
        #: Hash: ``id``, ``chain`` of the newest line of the audit that gave way to younger ones.
        self.anchor: Final = self._name("audit", "anchor")
        #: Hash: name -> value.
        self.facts: Final = self._name("facts")
        #: Stands where a script has a place for a key and this call none for it.
        self.none: Final = self._name("none")

    def _name(self, *parts: str) -> str:
        return self.prefix + ":".join(parts)

    def target(self, target: str) -> str:
        """
        Hash: ``open``, id of its open remediation; ``noted``, the last note written.

        ``last``, id of the remediation that was closed last; ``last_opened``, when that was
        opened, ms;
        ``intended``, fence and attempt of the last intent in the audit.
        """
        return self._name("target", target)

    def alerts(self, target: str) -> str:
        """Hash: fingerprint -> ``status|starts|received|notified|listed|json``."""
        return self._name("alerts", target)

    def tombs(self, target: str) -> str:
        """Hash: fingerprint of a resolved alert -> its start, ms."""
        return self._name("tombs", target)

    def failures(self, target: str) -> str:
        """Sorted set: attempt that was a failed restart -> time of its verdict, ms."""
        return self._name("failures", target)

    def cooldown(self, group: str) -> str:
        """Hash: ``until``, ms; ``attempt``, the one that began it; ``left``, see `Dossier`, ms."""
        return self._name("cooldown", group)

    def out(self, group: str) -> str:
        """Sorted set: target that our hand took out -> until when it counts as out, ms."""
        return self._name("out", group)

    def order(self, target: str) -> str:
        """Hash: ``id``, ``json`` of its pending order; ``placed``, digest of the last placed."""
        return self._name("order", target)

    def reply(self, key: str) -> str:
        """``call|json`` of the reply to a request: which call kept it, and the reply."""
        # The key is the caller's text, of any length.
        return self._name("reply", sha256(key.encode("utf-8", "surrogatepass")).hexdigest())

    def told(self, call: str) -> str:
        """Stands while this call may be repeated: it has written its line of the audit."""
        return self._name("told", call)

    def casefile(self, attempt_id: str) -> str:
        """JSON of the case file of one attempt."""
        return self._name("casefile", attempt_id)

    def remediation(self, remediation_id: str) -> str:
        """JSON of one remediation."""
        return self._name("remediation", remediation_id)

    def history_of(self, target: str) -> str:
        """Part of `history`: one target's."""
        return self._name("history", target)

    def activity(self, activity_id: str) -> str:
        """JSON of one activity."""
        return self._name("activity", activity_id)

    def activities_of(self, group: str) -> str:
        """Part of `activities`: one group's."""
        return self._name("activities", group)

    def handed(self, worker: str) -> str:
        """Hash: ``?`` -> name of the worker's last claim call; each fence it was given -> ''."""
        return self._name("handed", worker)
