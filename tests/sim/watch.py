"""The checker at every step: what is sent to the daemon, and what was written before."""

from datetime import datetime

from app.domain.container import Container, RunState
from app.domain.remediation import Trigger
from app.policies import guards
from tests.sim.intents import UNTOUCHABLE, Intent, Intents, sync
from tests.sim.process import Process

#: A pause holds within this time: requests on their way, and a lost reply.
_PAUSE_S = 4.0
#: What was lost is noticed by the next renewal; nothing begins until the hold is over.
_NOTICED_S, _HELD_S = 6.0, 14.0
#: How long after an alert ended somebody who can ask may still believe in it.
_BELIEVED_S = 420.0


class Watch(Intents):
    """See the module."""

    # ------------------------------------------------------------ what is sent

    def sent(self, process: Process, what: str, container_id: str, attempt_id: str) -> None:
        """Check a request that writes, as it leaves."""
        one = self._daemon.inside.get(container_id)
        if one is None:
            return
        self._trace.add("watch", what, f"{one.name} {attempt_id}")
        intent = self.intents.get(attempt_id)
        root = one.labels.get("relevo.clone-of", one.name)
        if root.removesuffix("_old") in UNTOUCHABLE or "relevo.enable" not in one.labels:
            self.fail("I8", f"{what} of {one.name}, which nobody may touch")
        if not process.alive:
            self.fail("I7", f"{what} of {one.name} by a dead process")
        if intent is None:
            self.fail("I12", f"{what} of {one.name} for {attempt_id}, which nobody intended")
            return
        self.check_leader(process, what, one.name)
        if what in ("disconnect", "stop", "remove", "clone_start"):
            return
        self._check_intent(intent, what, one)
        self._check_stops(process, intent, what, one)
        self._check_held(intent, what, one)
        if intent.attempt.trigger is Trigger.AUTOMATIC and what != "start":
            self._check_need(intent, what, one)
        if what == "restart":
            self._check_restart(intent, one)
        if intent.attempt.trigger is Trigger.AUTOMATIC and intent.sent == 0:
            self.ladder.check(intent.record, intent.attempt, one, now=self._loop.now)
        intent.sent += 1
        if attempt_id not in self.acted:
            self.acted[attempt_id] = self._loop.now
            self._check_budget()

    def check_leader(self, process: Process, what: str, name: str) -> None:
        """Check that whoever sends something leads."""
        standing = sync(self.truth.leadership.look())
        life = f"{process.label}-life"
        if standing.life and standing.life != life and self._loop.now - self.lost_at > 60:
            self.fail("I7", f"{what} of {name} by {life} while {standing.life} leads")

    def _check_intent(self, intent: Intent, what: str, one: Container) -> None:
        record = sync(self.truth.history.remediation(intent.record.id))
        lost = self._loop.now - self.lost_at
        if lost < 60:
            if _NOTICED_S < lost < _HELD_S and self._loop.now - intent.at < lost:
                self.fail("I10", f"{what} of {one.name}, {lost:.1f} s after the store was lost")
            return
        known = {a.id for a in record.attempts} if record is not None else set()
        if intent.attempt.id not in known:
            self.fail("I12", f"{what} of {one.name} before the intent was written")

    def _check_stops(self, process: Process, intent: Intent, what: str, one: Container) -> None:
        if intent.attempt.trigger is not Trigger.AUTOMATIC or what == "start":
            return
        pause = sync(self.truth.controls.pause())
        hold = sync(self.truth.controls.holds()).get(intent.record.target)
        now: datetime = process.now()
        for word, halt in (("paused", pause), ("on hold", hold)):
            if halt is None or halt.is_over(now):
                continue
            if (now - halt.since).total_seconds() > _PAUSE_S:
                self.fail("I11", f"{what} of {one.name} by {process.label} while {word}")
        if what == "restart" and one.state is RunState.PAUSED:
            self.fail("I8", f"restart of {one.name}, which is paused")

    def _check_held(self, intent: Intent, what: str, one: Container) -> None:
        for begins, ends in self.held:
            if begins < intent.last_at < ends:
                self.fail("I10", f"{what} of {one.name} while everybody holds still")

    def _check_need(self, intent: Intent, what: str, one: Container) -> None:
        """Nobody is treated who is well, silenced, or was stopped by a person."""
        if one.state is RunState.EXITED and one.id not in self._daemon.stopped:
            return  # it went down after our restart, and has no alert while it is down
        now, names = self._loop.now, {one.name.removesuffix("_old")}
        names |= {
            other.name
            for other in self._daemon.inside.values()
            if other.labels.get("relevo.clone-of", "") in names
        }
        if self.told is not None:
            over = self.told.over_since(intent.record.target.rpartition(":")[2])
            # What was decided before that was told may still be done.
            if over is not None and over < intent.read_at:
                after = intent.read_at - over
                self.fail("H1", f"{what} of {one.name}, decided {after:.0f} s after it was over")
        else:
            fired = max(self._prometheus.fired_at.get(name, -1e9) for name in sorted(names))
            if now - fired > _BELIEVED_S:
                self.fail("H1", f"{what} of {one.name}, {now - fired:.0f} s after its last alert")
        stopped = self._daemon.stopped.get(one.id)
        if what == "restart" and stopped is not None and now - stopped > 10:
            self.fail("I8", f"{what} of {one.name}, which a person stopped")
        silenced = [member.silenced_for(one.name) for member in self.members]
        is_silenced = all(for_s is not None and for_s > 30 for for_s in silenced)
        all_up = silenced and not any(member.down for member in self.members)
        if all_up and is_silenced and len(names) == 1:
            self.fail("S1", f"{what} of {one.name}, which is silenced")

    def _check_restart(self, intent: Intent, one: Container) -> None:
        now = self._loop.now
        attempt = intent.attempt
        others = {key: who for key, who in self._daemon.under_way.items() if key != one.id}
        if one.id in self._daemon.under_way and self._daemon.under_way[one.id] != attempt.id:
            self.fail("I4", f"{one.name} is being acted on already")
        if len(others) >= self._rulebook.guards.concurrent:
            self.fail("I4", f"{one.name} is the {len(others) + 1}th at once")
        by_engine = one.restart_count > intent.record.planned_restarts
        if one.started_at != attempt.started_before and not by_engine:
            self.fail("I3", f"{one.name} was started since its attempt was planned")
        planned = intent.record.planned_started_at
        automatic = attempt.trigger is Trigger.AUTOMATIC
        if automatic and one.started_at != planned and not by_engine:
            self.fail("I3", f"{one.name} was started since its wait began")
        before = self._restarted.get(one.id)
        least = min(self._rulebook.defaults.restart.delays).total_seconds() * (1 - self._slack) - 3
        is_another = before is not None and automatic and before[1] != attempt.id
        if before is not None and is_another and now - before[0] < least:
            self.fail("I2", f"{one.name} is restarted {now - before[0]:.0f} s after the last")
        self._restarted[one.id] = (now, attempt.id)
        self._check_group(one)

    def _check_group(self, one: Container) -> None:
        service = one.labels.get("com.docker.compose.service")
        if service is None:
            return
        group = [
            other
            for other in self._daemon.inside.values()
            if other.labels.get("com.docker.compose.service") == service
        ]
        out = [o for o in group if o.id in self._daemon.under_way and o.id != one.id]
        if len(out) >= guards.out_of_group(len(group)):
            self.fail("I6", f"{one.name} goes out while {out[0].name} is")
        serving = [o for o in group if o.is_serving and o.id != one.id and o not in out]
        started = [o for o in group if o.id != one.id and o.state is not RunState.EXITED]
        if started and not serving and one.is_serving:
            self.fail("I6", f"{one.name} is the last of its group that serves")

    def _check_budget(self) -> None:
        rules, now = self._rulebook.guards, self._loop.now
        hour = sum(at > now - 3600 * (1 - self._slack) for at in self.acted.values())
        if hour > rules.per_hour:
            self.fail("I5", f"{hour} actions within the hour")
        span = guards.burst_span(rules).total_seconds() * (1 - self._slack)
        # By the time of the charge: it may be carried out later, after an interruption.
        charged = [self.intents[key].at for key in self.acted]
        last = max(charged)
        lately = [at for at in charged if at > last - span + 1.0]
        if len(lately) > rules.burst and now - self.lost_at > 3600 and not self._slack:
            self.fail("I5", f"{len(lately)} actions within {span:.0f} s")

    def started(self, attempt_id: str, name: str) -> None:
        """Count a start that the daemon has made for an attempt of ours."""
        count = self.starts[attempt_id] = self.starts.get(attempt_id, 0) + 1
        if count > 1:
            self.fail("I2", f"{name} was started {count} times by {attempt_id}")
