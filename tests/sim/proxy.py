"""What stands between Alertmanager and the controllers: it loses, and it repeats."""

from random import Random

from app.domain.alert import Alert, AlertStatus
from tests.sim.alertmanager import Post
from tests.sim.loop import VirtualLoop
from tests.sim.profiles_rough import Rough
from tests.sim.trace import Trace


class Proxy:
    """See the module."""

    def __init__(
        self, post: Post, profile: Rough, loop: VirtualLoop, random: Random, trace: Trace
    ) -> None:
        self._post = post
        self._profile = profile
        self._loop = loop
        self._random = random
        self._trace = trace
        #: Nothing is lost or repeated any more.
        self.is_over = False

    async def __call__(self, alerts: list[Alert], truncated: int) -> int:
        """Pass a notification on, or not."""
        random, profile = self._random, self._profile
        # The end of an alert that no pull has listed is known by its notice alone.
        may_be_lost = all(one.status is AlertStatus.FIRING for one in alerts)
        if not self.is_over and may_be_lost and random.random() < profile.loses:
            self._trace.add("proxy", "lost", len(alerts))
            return 202
        status = await self._post(alerts, truncated)
        if not self.is_over and status // 100 == 2 and random.random() < profile.repeats:
            self._loop.later(random.uniform(20, 900), self._again, alerts, truncated)
        return status

    def _again(self, alerts: list[Alert], truncated: int) -> None:
        if not self.is_over:
            self._trace.add("proxy", "again", len(alerts))
            self._loop.create_task(self._repeat(alerts, truncated))

    async def _repeat(self, alerts: list[Alert], truncated: int) -> None:
        await self._post(alerts, truncated)
