"""Whether a person has resumed: said to one controller, and meant for all of them."""

from datetime import datetime

from app.ports import Controls


class Resumed:
    """Asks the store for it: behind one address there may be several controllers."""

    def __init__(self, controls: Controls) -> None:
        self._controls = controls
        self._asked = False
        self._last: datetime | None = None

    async def since_it_began(self, *, is_held: bool) -> bool:
        """
        Tell whether a person has resumed since the present hold began.

        Nothing is asked while there is none; the first look at one tells what was before. To be
        asked before a new doubt is begun: that is not what was meant.

        :raises StoreUnavailable:
        """
        if not is_held:
            self._asked = False
            return False
        at = (await self._controls.brake()).cleared_at
        before, self._last = self._last, at
        is_first, self._asked = not self._asked, True
        # An emptied store has forgotten that somebody did: nobody has done so again.
        return not is_first and at is not None and at != before
