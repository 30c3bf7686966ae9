"""
``python -m tests.fuzz.guided TARGET -runs=N``: one target under atheris, led by coverage.

A process of its own: libFuzzer ends it, with the case that broke it in a file.
"""

import sys
from collections.abc import Callable
from typing import Final

import atheris  # type: ignore[import-untyped, import-not-found, unused-ignore]

with atheris.instrument_imports(include=["app.api", "app.policies", "app.adapters.policy_yaml"]):
    from app.api import webhooks
    from tests.fuzz.parts import names, policies

from fastapi import HTTPException


def parser(raw: bytes) -> None:
    """Read a notification: alerts, or what is wrong with it."""
    try:
        webhooks._parsed(raw)
    except HTTPException as exc:
        if not 400 <= exc.status_code < 500:
            raise


def resolver(raw: bytes) -> None:
    """Find the container that some labels are about: the one that they name, or none."""
    text = raw.decode("utf-8", "surrogateescape")
    name, _, more = text.partition("\n")
    label, _, value = more.partition("=")
    labels = {"alertname": "A", "name": name, label[:256]: value}
    fault = names.misread({key: one for key, one in labels.items() if key})
    if fault is not None:
        raise AssertionError(fault)


def policy(raw: bytes) -> None:
    """Read a policy file: a rulebook, or faults with their places."""
    fault = policies.fault_of(raw[:4096].decode("utf-8", "replace"))
    if fault is not None:
        raise AssertionError(fault)


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    "parser": parser,
    "resolver": resolver,
    "policy": policy,
}


if __name__ == "__main__":
    atheris.Setup([sys.argv[0], *sys.argv[2:]], TARGETS[sys.argv[1]])
    atheris.Fuzz()
