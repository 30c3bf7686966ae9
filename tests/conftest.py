"""What every test lives in."""

import asyncio

# looptime asks for the current loop in tests that have none, and asyncio would make one then
# that nobody closes: an error in whichever test finds it. Once set, it makes none.
asyncio.set_event_loop(None)
