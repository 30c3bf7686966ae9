"""The true groups: who is in them, who serves, and which clones the store knows to be ours."""

from collections.abc import Callable
from typing import Any

from app.domain.activity import Activity
from app.domain.container import Container, RunState
from app.policies.scale_in import GRACE
from tests.builders import ENGINE
from tests.sim.daemon import Daemon
from tests.sim.intents import sync

_COMPOSE = "com.docker.compose."
_CLONE_OF = "relevo.clone-of"
_LOOKS_EVERY_S = 5.0


class Crowds:
    """See the module; `sim` is a `tests.sim.simulation.Simulation`."""

    def __init__(self, sim: Any) -> None:
        self._sim = sim
        self._loop = sim.loop
        self._daemon: Daemon = sim.daemon
        #: Containers that serve no more, since when.
        self._down_at: dict[str, float] = {}
        #: Clones that the store does not remember, since when.
        self.forgotten: dict[str, float] = {}
        put, remove = self._daemon.put, self._daemon.remove

        def putting(one: Container) -> Container:
            self._mind(one.id, lambda: put(one))
            return one

        def removing(container_id: str) -> None:
            self._mind(container_id, lambda: remove(container_id))

        self._daemon.put = putting
        self._daemon.remove = removing
        self._loop.later(_LOOKS_EVERY_S, self._look)

    def _mind(self, container_id: str, do: Callable[[], object]) -> None:
        served = self.serves(container_id)
        do()
        if served and not self.serves(container_id):
            self._down_at[container_id] = self._loop.now

    def _look(self) -> None:
        self._loop.later(_LOOKS_EVERY_S, self._look)
        # In a task: what asks a real Redis bounds its time, and that nobody else may.
        self._looking = self._loop.create_task(self._see_who_is_forgotten())

    async def _see_who_is_forgotten(self) -> None:
        unknown = [one.id for one in self.clones() if self.made(one) is None]
        now = self._loop.now
        self.forgotten = {one: self.forgotten.get(one, now) for one in unknown}

    # ------------------------------------------------------------ asked by the rules

    def serves(self, container_id: str) -> bool:
        """Tell whether it runs, is well, and can be reached."""
        one = self._daemon.inside.get(container_id)
        return one is not None and one.is_serving and bool(one.networks)

    def served_lately(self, container_id: str, within: float) -> bool:
        """Tell whether it serves, or did until a moment ago."""
        down_at = self._down_at.get(container_id, -1e9)
        return self.serves(container_id) or self._loop.now - down_at <= within

    def group(self, group: str) -> list[Container]:
        """List the members of a group."""
        return [one for one in self._daemon.inside.values() if group_of(one) == group]

    def originals(self, group: str) -> list[Container]:
        """List those of a group that were not made by us."""
        return [one for one in self.group(group) if not is_clone(one)]

    def clones(self) -> list[Container]:
        """List all clones of all groups."""
        inside = self._daemon.inside.values()
        return [one for one in inside if one.labels.get(_CLONE_OF)]  # `is_clone`, of millions

    def made(self, one: Container) -> Activity | None:
        """Find what the store remembers of how a clone was made."""
        attempt_id = one.labels.get("relevo.attempt", "")
        found: Activity | None = sync(self._sim.watch.truth.history.activity(attempt_id))
        return found

    def is_copy(self, one: Container) -> bool:
        """Tell whether somebody else has made it, and given it our label."""
        made = self.made(one)
        if made is not None:
            return made.container_id not in (None, one.id)
        begun_at = sync(self._sim.watch.truth.leadership.look()).begun_at
        if begun_at is None or one.created_at is None:
            return False
        return bool(one.created_at > begun_at + GRACE)  # the store would know it


def is_clone(one: Container) -> bool:
    """Tell whether a container says that it is a clone."""
    return bool(one.labels.get(_CLONE_OF))


def is_down(one: Container) -> bool:
    """Tell whether the engine has ended a container, and does not start it again."""
    return one.state in (RunState.EXITED, RunState.DEAD)


def group_of(one: Container) -> str:
    """Name the group of a container."""
    project, service = (one.labels.get(_COMPOSE + word) for word in ("project", "service"))
    name = one.labels.get(_CLONE_OF) or one.name
    return f"{ENGINE}:{project}/{service}" if service else f"{ENGINE}:{name}"


def target_of(one: Container) -> str:
    """Name the target that an original is."""
    parts = [one.labels.get(_COMPOSE + word) for word in ("project", "service", "container-number")]
    slot = "-".join(str(part) for part in parts) if all(parts) else one.name
    return f"{ENGINE}:{slot}"
