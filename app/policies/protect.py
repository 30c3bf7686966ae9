"""Containers that are never acted on: Relevo itself, and what it cannot work without."""

from dataclasses import dataclass
from fnmatch import fnmatchcase

from app.domain.container import Listed
from app.policies.membership import COMPOSE

#: Repositories (the last part of an image's name) of the chain's own programs. Redis is not among
#: them: most of those are the users' own, and ours is known by its name on the network.
_CHAIN = (
    "relevo",
    "prometheus",
    "alertmanager",
    "grafana",
    "grafana-oss",
    "grafana-enterprise",
    "cadvisor",
    "docker-socket-proxy",
    "socket-proxy",
)

_TITLE = "org.opencontainers.image.title"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ourselves:
    """Where this Relevo runs, and whom it talks to."""

    #: Beginning of the id of the container that it runs in; None outside of one.
    container_id: str | None = None
    #: Host names of its store, of Prometheus, Alertmanager, Grafana and the engine's proxy.
    hosts: frozenset[str] = frozenset()


def protection(
    one: Listed,
    ourselves: Ourselves,
    *,
    own_project: str | None,
    patterns: tuple[str, ...],
    prefix: str,
) -> str | None:
    """
    Tell why a container is never acted on; None: it may be.

    :param own_project: compose project of the container that Relevo runs in
    :param patterns: ``guards.protected`` of the policy file: names or images
    :param prefix: of our labels: ``{prefix}.protected=true`` protects as well
    """
    if one.labels.get(f"{prefix}.protected", "").strip().lower() == "true":
        return "its label says so"
    own = ourselves.container_id
    if own is not None and one.id.startswith(own):
        return "Relevo itself runs in it"
    # An image whose tag has moved on is listed by its id alone; its title stays.
    for image in (repository(one.image), one.labels.get(_TITLE, "").lower()):
        if image in _CHAIN:
            return f"its image {image} is part of the chain that Relevo works with"
    service = one.labels.get(f"{COMPOSE}service", "")
    is_neighbour = own_project is not None and one.labels.get(f"{COMPOSE}project") == own_project
    # An address has its host name in small letters, whatever was written.
    if one.name.lower() in ourselves.hosts or (is_neighbour and service.lower() in ourselves.hosts):
        return "Relevo's own settings lead to it"
    for pattern in patterns:
        if fnmatchcase(one.name, pattern) or fnmatchcase(one.image, pattern):
            return f"the policy file protects {pattern!r}"
    return None


def repository(image: str) -> str:
    """Name an image without registry, path, tag and digest: ``ghcr.io/x/web:1`` is ``web``."""
    return image.partition("@")[0].rpartition("/")[2].partition(":")[0]
