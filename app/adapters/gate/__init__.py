"""The gate: the one process that has the engine's socket, and its client."""
