"""The shell scripts of deploy/: what they make, and that a second run changes nothing."""

import json
import os
import re
import shutil
import stat
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.deploy.places import DEPLOY, load_yaml

SCRIPTS = sorted([*DEPLOY.glob("*.sh"), *(DEPLOY / "airgap").glob("*.sh")])


def bash(script: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run one with nothing inherited but PATH."""
    return subprocess.run(
        ["bash", str(script), *arguments],
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_sound(script: Path) -> None:
    done = subprocess.run(["bash", "-n", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    text = script.read_text()
    if script.name != "common.sh":
        assert text.startswith("#!/usr/bin/env bash\n")
        assert "set -euo pipefail" in text
        assert os.access(script, os.X_OK)
    shellcheck = shutil.which("shellcheck")
    if shellcheck is not None:
        done = subprocess.run(
            [shellcheck, "-x", "-P", "SCRIPTDIR", script],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout


def test_secrets_are_made_once_and_kept(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    first = bash(DEPLOY / "airgap" / "secrets.sh", RELEVO_SECRETS_DIR=str(folder))
    assert first.returncode == 0, first.stderr
    made = {path.name: path.read_text() for path in folder.iterdir()}
    assert set(made) == {
        "relevo_token_ingest",
        "relevo_token_read",
        "relevo_token_operate",
        "relevo_token_admin",
        "grafana_password",
        "redis_acl",
        "relevo_redis_url",
        "relevo_grafana_url",
        "slack_url",
    }
    address = urlsplit(made["relevo_redis_url"])
    password = address.password or ""
    assert (address.username, address.hostname, address.port) == ("relevo", "redis", 6379)
    # The server is told the hash only.
    assert password not in made["redis_acl"]
    assert f"#{sha256(password.encode()).hexdigest()} " in made["redis_acl"]
    known = unquote(urlsplit(made["relevo_grafana_url"]).password or "")
    assert (made["relevo_grafana_url"].endswith("@grafana:3000"), known) == (
        True,
        made["grafana_password"],
    )
    tokens = [value for name, value in made.items() if re.search("token|password", name)]
    tokens.append(password)
    assert len(set(tokens)) == 6
    assert all(len(token) == 64 for token in tokens)
    # Nothing of a secret is printed.
    assert not [token for token in tokens if token in first.stdout + first.stderr]
    # Nobody else gets into the folder; the users inside the containers read the mounted files.
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o644}

    (folder / "slack_url").write_text("https://hooks.slack.invalid/services/x")
    second = bash(DEPLOY / "airgap" / "secrets.sh", RELEVO_SECRETS_DIR=str(folder))
    assert second.returncode == 0
    made["slack_url"] = "https://hooks.slack.invalid/services/x"
    assert {path.name: path.read_text() for path in folder.iterdir()} == made


def secrets_in(folder: Path) -> dict[str, str]:
    done = bash(DEPLOY / "airgap" / "secrets.sh", RELEVO_SECRETS_DIR=str(folder))
    assert done.returncode == 0, done.stderr
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_secrets_from_before_relevo_was_a_user_are_made_anew(tmp_path: Path) -> None:
    old = "0" * 64
    (tmp_path / "redis_conf").write_text(f"requirepass {old}\n")
    (tmp_path / "relevo_redis_url").write_text(f"redis://:{old}@redis:6379/0")

    made = secrets_in(tmp_path)

    assert "redis_conf" not in made
    assert made["relevo_redis_url"].startswith("redis://relevo:")
    assert old not in made["relevo_redis_url"]


def test_what_relevo_may_do_is_brought_up_to_date_and_its_password_stays(tmp_path: Path) -> None:
    first = secrets_in(tmp_path)
    (tmp_path / "redis_acl").write_text(first["redis_acl"].replace(" +xadd", ""))

    assert secrets_in(tmp_path) == first


def test_an_address_of_somebody_elses_redis_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "relevo_redis_url").write_text("rediss://me:secret@elsewhere:6380/0")

    first = secrets_in(tmp_path)

    assert first["relevo_redis_url"] == "rediss://me:secret@elsewhere:6380/0"
    assert secrets_in(tmp_path) == first


def test_the_configuration_of_this_machine(tmp_path: Path) -> None:
    done = bash(
        DEPLOY / "config.sh",
        str(tmp_path),
        RELEVO_METRICS="cadvisor",
        RELEVO_ENGINE_NAME="host-7",
        RELEVO_EXTERNAL_URL="https://relevo.example/",
    )
    assert done.returncode == 0, done.stderr
    # cAdvisor's series have no engine: the target gives them one (honor_labels).
    assert load_yaml(tmp_path / "prometheus" / "targets" / "containers.yml") == [
        {"targets": ["container-metrics:5001"], "labels": {"engine": "host-7"}}
    ]
    url = (tmp_path / "alertmanager" / "templates" / "url.tmpl").read_text()
    assert url == '{{ define "relevo.url" }}https://relevo.example{{ end }}\n'
    for name in ("fleet", "container", "relevo"):
        found = (tmp_path / "grafana" / "dashboards" / f"{name}.json").read_text()
        (own,) = [v for v in json.loads(found)["templating"]["list"] if v["name"] == "relevo"]
        assert own["query"] == "https://relevo.example"
        assert "localhost" not in found
    for file in ("prometheus/alert_rules.yml", "alertmanager/alertmanager.yml"):
        assert (tmp_path / file).read_text() == (DEPLOY / file).read_text()


def test_the_configuration_is_renewed_in_place(tmp_path: Path) -> None:
    """Containers have these folders mounted: a new folder of the same name is not theirs."""
    folder = tmp_path / "alertmanager"
    assert bash(DEPLOY / "config.sh", str(tmp_path)).returncode == 0
    before = folder.stat().st_ino
    (folder / "templates" / "stale.tmpl").write_text("{{")
    assert bash(DEPLOY / "config.sh", str(tmp_path)).returncode == 0
    assert folder.stat().st_ino == before
    assert not (folder / "templates" / "stale.tmpl").exists()


@pytest.mark.parametrize("url", ["javascript:alert(1)", "http://x/}}{{ . }}", "relevo.example"])
def test_an_address_that_is_none_is_refused(tmp_path: Path, url: str) -> None:
    done = bash(DEPLOY / "config.sh", str(tmp_path), RELEVO_EXTERNAL_URL=url)
    assert done.returncode != 0
    assert "is not an http(s) address" in done.stderr


@pytest.mark.parametrize("own_pip", [True, False], ids=["with-pip", "debians-python-has-none"])
def test_pip_finds_its_way_inside_the_builder(tmp_path: Path, own_pip: bool) -> None:
    """The host's pip configuration and CA bundle, with paths as they are inside."""
    bundle = tmp_path / "own-ca.pem"
    bundle.write_text("certificates")
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    (wheels / "x.whl").write_text("")
    empty = tmp_path / "empty"
    empty.mkdir()
    to = tmp_path / "to"
    to.mkdir()
    # -S leaves site-packages out, and pip with them.
    python = [sys.executable] if own_pip else [sys.executable, "-S"]
    done = subprocess.run(
        [*python, DEPLOY / "airgap" / "pip_config.py", to],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "PIP_CERT": str(bundle),
            "PIP_FIND_LINKS": f"{wheels} {empty}",
            "PIP_TIMEOUT": "99",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = (to / "pip.conf").read_text().splitlines()
    assert lines[0] == "[global]"
    assert "cert = /etc/relevo-build/ca.pem" in lines
    assert "find-links = /etc/relevo-build/wheels0" in lines
    assert "timeout = 99" in lines
    assert (to / "ca.pem").read_text() == "certificates"
    assert (to / "wheels0" / "x.whl").exists()
