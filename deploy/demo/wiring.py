"""Where the parts are, for tests that run them outside compose: other addresses, other files."""

from collections.abc import Mapping, MutableMapping, MutableSequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from deploy.demo.documents import walk


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """
    Where the parts are, for tests that run them outside compose; empty: as shipped.

    Nothing is left to chance: an address or a file that the configuration names and this does
    not is a KeyError.
    """

    #: ``host:port`` as shipped -> as it is here; None: there is none, its job is left out.
    hosts: Mapping[str, str | None] = field(default_factory=dict)
    #: A file of secrets as shipped -> here; None: no secret is asked for.
    files: Mapping[str, str | None] = field(default_factory=dict)

    @property
    def is_shipped(self) -> bool:
        """Nothing is to be moved."""
        return not self.hosts and not self.files


def rewire(document: Any, wiring: Wiring) -> None:
    """Put addresses and files in their places, in place. :raises KeyError: one is not known"""
    if wiring.is_shipped:
        return
    _drop_absent(document, wiring)

    def change(key: str, value: str) -> str:
        if key == "targets":
            return str(wiring.hosts[value])
        if key == "url" or key.endswith("_url"):
            url = urlsplit(value)
            return urlunsplit(url._replace(netloc=str(wiring.hosts[url.netloc])))
        if key.endswith("_file"):
            return str(wiring.files[value])
        return value

    walk(document, change)


def _drop_absent(node: Any, wiring: Wiring) -> None:
    """Leave out jobs of hosts, and authorizations by files, that are not there."""
    if isinstance(node, MutableSequence):
        for item in list(node):
            if isinstance(item, Mapping) and _only_absent_targets(item, wiring):
                node.remove(item)
            else:
                _drop_absent(item, wiring)
    elif isinstance(node, MutableMapping):
        for name in list(node):
            value = node[name]
            if name == "authorization" and wiring.files[value["credentials_file"]] is None:
                del node[name]
            else:
                _drop_absent(value, wiring)


def _only_absent_targets(job: Mapping[str, Any], wiring: Wiring) -> bool:
    groups = job.get("static_configs")
    targets = [target for group in groups or () for target in group["targets"]]
    return bool(targets) and all(wiring.hosts[target] is None for target in targets)
