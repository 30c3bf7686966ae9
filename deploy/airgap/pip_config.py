"""
Gather this host's way to its Python packages into a folder: pip.conf, the CA bundle, local wheels.

Used as ``python3 pip_config.py FOLDER`` by images.sh, for the image in which the packages are
installed; nothing of it reaches the finished image.
"""

import ast
import configparser
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

#: Where the folder's content will be found inside the image.
INSIDE = "/etc/relevo-build"
#: Of the host itself, or of no use inside.
SKIPPED = {"client-cert", "cache-dir", "log", "target", "prefix", "require-virtualenv", "user"}
BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
)


def host_settings() -> dict[str, str]:
    """What pip itself says that it uses, or would use where this Python has none."""
    if importlib.util.find_spec("pip") is None:
        return read_settings()
    return ask_pip()


def read_settings() -> dict[str, str]:
    """Debian's Python comes without pip: read the files and variables that it would read."""
    home = Path.home()
    files = ["/etc/pip.conf", home / ".pip/pip.conf", home / ".config/pip/pip.conf"]
    parser = configparser.RawConfigParser()
    parser.read([*files, os.environ.get("PIP_CONFIG_FILE", os.devnull)], encoding="utf-8")
    found = {}
    for section in ("global", "install"):
        if parser.has_section(section):
            found.update(parser.items(section))
    for name, value in os.environ.items():
        if name.startswith("PIP_") and name != "PIP_CONFIG_FILE":
            found[name.removeprefix("PIP_").lower().replace("_", "-")] = value
    return {key: value for key, value in found.items() if key not in SKIPPED}


def ask_pip() -> dict[str, str]:
    """Ask ``pip config list``; the environment comes last and wins."""
    answer = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    )
    order = {"global": 0, "site": 1, "user": 2, "install": 3, ":env:": 4}
    found: dict[str, tuple[int, str]] = {}
    for line in answer.stdout.splitlines():
        name, equals, value = line.partition("=")
        section, dot, key = name.rpartition(".")
        if not equals or not dot or key in SKIPPED:
            continue
        rank = order.get(section, -1)
        if rank >= found.get(key, (0, ""))[0] and rank >= 0:
            found[key] = (rank, str(ast.literal_eval(value)))
    return {key: value for key, (_, value) in found.items()}


def local_wheels(places: str, folder: Path) -> list[str]:
    """Links to elsewhere as they are; local folders are copied, and left out when empty."""
    links = []
    for number, place in enumerate(places.split()):
        path = Path(place.removeprefix("file://"))
        if "://" in place and not place.startswith("file://"):
            links.append(place)
        elif path.is_dir() and any(path.iterdir()):
            shutil.copytree(path, folder / f"wheels{number}")
            links.append(f"{INSIDE}/wheels{number}")
    return links


def main() -> None:
    """Fill the folder."""
    folder = Path(sys.argv[1])
    settings = host_settings()
    bundles = (settings.pop("cert", ""), os.environ.get("SSL_CERT_FILE", ""), *BUNDLES)
    bundle = next((path for path in bundles if path and Path(path).is_file()), None)
    if bundle is not None:
        shutil.copy(bundle, folder / "ca.pem")
        settings["cert"] = f"{INSIDE}/ca.pem"
    links = local_wheels(settings.pop("find-links", ""), folder)
    if links:
        settings["find-links"] = "\n  ".join(links)
    text = "[global]\n" + "".join(f"{key} = {value}\n" for key, value in sorted(settings.items()))
    (folder / "pip.conf").write_text(text.replace("%", "%%"), encoding="utf-8")


main()
