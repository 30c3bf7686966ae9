"""
``python -m tests.supply.sbom [OUT]``: what the image holds, as CycloneDX 1.6 JSON.

Of requirements.lock (every package with its hashes), of what is installed (licences) and of
``vendor.json`` (the browser's files). The packages of the base image are its maker's to tell. The
same tree gives the same bytes: a moment is in it only where SOURCE_DATE_EPOCH says one.
"""

import json
import os
import sys
import tomllib
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from uuid import NAMESPACE_URL, uuid5

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentScope, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from tests.supply.parts import LOCK, ROOT, Part, locked

VERSION: Final[str] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))[
    "project"
]["version"]
VENDORED: Final = ROOT / "app/web/static/vendor/vendor.json"


def bom(parts: Iterable[Part], vendored: Path = VENDORED) -> Bom:
    """Write parts as a bill of materials."""
    licences = LicenseFactory()
    made = Bom()
    made.metadata.timestamp = None  # type: ignore[assignment]
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    if epoch.isdecimal():
        made.metadata.timestamp = datetime.fromtimestamp(int(epoch), tz=UTC)
    root = Component(
        name="relevo",
        version=VERSION,
        type=ComponentType.APPLICATION,
        bom_ref="relevo",
        purl=PackageURL("pypi", name="relevo", version=VERSION),
        licenses=[licences.make_from_string("Apache-2.0")],
    )
    made.metadata.component = root
    components = [*map(_component, parts), *_vendored(vendored)]
    for one in components:
        made.components.add(one)
    made.register_dependency(root, components)
    # A name of its own for each content, and the same for the same.
    content = "\n".join(sorted(f"{one.purl} {sorted(map(str, one.hashes))}" for one in components))
    made.serial_number = uuid5(NAMESPACE_URL, f"relevo {VERSION}\n{content}")
    return made


def _component(part: Part) -> Component:
    purl = PackageURL("pypi", name=part.name, version=part.version)
    return Component(
        name=part.name,
        version=part.version,
        type=ComponentType.LIBRARY,
        bom_ref=purl.to_string(),
        purl=purl,
        description=part.summary or None,
        # What another system or Python would need is locked as well, and not in the image.
        scope=ComponentScope.REQUIRED if part.is_used else ComponentScope.EXCLUDED,
        licenses=[LicenseFactory().make_from_string(part.licence)] if part.licence else [],
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=one) for one in part.hashes],
    )


def _vendored(listing: Path) -> Iterable[Component]:
    for _, entry in sorted(json.loads(listing.read_text(encoding="utf-8")).items()):
        purl = PackageURL("npm", name=entry["package"], version=entry["version"])
        licence = entry.get("licence")
        yield Component(
            name=entry["package"],
            version=entry["version"],
            type=ComponentType.LIBRARY,
            bom_ref=purl.to_string(),
            purl=purl,
            scope=ComponentScope.REQUIRED,
            licenses=[LicenseFactory().make_from_string(licence)] if licence else [],
            hashes=[
                HashType(alg=HashAlgorithm.SHA_256, content=digest)
                for digest in entry["files"].values()
            ],
        )


def written(lock: Path = LOCK) -> str:
    """Return the document: sorted, two spaces, a line feed at the end."""
    told = json.loads(JsonV1Dot6(bom(locked(lock))).output_as_string())
    if not os.environ.get("SOURCE_DATE_EPOCH", "").isdecimal():
        told["metadata"].pop("timestamp", None)
    return json.dumps(told, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def main() -> None:
    """The command."""
    if len(sys.argv) > 1:
        out = Path(sys.argv[1])
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(written(), encoding="utf-8")
    else:
        sys.stdout.write(written())


if __name__ == "__main__":
    main()
