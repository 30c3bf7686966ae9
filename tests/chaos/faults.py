"""
The faults: each does something to a house, and undoes it.

A fault is chosen, and its moment and length drawn, from the seed of its house; real processes take
their own time, so a seed repeats what is done, not what comes of it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Final

from app.adapters.clock import LoopClock
from tests.chaos.controllers import Controller
from tests.chaos.engine_proxy import Mode, Phase
from tests.chaos.house import House

#: How long a trap waits for a request that starts a container.
_TRAPPED_WITHIN: Final = 12.0


@dataclass(kw_only=True)
class Scene:
    """A house while faults happen to it."""

    house: House
    random: Random
    #: When the store was made to forget something.
    forgot_at: list[datetime] = field(default_factory=list)
    #: Earlier states of the store's directory.
    copies: list[Path] = field(default_factory=list)

    def some(self) -> Controller:
        """Choose any controller."""
        return self.random.choice(self.house.controllers)

    async def leader(self) -> Controller:
        """Choose the one that leads, if it can be told."""
        return await self.house.leader() or self.some()

    async def either(self) -> Controller:
        """Choose the leader more often than not."""
        return await self.leader() if self.random.random() < 0.7 else self.some()

    def forgets(self) -> None:
        """Take down that the store loses something now."""
        self.forgot_at.append(LoopClock().now())


Fault = Callable[[Scene], Awaitable[str]]


async def _again(scene: Scene, controller: Controller) -> str:
    """Start a controller that has ended: at once, soon, or once another has taken its place."""
    draw = scene.random.random()
    after = 0.0 if draw < 0.3 else scene.random.uniform(0, 4)
    if draw > 0.8 and len(scene.house.controllers) > 1:
        after = scene.random.uniform(16, 22)
    await asyncio.sleep(after)
    await controller.program.kill()
    await controller.start()
    return f"again after {after:.1f} s"


async def kill(scene: Scene) -> str:
    """SIGKILL a controller, and start it again."""
    controller = await scene.either()
    controller.shoot()
    return f"{controller.name}, {await _again(scene, controller)}"


async def kill_all(scene: Scene) -> str:
    """SIGKILL every controller, and start them again."""
    for controller in scene.house.controllers:
        controller.shoot()
    said = await asyncio.gather(*(_again(scene, one) for one in scene.house.controllers))
    return ", ".join(said)


async def kill_at(scene: Scene, phase: Phase) -> str:
    """SIGKILL the controller that acts, in the moment of its request."""
    happened = asyncio.Event()
    shot: list[Controller] = []

    def trap_of(controller: Controller) -> Callable[[], bool]:
        def spring() -> bool:
            if not shot:
                shot.append(controller)
                controller.shoot()
                happened.set()
            # What is to die before it was forwarded is not forwarded.
            return phase is not Phase.BEFORE

        return spring

    for controller in scene.house.controllers:
        controller.proxy.trap(phase, trap_of(controller))
    try:
        async with asyncio.timeout(_TRAPPED_WITHIN):
            await happened.wait()
    except TimeoutError:
        return f"{phase}: nobody acted"
    finally:
        for controller in scene.house.controllers:
            controller.proxy.trap(phase, None)
    return f"{phase}: {shot[0].name}, {await _again(scene, shot[0])}"


async def kill_before(scene: Scene) -> str:
    """Between intent and request."""
    return await kill_at(scene, Phase.BEFORE)


async def kill_during(scene: Scene) -> str:
    """While the engine is at it."""
    return await kill_at(scene, Phase.FORWARDED)


async def kill_after(scene: Scene) -> str:
    """Between the engine's answer and the note of it."""
    return await kill_at(scene, Phase.ANSWERED)


async def freeze(scene: Scene) -> str:
    """SIGSTOP a controller for 1 to 20 s."""
    controller = await scene.either()
    for_s = scene.random.uniform(1, 20)
    controller.freeze()
    await asyncio.sleep(for_s)
    controller.thaw()
    return f"{controller.name} for {for_s:.1f} s"


async def terminate(scene: Scene) -> str:
    """SIGTERM a controller, and start it again."""
    controller = await scene.either()
    await controller.program.stop()
    return f"{controller.name}, {await _again(scene, controller)}"


async def redis_killed(scene: Scene) -> str:
    """SIGKILL Redis, and start it again at once."""
    await scene.house.redis.kill()
    await scene.house.redis.start()
    return ""


