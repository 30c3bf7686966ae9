"""Relevo: heals containers on Docker hosts, checks that it helped, scales out when it did not."""

from importlib import metadata

try:
    __version__ = metadata.version("relevo")
except metadata.PackageNotFoundError:  # run from a checkout that was never installed
    __version__ = "0.0.0+checkout"
