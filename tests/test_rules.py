"""The rules of the house find what they should, and nothing else."""

import hashlib
import inspect
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import rules

Rule = Callable[[], Iterator[str]]

#: Cut in two, so that this file keeps the rules that it tests.
SLEEP = "asyncio." + "sleep"
HASH = "--hash=" + "sha256:" + "0" * 64


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository of its own, empty."""
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    monkeypatch.setattr(rules, "ROOT", tmp_path)
    return tmp_path


def write(house: Path, name: str, text: str) -> None:
    path = house / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


LONG = "x = 1\n" * rules.LONGEST_MODULE
LUA = "--[[ KEYS[1] a  ARGV[1] b  Output: c ]]\n"


@pytest.mark.parametrize(
    ("rule", "name", "text", "found"),
    [
        pytest.param(
            rules.no_registry_addresses,
            "requirements.lock",
            "a==1\n--index-url https://packages.example/simple\n",
            "requirements.lock:2: an address in a requirements file",
            id="an-index-in-a-lock",
        ),
        pytest.param(
            rules.no_registry_addresses,
            "pyproject.toml",
            'dependencies = ["a @ file:///tmp/a.whl"]\n',
            "pyproject.toml:1: an address in a requirements file",
            id="a-file-in-the-project",
        ),
        pytest.param(
            rules.locks_have_hashes,
            "requirements.lock",
            f"a==1 \\\n    {HASH}\nb==2\n",
            "requirements.lock: b==2 has no hash",
            id="a-pin-without-hash",
        ),
        pytest.param(
            rules.modules_stay_short,
            "app/deep/down.py",
            LONG + "y = 2\n",
            f"app/deep/down.py: {rules.LONGEST_MODULE + 1} lines",
            id="a-module-of-one-line-too-many",
        ),
        pytest.param(
            rules.scripts_say_what_they_take,
            "app/store/lua/a.lua",
            LUA.replace("ARGV", "ARGS"),
            "app/store/lua/a.lua: its header does not name ARGV",
            id="a-script-without-its-arguments",
        ),
        pytest.param(
            rules.no_fixed_sleeps,
            "tests/deep/test_a.py",
            f"await {SLEEP}(0)\nawait {SLEEP}(1)\n",
            "tests/deep/test_a.py:2: a fixed sleep",
            id="a-second-of-sleep",
        ),
        pytest.param(
            rules.no_fixed_sleeps,
            "tests/test_a.py",
            "time." + "sleep(30)\n",
            "tests/test_a.py:1: a fixed sleep",
            id="half-a-minute-of-sleep",
        ),
    ],
)
def test_a_rule_finds_what_breaks_it(
    house: Path, rule: Rule, name: str, text: str, found: str
) -> None:
    write(house, name, text)

    (finding,) = rule()

    assert finding.startswith(found)


@pytest.mark.parametrize(
    ("rule", "name", "text"),
    [
        pytest.param(
            rules.no_registry_addresses,
            "docs/a.md",
            "https://packages.example\n",
            id="docs-may-link",
        ),
        pytest.param(
            rules.locks_have_hashes, "requirements.lock", f"a==1 \\\n    {HASH}\n", id="a-hash"
        ),
        pytest.param(rules.modules_stay_short, "app/a.py", LONG, id="exactly-long-enough"),
        pytest.param(
            rules.modules_stay_short, "tests/a.py", LONG * 2, id="tests-may-be-as-long-as-they-like"
        ),
        pytest.param(
            rules.scripts_say_what_they_take, "app/store/lua/a.lua", LUA, id="a-whole-header"
        ),
        pytest.param(
            rules.scripts_say_what_they_take,
            "app/store/lua/b.lua",
            "-- not a script of its own\n",
            id="a-part-of-scripts",
        ),
        pytest.param(
            rules.no_fixed_sleeps, "tests/a.py", f"await {SLEEP}(0)\n", id="giving-way-is-no-sleep"
        ),
        pytest.param(
            rules.no_fixed_sleeps, "app/a.py", f"await {SLEEP}(1)\n", id="only-tests-are-looked-at"
        ),
    ],
)
def test_a_rule_lets_pass_what_keeps_it(house: Path, rule: Rule, name: str, text: str) -> None:
    write(house, name, text)

    assert list(rule()) == []


def test_nothing_knows_where_it_was_written(house: Path) -> None:
    write(house, "docs/a.md", f"fine\nsee {house}/docs\n")
    write(house, "b.txt", f"{Path.home()}/x\n" if len(str(Path.home())) > 5 else "")

    found = list(rules.no_paths_of_one_machine())

    assert "docs/a.md:2: a path of this machine" in found
    assert len(found) <= 2


def test_what_git_ignores_is_not_looked_at(house: Path) -> None:
    write(house, ".gitignore", "build/\n")
    write(house, "build/tests/test_a.py", f"{SLEEP}(9)\n")
    write(house, "app/b.py", LONG * 2)

    assert rules.tracked("*.py") == [house / "app/b.py"]


def test_without_git_everything_is_looked_at(house: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An archive that was unpacked is no repository."""
    write(house, "app/b.py", LONG * 2)
    write(house, ".venv/lib/app/c.py", LONG * 2)
    monkeypatch.setenv("PATH", "")

    assert [finding.partition(":")[0] for finding in rules.modules_stay_short()] == ["app/b.py"]


def test_a_file_that_is_no_text_is_passed_over(house: Path) -> None:
    (house / "picture.png").write_bytes(b"\x89PNG\xff\xfe" + str(house).encode())

    assert list(rules.no_paths_of_one_machine()) == []


def vendored(house: Path, file: str, text: str, listed: str) -> None:
    """Have a vendored file, and a list that says it holds `listed`."""
    write(house, f"{VENDOR}/lib/{file}", text)
    digest = hashlib.sha256(listed.encode()).hexdigest()
    write(
        house,
        f"{VENDOR}/vendor.json",
        json.dumps({"lib": {"version": "1", "files": {"lib.js": digest}}}),
    )


VENDOR = "app/web/static/vendor"


@pytest.mark.parametrize(
    ("file", "text", "found"),
    [
        pytest.param("lib.js", "same", [], id="as-it-came"),
        pytest.param(
            "lib.js",
            "changed",
            [f"{VENDOR}/lib/lib.js: has changed since it was vendored"],
            id="changed",
        ),
        pytest.param(
            "other.js",
            "same",
            [
                "vendored lib/lib.js: is not as vendor.json lists it",
                "vendored lib/other.js: is not as vendor.json lists it",
            ],
            id="another-file",
        ),
    ],
)
def test_vendored_files_are_what_they_say(
    house: Path, file: str, text: str, found: list[str]
) -> None:
    vendored(house, file, text, "same")

    assert sorted(rules.vendored_files_are_what_they_say()) == found


def test_all_rules_are_asked(house: Path) -> None:
    vendored(house, "lib.js", "changed", "same")
    write(house, "app/b.py", LONG * 2)
    write(house, "tests/test_a.py", f"{SLEEP}(9)\n")

    assert len(rules.findings()) == 3


def test_no_rule_is_forgotten() -> None:
    written = {
        one
        for one in vars(rules).values()
        if inspect.isgeneratorfunction(one) and not inspect.signature(one).parameters
    }

    assert written == set(rules.RULES)
