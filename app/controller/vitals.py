"""What a scrape tells of each opted-in target: little enough to be read every few seconds."""

from dataclasses import dataclass
from datetime import datetime

from app.controller.picture import Census
from app.controller.rules import Rules
from app.domain.decision import Action
from app.domain.remediation import State
from app.policies.match import policy_for, policy_named
from app.ports import Clock, Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Vitals:
    """One opted-in target."""

    container: str
    target: str
    group: str
    state: State
    #: Failed restarts within the window of its policy.
    failures: int
    #: Of its group: originals and clones, running or not.
    instances: int
    #: None: nothing is planned.
    next_action: Action | None
    next_at: datetime | None


class VitalSigns:
    """Looks at every target, as it was listed last."""

    def __init__(
        self, store: Store, census: Census, clock: Clock, *, rules: Rules, prefix: str
    ) -> None:
        self._store = store
        self._census = census
        self._clock = clock
        self._rules = rules
        self._prefix = prefix

    async def take(self) -> tuple[Vitals, ...]:
        """Look; nothing where the engine was never seen. :raises StoreUnavailable:"""
        roster, book, now = self._census.last, self._rules.book, self._clock.now()
        members = roster.targets() if roster is not None else ()
        policies = (book.defaults, *(policy for _, policy in book.policies))
        longest = max(policy.restart.window for policy in policies)
        glances = await self._store.history.glance(
            {str(one.target): str(one.group) for one in members}, now=now, since=now - longest
        )
        found = []
        for member in members:
            assert roster is not None  # there is a member
            target, labels = str(member.target), member.listed.labels
            glance = glances[target]
            record = glance.remediation
            policy = (
                policy_for(book, labels, "", prefix=self._prefix)
                if record is None
                else policy_named(book, record.policy)
            )
            found.append(
                Vitals(
                    container=member.listed.name,
                    target=target,
                    group=str(member.group),
                    state=State.OK if record is None else record.state,
                    failures=glance.failures(policy.restart.window, now=now),
                    instances=len(roster.group(member.group)),
                    next_action=None if record is None else record.next_action,
                    next_at=None if record is None else record.next_at,
                )
            )
        return tuple(found)
