"""
Faults on real processes: controllers, Redis and the way to the engine are killed, frozen, emptied.

The engine's own events are the witness of what was done; Relevo's word is compared with them. The
commands are `run`, `failover` and `storm`; the tests are small versions of them.
"""
