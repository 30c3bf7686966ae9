"""Write the few lines of metadata by which an installed package knows its own version."""

import sys
import tomllib
from pathlib import Path

project = tomllib.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))["project"]
folder = Path(sys.argv[2]) / f"{project['name']}-{project['version']}.dist-info"
folder.mkdir()
(folder / "METADATA").write_text(
    f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n",
    encoding="utf-8",
)
