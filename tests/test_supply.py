"""The bill of materials is valid, whole and the same twice; licences are looked at."""

import json
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from tests.supply import audit, licences, sbom
from tests.supply.parts import LOCK, Part, locked


@pytest.fixture(scope="module")
def told() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(sbom.written())
    return found


def test_it_is_valid_by_the_schema_of_its_version(told: dict[str, Any]) -> None:
    validator = JsonStrictValidator(SchemaVersion.V1_6)

    assert told["specVersion"] == "1.6"
    assert validator.validate_str(json.dumps(told)) is None
    assert validator.validate_str(json.dumps(told | {"components": "none"})) is not None


def test_it_holds_every_package_of_the_lock_with_its_hashes(told: dict[str, Any]) -> None:
    listed = {one["purl"]: one for one in told["components"]}

    for part in locked():
        one = listed[f"pkg:pypi/{part.name}@{part.version}"]
        assert {h["content"] for h in one["hashes"]} == set(part.hashes)
        assert one["hashes"], part.name
        assert one.get("licenses") or not part.is_used, part.name
    assert LOCK.read_text(encoding="utf-8").count("==") >= len(list(locked())) > 30


def test_it_holds_the_browsers_files(told: dict[str, Any]) -> None:
    purls = {one["purl"].partition("@")[0] for one in told["components"]}

    assert {"pkg:npm/htmx.org", "pkg:npm/uplot", "pkg:npm/swagger-ui-dist"} <= purls


def test_the_same_tree_gives_the_same_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)

    assert sbom.written() == sbom.written()
    assert "timestamp" not in json.loads(sbom.written())["metadata"]


def test_a_moment_is_in_it_where_one_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")

    assert json.loads(sbom.written())["metadata"]["timestamp"].startswith("1970-01-01T00:00:00")


def part(licence: str, *, is_used: bool = True) -> Part:
    return Part(name="a", version="1", licence=licence, hashes=("0" * 64,), is_used=is_used)


@pytest.mark.parametrize(
    ("licence", "is_found"),
    [
        ("MIT", False),
        ("MIT OR Apache-2.0", False),
        ("MIT OR GPL-3.0-only", False),
        ("Apache-2.0 AND MIT", False),
        ("Apache-2.0 AND GPL-3.0-only", True),
        ("GPL-3.0-only", True),
        ("LicenseRef-Ours", True),
        ("", True),
    ],
)
def test_a_licence_that_is_not_in_the_list_is_found(licence: str, is_found: bool) -> None:
    assert bool(list(licences.findings([part(licence)]))) is is_found


def test_what_is_not_in_the_image_is_not_looked_at() -> None:
    assert list(licences.findings([part("GPL-3.0-only", is_used=False)])) == []


def test_all_that_the_image_holds_may_be_in_it() -> None:
    assert list(licences.findings(locked())) == []


def test_a_lock_that_pins_nothing_is_an_error(tmp_path: Path) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text("a>=1\n")

    with pytest.raises(ValueError, match="no pinned package"):
        list(locked(lock))


@pytest.mark.parametrize(
    ("code", "said", "means"),
    [
        (0, "No known vulnerabilities found", audit.CLEAN),
        (1, '{"dependencies": [{"vulns": [{"id": "PYSEC-1"}]}]}', audit.FOUND),
        (1, "requests.exceptions.ConnectionError: Max retries exceeded", audit.UNREACHED),
        (2, "usage: pip-audit", audit.UNREACHED),
    ],
)
def test_nothing_found_and_nobody_asked_are_two_things(code: int, said: str, means: int) -> None:
    assert audit.meaning(code, said) == means
