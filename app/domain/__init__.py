"""Frozen values and enums; standard library only, no I/O, no clock."""
