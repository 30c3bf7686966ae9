"""Benchmarks: what Relevo costs, measured on this machine."""
