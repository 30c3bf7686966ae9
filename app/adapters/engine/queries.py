"""What the engine is asked; nothing here changes anything."""

import base64
import json
from dataclasses import replace
from typing import Any

from aiodocker import Docker, DockerError

from app.adapters.engine import translate
from app.adapters.engine.connection import (
    EngineConnection,
    checked_id,
    checked_image_id,
)
from app.adapters.engine.together import together
from app.adapters.engine.translate import Json
from app.domain.container import Container, Listed
from app.errors import ContainerGone, EngineRefused
from app.policies.clone_layer import to_look_at
from app.policies.clone_source import ChangeKind, CloneSource, LayerChange

_LISTED_KEYS = (
    *("Id", "Names", "Image", "ImageID", "Labels", "State", "Status", "Created"),
    *("NetworkSettings", "HostConfig"),
)


async def listing(connection: EngineConnection) -> tuple[Listed, ...]:
    """List all containers, running or not."""
    async with connection.reading() as client:
        found = await client.containers.list(all=1)
        return tuple(
            translate.listed({key: one[key] for key in _LISTED_KEYS if key in one}) for one in found
        )


async def container(connection: EngineConnection, container_id: str) -> Container:
    """Look at one container. ValueError before any request where the id is none."""
    checked_id(container_id)
    async with connection.about(container_id) as client:
        return translate.container(await client.containers.container(container_id).show())


async def clone_source(connection: EngineConnection, container_id: str) -> CloneSource:
    """Gather all that the plan of a clone is made from."""
    checked_id(container_id)
    async with connection.about(container_id) as client:
        inspected = writable(await client.containers.container(container_id).show())
        image_id = translate.text(inspected["Image"])
    image, changes = await together(
        _image(connection, container_id, image_id), _changes(connection, container_id)
    )
    source = CloneSource(
        container=inspected, image=image, changes=changes, api_version=connection.api_version
    )
    with translate.readable():
        paths = to_look_at(source)
    if not paths:
        return source
    async with connection.about(container_id, within=connection.bounds.changes) as client:
        found = await together(*(_mode(client, container_id, path) for path in paths))
    modes = dict(zip(paths, found, strict=True))
    looked_at = (replace(one, mode=modes.get(one.path)) for one in source.changes)
    return replace(source, changes=tuple(looked_at))


def writable(told: object) -> Json:
    """
    Take an object of JSON that goes on as it is, into a request or a report.

    :raises ValueError: it holds half of a surrogate, which nobody can write (or TypeError)
    """
    json.dumps(told, ensure_ascii=False).encode()
    return translate.mapping(told)


async def _image(connection: EngineConnection, container_id: str, image_id: str) -> Json:
    try:
        async with connection.about(container_id) as client:
            return writable(await client.images.inspect(checked_image_id(image_id)))
    except ContainerGone as exc:
        # It is the image that was not found (deleted by force, under the running container).
        raise EngineRefused(404, f"the image that it runs is gone: {exc}") from exc


async def _changes(connection: EngineConnection, container_id: str) -> tuple[LayerChange, ...]:
    async with connection.about(container_id, within=connection.bounds.changes) as client:
        # Not in aiodocker's own vocabulary. The answer is null where nothing changed.
        answer = await client._query_json(f"containers/{container_id}/changes")
        return tuple(
            LayerChange(path=translate.text(one["Path"]), kind=ChangeKind(one["Kind"]))
            for one in answer or ()
        )


async def _mode(client: Docker, container_id: str, path: str) -> int | None:
    """Look at a file's mode without reading it; None where that cannot be told."""
    try:
        async with client._query(
            f"containers/{container_id}/archive", "HEAD", params={"path": path}
        ) as answer:
            told = answer.headers.get("X-Docker-Container-Path-Stat", "")
            stat: Any = json.loads(base64.b64decode(told))
            return int(stat["mode"])
    except (DockerError, ValueError, KeyError, TypeError):
        # Gone since it was listed. (A HEAD has no body, at which aiodocker's reading of the
        # error message fails with a ValueError.)
        return None
