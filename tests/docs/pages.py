"""What the documents contain: blocks, commands in the running text, links."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = (
    *(ROOT / name for name in ("README.md", "README.es.md", "CONTRIBUTING.md")),
    ROOT / "examples" / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
)
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"(?<!`)`([^`]+)`(?!`)")
_LINK = re.compile(r"(?<!\!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Snippet:
    """A piece of a page."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def blocks(*languages: str) -> list[Snippet]:
    """Every fenced block, in these languages or in all."""
    found = []
    for path in PAGES:
        text = path.read_text(encoding="utf-8")
        for match in _FENCE.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            found.append(Snippet(_name(path), line, match[1], match[2]))
    return [one for one in found if not languages or one.language in languages]


def prose(path: Path) -> str:
    """A page with its fenced blocks blanked: lines stay where they are."""
    text = path.read_text(encoding="utf-8")
    return _FENCE.sub(lambda match: "\n" * match[0].count("\n"), text)


def spans() -> Iterator[Snippet]:
    """Every piece of code in the running text; one that goes over a line's end is one line."""
    for path in PAGES:
        text = prose(path)
        for match in _SPAN.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            yield Snippet(_name(path), line, "span", " ".join(match[1].split()))


def indented() -> Iterator[Snippet]:
    """Every line of a block that is indented instead of fenced, joined where it goes on."""
    for path in PAGES:
        text = prose(path)
        for match in re.finditer(r"(?<=\n\n)(?:    .*\n)(?:(?:    .*)?\n)*", text):
            first = text.count("\n", 0, match.start()) + 1
            joined = match[0].replace("\\\n", " ")
            for line in joined.splitlines():
                yield Snippet(_name(path), first, "indented", line.strip())


def transcripts() -> Iterator[Snippet]:
    """Every command that is shown with a prompt before it."""
    for block in blocks("text", "console"):
        for number, line in enumerate(block.text.splitlines(), start=block.line + 1):
            if line.startswith("$ "):
                yield Snippet(block.page, number, "transcript", line.removeprefix("$ "))


def links() -> Iterator[Snippet]:
    """Every link that leads to a file of ours."""
    for path in PAGES:
        text = prose(path)
        for match in _LINK.finditer(text):
            target = match[1] or match[2]
            if not re.match(r"\w+:", target):
                yield Snippet(_name(path), text.count("\n", 0, match.start()) + 1, "link", target)


def anchors(path: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.*)$", prose(path), re.MULTILINE):
        plain = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        number = sum(re.sub(r"-\d+$", "", one) == plain for one in found)
        found.add(f"{plain}-{number}" if number else plain)
    return found
