"""What the documents lead to and name is there; the README is the same in both languages."""

import re
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.docs.pages import PAGES, ROOT, Snippet, anchors, blocks, links, prose

_NAME = re.compile(r"\bRELEVO_[A-Z][A-Z_]*[A-Z]\b")


def test_every_link_leads_somewhere() -> None:
    broken = [f"{one}: {one.text}" for one in links() if not _is_there(one)]

    assert broken == []


def _is_there(link: Snippet) -> bool:
    path, _, anchor = link.text.partition("#")
    file = (ROOT / link.page).parent / path if path else ROOT / link.page
    return file.exists() and (not anchor or anchor in anchors(file))


def test_every_page_is_in_the_index() -> None:
    index = ROOT / "docs" / "README.md"
    named = {
        (index.parent / one.text.partition("#")[0]).resolve()
        for one in links()
        if one.page == "docs/README.md"
    }

    assert set((ROOT / "docs").glob("*.md")) - {index} <= named


def test_every_setting_that_is_named_is_read_somewhere() -> None:
    # Settings are fields: RELEVO_LOG_FORMAT is log_format.
    code = "".join(
        path.read_text(encoding="utf-8")
        for pattern in ("app/**/*.py", "deploy/**/*", "tests/**/*.py", "Makefile")
        for path in ROOT.glob(pattern)
        if path.is_file()
        and path.suffix in {".py", ".sh", ".yaml", ".yml", ""}
        and "secrets" not in path.parts
    )
    fields = set(re.findall(r"^    (\w+): ", (ROOT / "app/settings.py").read_text(), re.MULTILINE))
    unknown = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in PAGES
        for name in _NAME.findall(path.read_text(encoding="utf-8"))
        if name.removeprefix("RELEVO_").removesuffix("_FILE").lower() not in fields
        and name not in code
    ]

    assert unknown == []


# ---------------------------------------------------------------- README.es.md


def of_page(name: str, *languages: str) -> list[str]:
    return [one.text for one in blocks(*languages) if one.page == name]


def bare(script: str) -> list[str]:
    """Commands without their comments."""
    return [line for text in script.splitlines() if (line := text.split("#")[0].strip())]


def levels(name: str) -> list[int]:
    return [len(one) for one in re.findall(r"^(#+) ", prose(ROOT / name), re.MULTILINE)]


def test_the_spanish_readme_has_the_same_chapters_commands_and_snippets() -> None:
    english, spanish = "README.md", "README.es.md"

    assert levels(spanish) == levels(english)
    assert of_page(spanish, "text") == of_page(english, "text")
    assert [bare(one) for one in of_page(spanish, "sh")] == [
        bare(one) for one in of_page(english, "sh")
    ]
    load = YAML(typ="safe", pure=True).load
    assert [load(one) for one in of_page(spanish, "yaml")] == [
        load(one) for one in of_page(english, "yaml")
    ]


def test_the_spanish_readme_leads_where_the_other_does() -> None:
    def led(name: str) -> set[str]:
        return {one.text for one in links() if one.page == name} - {"README.md", "README.es.md"}

    assert led("README.es.md") == led("README.md")


def test_the_spanish_readme_promises_as_much() -> None:
    def points(name: str) -> list[int]:
        return [
            len(re.findall(r"^- ", chapter, re.MULTILINE))
            for chapter in prose(ROOT / name).split("\n## ")
        ]

    assert points("README.es.md") == points("README.md")


@pytest.mark.parametrize("name", ["README.md", "README.es.md"])
def test_images_are_files_of_ours(name: str) -> None:
    images = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", (ROOT / name).read_text(encoding="utf-8"))

    assert all((ROOT / one).is_file() for one in images), images
    assert not [one for one in images if Path(one).suffix != ".png"]


def test_no_page_is_made_for_a_machine_of_ours() -> None:
    """Documents are read elsewhere: no path of a home or of a temporary folder."""
    found = subprocess.run(
        ["grep", "-nE", r"/(root|home)/[a-z]|/var/tmp/", *map(str, PAGES)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.stdout == ""
