"""All bugs to plant, by name."""

from typing import Final

from tests.sim.bugs import Mutant
from tests.sim.mutations_guards import GUARD_BUGS
from tests.sim.mutations_hands import HANDS
from tests.sim.mutations_ladder import LADDER_BUGS
from tests.sim.mutations_leaving import LEAVING_BUGS

MUTANTS: Final[dict[str, Mutant]] = {**HANDS, **LADDER_BUGS, **GUARD_BUGS, **LEAVING_BUGS}
