"""When the faults are over: whatever was begun must come to its end."""

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tests.sim.simulation import Simulation

#: How long that may take, at most.
ENDING_S: Final = 45 * 60.0
#: Over for three looks in a row, it stays so: nobody falls ill any more.
_LOOK_S: Final = 200.0
_LOOKS: Final = 3


def run_out(simulation: "Simulation") -> None:
    """Go on until everything is over, or should be, and see that it is."""
    _go_and_look(simulation, ENDING_S)
    # Without an API, an end that was never told is known when the notices have expired.
    left = simulation.told.believed_until() - simulation.loop.now
    if simulation.profile.blind and left > 0:
        _go_and_look(simulation, left + ENDING_S)
    # Who is not needed any more has left after so much quiet.
    loop, leaving = simulation.loop, simulation.leaving
    if simulation.violation is None:
        simulation.go(loop.run_until_complete(leaving.lasts()))
    if simulation.violation is None:
        loop.run_until_complete(leaving.end())


def _go_and_look(simulation: "Simulation", seconds: float) -> None:
    loop, audit = simulation.loop, simulation.audit
    ends, over = loop.now + seconds, 0
    while simulation.violation is None and loop.now < ends and over < _LOOKS:
        simulation.go(min(_LOOK_S, ends - loop.now))
        is_over = loop.run_until_complete(audit.is_over(simulation.ward))
        over = over + 1 if is_over and not simulation.profile.blind else 0
    if simulation.violation is None:
        loop.run_until_complete(audit.end())
