"""Closed lists of words on the wire, where they are not a whole enum of the domain."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Any, Final, Literal

from pydantic import WithJsonSchema

from app.domain.remediation import State

#: Gives a schema without a class of its own a name in the document (app/api/document.py).
NAMED: Final = "x-name"


def _listed(name: str, text: str, words: Iterable[StrEnum | str]) -> WithJsonSchema:
    named: dict[str, Any] = {NAMED: {"name": name, "description": text}}
    return WithJsonSchema(named | {"type": "string", "enum": [str(word) for word in words]})


TargetState = Annotated[
    State,
    _listed("TargetState", "State of a target.", [one for one in State if one != State.CLOSED]),
]
RemediationState = Annotated[
    State,
    _listed("RemediationState", "State of a story.", [one for one in State if one != State.OK]),
]
Traffic = Annotated[
    Literal["alias", "labels", "host_port", "none"],
    _listed(
        "Traffic",
        "How traffic reaches another instance: its network alias, labels that a balancer reads, "
        "a port of the host that somebody has to be told of, or not at all.",
        ["alias", "labels", "host_port", "none"],
    ),
]
