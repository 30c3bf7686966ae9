"""The deterministic simulator: one seed, one run, the same trace (see README.md)."""
