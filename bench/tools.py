"""Programs and packages that a bench needs; what is missing is named with how to get it."""

import importlib.util
import os
import shutil

_HOW = {
    "wrk": "apt-get install wrk",
    "webhook": "apt-get install webhook",
    "redis-server": "apt-get install redis-server",
    "redis-benchmark": "apt-get install redis-tools",
    "prometheus": "apt-get install prometheus",
    "prometheus-alertmanager": "apt-get install prometheus-alertmanager",
    "docker": "apt-get install docker.io, and start the engine",
    "flask": "make setup",
}
#: Where Debian puts servers, which is not on everybody's PATH.
_PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))


class Missing(RuntimeError):
    """Something that is measured with is not here."""


def need(program: str) -> str:
    """Return a program's path. :raises Missing: it is not installed"""
    path = shutil.which(program, path=_PATH)
    if path is None:
        raise Missing(f"{program} ({_HOW[program]})")
    return path


def need_package(name: str) -> None:
    """Make sure that a Python package is here. :raises Missing: it is not"""
    if importlib.util.find_spec(name) is None:
        raise Missing(f"{name} ({_HOW[name]})")
