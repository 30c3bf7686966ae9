"""
The parts of the run; each takes a tally and a number of cases.

One that needs something that is not here raises `Missing`, and is told by name.
"""


class Missing(Exception):
    """A part cannot be run here; the message says what it needs."""
