"""Settings from a file, as systemd's ``EnvironmentFile`` and Docker's ``--env-file`` have it."""

import os
from pathlib import Path

from app.errors import BadConfiguration


def read_env_file(path: Path) -> None:
    """
    Put what a file says into the environment, unless that says something else already.

    :raises BadConfiguration: it cannot be read, or a line of it is no ``NAME=VALUE``
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as exc:
        raise BadConfiguration(f"--env-file: cannot read {path}: {exc}") from exc
    given = frozenset(os.environ)
    for number, line in enumerate(lines, start=1):
        name, equals, value = line.strip().partition("=")
        if not name or name.startswith("#"):
            continue
        if not equals or not name.replace("_", "").isalnum() or "\0" in value:
            raise BadConfiguration(f"{path}:{number}: is no NAME=VALUE")
        # A token and a token file are the same setting.
        if not {name, name.removesuffix("_FILE"), f"{name}_FILE"} & given:
            os.environ[name] = value.strip().strip("'\"")
