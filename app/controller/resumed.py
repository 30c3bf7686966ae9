"""Whether a person has resumed: said to one controller, and meant for all of them."""

from datetime import datetime

from app.ports import Controls


class Resumed:
    """Asks the store for it: behind one address there may be several controllers."""

    def __init__(self, controls: Controls) -> None:
        self._controls = controls
        self._asked = False
        self._last: datetime | None = None

    def matters(self, *, is_held: bool) -> bool:
        """Tell whether to ask: the first look at the next hold tells what was before it."""
        self._asked = self._asked and is_held
        return is_held

    async def since_it_began(self) -> bool:
        """
        Tell whether a person has resumed since the present hold began.

        To be asked before a new doubt is begun: that is not what was meant.

        :raises StoreUnavailable:
        """
        at = (await self._controls.brake()).cleared_at
        before, self._last = self._last, at
        is_first, self._asked = not self._asked, True
        # An emptied store has forgotten that somebody did: nobody has done so again.
        return not is_first and at is not None and at != before
