"""
A place to do what the documents say: the repository's files, and a Relevo over fakes that answers.

What is asked of ``localhost:5000`` reaches it; its answers' codes are told on standard error.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.api.deps import Scope
from app.domain.decision import Reason
from app.domain.remediation import State
from tests.builders import ENGINE, compose, container, remediation
from tests.docs.pages import ROOT
from tests.fakes import web
from tests.parts import missing
from tests.test_cli import CLEAN, Served

#: The story and the containers that the documents' examples are about.
STORY = "shop-web-1-mwro18g0"
TOKENS = {
    Scope.INGEST: ["token-ingest"],
    Scope.READ: ["token-read"],
    Scope.OPERATE: ["token-operate"],
    Scope.ADMIN: ["token-admin"],
}
_CURL = """#!/bin/sh
exec {curl} --connect-to localhost:5000:{address} \
    --write-out '%{{stderr}}answered %{{http_code}} %{{url_effective}}\\n' "$@"
"""
_RELEVO = """#!/bin/sh
PYTHONPATH={root} exec {python} -m app "$@"
"""


@contextmanager
def answering(
    hello: str = "hello", *, locked: bool = False, helped: bool = False
) -> Iterator[Served]:
    """
    A Relevo with the containers of the documents, one of them in trouble.

    :param hello: name of the container that docs/start.md makes
    :param locked: it asks for tokens
    :param helped: one has a clone
    """
    with Served(TOKENS if locked else {}) as served:
        one = container("shop-web-1", 2, labels=compose("shop", "web", 1))
        for each in (web(), one, container(hello, 3), container("api", 4)):
            served.engine.run(each)
        group = f"{ENGINE}:shop/web"
        story = remediation(
            id=STORY,
            target=f"{ENGINE}:shop-web-1",
            group=group,
            container="shop-web-1",
            state=State.WAITING,
            reason=Reason.FIRST_NEED,
        )
        served.write(story)
        if helped:
            labels = dict(compose("shop", "web", 2)) | {
                "relevo.clone-of": "shop-web-1",
                "relevo.attempt": f"{STORY}.4",
            }
            clone = container("shop-web-2", 5, labels=labels)
            served.helped_by(clone, group=group, target=story.target)
        yield served


class Sandbox:
    """A folder with what the repository has, and with the programs that the documents call."""

    def __init__(self, folder: Path, served: Served) -> None:
        self.folder = folder
        ignore = shutil.ignore_patterns("secrets", "run", "__pycache__")
        shutil.copytree(ROOT / "deploy", folder / "deploy", ignore=ignore)
        for name in ("Makefile", "pyproject.toml", "requirements.lock", "requirements-dev.lock"):
            shutil.copy(ROOT / name, folder / name)
        secrets = folder / "deploy" / "secrets"
        secrets.mkdir()
        for scope, (token, *_) in TOKENS.items():
            (secrets / f"relevo_token_{scope}").write_text(token)
        address = served.url.removeprefix("http://")
        curl = shutil.which("curl") or missing("curl")
        programs = folder / ".venv" / "bin"
        programs.mkdir(parents=True)
        for name, text in (
            ("relevo", _RELEVO.format(root=ROOT, python=sys.executable)),
            ("curl", _CURL.format(curl=curl, address=address)),
        ):
            (programs / name).write_text(text)
            (programs / name).chmod(0o755)
        self._environment = CLEAN | {
            "PATH": f"{programs}:{CLEAN['PATH']}",
            "RELEVO_URL": served.url,
            "RELEVO_TOKEN": "token-operate",
            "ADMIN_TOKEN": "token-admin",
        }

    def do(self, script: str) -> subprocess.CompletedProcess[str]:
        """Type it, and stop at the first command that fails. The audit is for administrators."""
        token = {"RELEVO_TOKEN": "token-admin"} if "relevo audit" in script else {}
        return subprocess.run(
            ["sh", "-eu", "-c", script],
            cwd=self.folder,
            env=self._environment | token,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )


def answers(said: str) -> list[tuple[int, str]]:
    """The codes of what was asked by curl, each with its address."""
    return [(int(code), url) for code, url in re.findall(r"^answered (\d+) (\S+)$", said, re.M)]