async def redis_down(scene: Scene) -> str:
    """Have no Redis for some seconds."""
    for_s = scene.random.uniform(0.5, 8)
    await scene.house.redis.stop()
    await asyncio.sleep(for_s)
    await scene.house.redis.start()
    return f"for {for_s:.1f} s"


async def redis_frozen(scene: Scene) -> str:
    """SIGSTOP Redis for some seconds: it takes connections, and never answers."""
    for_s = scene.random.uniform(0.5, 5)
    await scene.house.redis.freeze(for_s)
    return f"for {for_s:.1f} s"


async def redis_rolled_back(scene: Scene) -> str:
    """Take Redis back to what it had on disk a moment, or some cycles, ago."""
    if scene.random.random() < 0.6 or not scene.copies:
        before = scene.random.uniform(0.2, 4)
        copy = scene.house.redis.copy()
        await asyncio.sleep(before)
        said = f"by {before:.1f} s"
    else:
        copy = scene.random.choice(scene.copies)
        said = "to an earlier cycle"
    scene.forgets()
    await scene.house.redis.roll_back(copy)
    scene.copies.append(copy)
    return said


async def redis_emptied(scene: Scene) -> str:
    """FLUSHALL."""
    scene.forgets()
    await scene.house.redis.flush()
    return ""


async def redis_replaced(scene: Scene) -> str:
    """Start Redis with an empty directory."""
    scene.forgets()
    await scene.house.redis.replace()
    return ""


async def _engine(scene: Scene, mode: Mode, for_s: float) -> str:
    # Mostly of the whole engine, sometimes of one controller's way to it.
    all_of_them = scene.random.random() < 0.7
    hit = scene.house.controllers if all_of_them else [await scene.leader()]
    for controller in hit:
        controller.proxy.late = scene.random.uniform(0.5, 6)
        await controller.proxy.switch(mode)
    await asyncio.sleep(for_s)
    for controller in hit:
        await controller.proxy.switch(Mode.PASS)
    return f"{'/'.join(one.name for one in hit)} for {for_s:.1f} s"


async def engine_refuses(scene: Scene) -> str:
    """Nobody listens on the engine's socket."""
    return await _engine(scene, Mode.REFUSE, scene.random.uniform(1, 10))


async def engine_hangs(scene: Scene) -> str:
    """It takes requests, and they never arrive."""
    return await _engine(scene, Mode.HANG, scene.random.uniform(1, 12))


async def engine_mute(scene: Scene) -> str:
    """It does what it is told, and never answers."""
    return await _engine(scene, Mode.MUTE, scene.random.uniform(1, 12))


async def engine_late(scene: Scene) -> str:
    """It hears of everything some seconds late."""
    return await _engine(scene, Mode.LATE, scene.random.uniform(2, 12))


async def answer_dropped(scene: Scene) -> str:
    """Cut the connection right after a request that starts a container went through."""
    happened = asyncio.Event()

    def spring() -> bool:
        happened.set()
        return False

    for controller in scene.house.controllers:
        controller.proxy.trap(Phase.FORWARDED, spring)
    try:
        async with asyncio.timeout(_TRAPPED_WITHIN):
            await happened.wait()
    except TimeoutError:
        return "nobody acted"
    finally:
        for controller in scene.house.controllers:
            controller.proxy.trap(Phase.FORWARDED, None)
    return ""


#: Name -> fault, and how often it is drawn beside the others.
PLAIN: Final[dict[str, tuple[Fault, int]]] = {
    "kill": (kill, 3),
    "kill-all": (kill_all, 1),
    "kill-before-request": (kill_before, 2),
    "kill-during-request": (kill_during, 3),
    "kill-after-answer": (kill_after, 2),
    "freeze": (freeze, 3),
    "terminate": (terminate, 2),
    "redis-killed": (redis_killed, 2),
    "redis-down": (redis_down, 2),
    "redis-frozen": (redis_frozen, 2),
    "engine-refuses": (engine_refuses, 2),
    "engine-hangs": (engine_hangs, 2),
    "engine-mute": (engine_mute, 2),
    "engine-late": (engine_late, 1),
    "answer-dropped": (answer_dropped, 2),
}
#: Those after which Redis has forgotten something that it had acknowledged.
FORGETFUL: Final[dict[str, tuple[Fault, int]]] = {
    "redis-rolled-back": (redis_rolled_back, 6),
    "redis-emptied": (redis_emptied, 3),
    "redis-replaced": (redis_replaced, 2),
}
ALL: Final = PLAIN | FORGETFUL
