"""Pure functions: what to do, when, and why. No clock, no randomness, no I/O, no logging."""
