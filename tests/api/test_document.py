"""The OpenAPI document: whole, true, and as committed."""

import difflib
import json
import re
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator

from app.api.app import create_app
from app.api.deps import Scope
from app.api.document import operations
from tests.api.conftest import OnlyDocumented
from tests.reference.making import ROOT, made
from tests.reference.scene import parts

DOCUMENT: Mapping[str, Any] = create_app(parts()).openapi()
OPERATIONS = {told["operationId"]: told for _, _, told in operations(DOCUMENT)}
PROBLEM = "application/problem+json"
#: The same without tokens; all others need one.
OPEN = {"check_health", "check_readiness"}


@pytest.fixture(scope="module")
def fresh() -> Mapping[str, str]:
    return made()


@pytest.mark.parametrize(
    "name", ["app/api/examples.json", "docs/openapi.json", "docs/api.md", "docs/metrics.md"]
)
def test_what_is_made_from_the_code_is_up_to_date(fresh: Mapping[str, str], name: str) -> None:
    committed = (ROOT / name).read_text(encoding="utf-8")

    lines = difflib.unified_diff(
        committed.splitlines(), fresh[name].splitlines(), f"committed {name}", "as made", n=2
    )
    diff = "\n".join(list(lines)[:80])
    assert not diff, f"make docs renews it:\n{diff}"


def test_a_served_document_is_the_committed_one() -> None:
    assert json.loads((ROOT / "docs/openapi.json").read_text(encoding="utf-8")) == DOCUMENT


# ---------------------------------------------------------------- every operation


def described(operation: Mapping[str, Any]) -> Iterator[str]:
    """What is missing of one operation."""
    name = operation["operationId"]
    if not re.fullmatch(r"[a-z]+(_[a-z]+)*", name) or "api_v1" in name:
        yield "an operationId that reads well in a client"
    if operation.get("summary", "") in ("", name.replace("_", " ").title()):
        yield "a summary"
    if not operation.get("description"):
        yield "a description"
    if len(operation.get("tags", ())) != 1:
        yield "one tag"
    for parameter in operation.get("parameters", ()):
        if not parameter.get("description"):
            yield f"what {parameter['name']} means"
    if "requestBody" in operation:
        content = operation["requestBody"]["content"]["application/json"]
        if "example" not in content:
            yield "an example of its body"
        if not {"400", "413", "415", "422"} <= set(operation["responses"]):
            yield "what becomes of a wrong body"
    if operation["security"] and not {"401", "403"} <= set(operation["responses"]):
        yield "what becomes of a wrong token"
    for status, answer in operation["responses"].items():
        if answer["description"] in ("", "Successful Response", HTTPStatus(int(status)).phrase):
            yield f"what {status} means here"
        for kind, content in answer.get("content", {"": {}}).items():
            if "example" not in content:
                yield f"an example of {status}"
            is_error = int(status) >= 400 and (name, status) != ("check_readiness", "503")
            if is_error != (kind == PROBLEM):
                yield f"the right type of {status}"
            if is_error and content.get("schema") != {"$ref": "#/components/schemas/Problem"}:
                yield f"the schema of {status}"


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_lacks_nothing(name: str) -> None:
    assert list(described(OPERATIONS[name])) == []


def test_what_is_missing_is_noticed() -> None:
    whole = OPERATIONS["restart_target"]

    for part in ("summary", "description", "tags"):
        assert list(described({**whole, part: ""}))
    for status in ("202", "400", "401", "404", "422"):
        answers = {**whole["responses"], status: {"description": "Taken.", "content": {"": {}}}}
        assert list(described({**whole, "responses": answers})), status
    assert list(described({**whole, "operationId": "restart_api_v1_targets_post"}))


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_tokens_that_open_it_are_named(name: str) -> None:
    opened_by = {scheme for one in OPERATIONS[name]["security"] for scheme in one}

    assert opened_by <= set(DOCUMENT["components"]["securitySchemes"])
    assert (opened_by == set()) is (name in OPEN)
    if opened_by:
        assert Scope.ADMIN in opened_by


def test_orders_take_a_key_and_others_do_not() -> None:
    with_key = {
        name
        for name, operation in OPERATIONS.items()
        if any(one["name"] == "Idempotency-Key" for one in operation.get("parameters", ()))
    }

    assert with_key == {
        name for name, operation in OPERATIONS.items() if operation["tags"] == ["operating"]
    }


# ---------------------------------------------------------------- examples


def examples() -> Iterator[tuple[str, Mapping[str, Any], Any]]:
    """Every example with its schema."""
    for name, operation in OPERATIONS.items():
        for content in operation.get("requestBody", {}).get("content", {}).values():
            yield f"{name} body", content["schema"], content["example"]
        for parameter in operation.get("parameters", ()):
            shown = parameter["schema"].get("examples", [])
            for example in [*shown, *([parameter["example"]] if "example" in parameter else [])]:
                yield f"{name} {parameter['name']}", parameter["schema"], example
        for status, answer in operation["responses"].items():
            for content in answer["content"].values():
                yield f"{name} {status}", content["schema"], content["example"]


def faults(schema: Mapping[str, Any], example: Any) -> list[str]:
    """What is wrong with an example; a key that its schema does not know is, too."""
    rules = json.loads(json.dumps(DOCUMENT["components"]).replace("#/components/", "#/$defs/"))
    for one in rules["schemas"].values():
        if "properties" in one:
            one.setdefault("unevaluatedProperties", False)
    local = json.loads(json.dumps(schema).replace("#/components/", "#/$defs/"))
    validator = Draft202012Validator({**local, "$defs": rules})
    return [f"{one.json_path}: {one.message}" for one in validator.iter_errors(example)]


#: Alertmanager sends more than is read.
TOLERANT = {"Notification", "Alert"}


@pytest.mark.parametrize(
    ("schema", "example"),
    [pytest.param(schema, example, id=name) for name, schema, example in examples()],
)
def test_an_example_is_valid(schema: Mapping[str, Any], example: Any) -> None:
    found = faults(schema, example)
    if schema.get("$ref", "").rpartition("/")[2] in TOLERANT:
        found = [one for one in found if "nevaluated" not in one]

    assert found == []


@pytest.mark.parametrize(
    "change", [{"state": "sad"}, {"instances": "two"}, {"reason": "because"}, {"nobody": 1}]
)
def test_a_wrong_example_is_noticed(change: Mapping[str, Any]) -> None:
    content = OPERATIONS["show_target"]["responses"]["200"]["content"]["application/json"]

    assert faults(content["schema"], {**content["example"], **change})


# ---------------------------------------------------------------- words, references


def test_references_lead_somewhere() -> None:
    found = set(re.findall(r'"\$ref": "#/components/schemas/([^"]*)"', json.dumps(DOCUMENT)))

    assert found == set(DOCUMENT["components"]["schemas"])


@pytest.mark.parametrize(
    ("schema", "field", "words"),
    [
        ("Target", "state", "TargetState"),
        ("Target", "reason", "Reason"),
        ("Target", "next_action", "Action"),
        ("Remediation", "state", "RemediationState"),
        ("Remediation", "outcome", "Outcome"),
        ("Attempt", "verdict", "Verdict"),
        ("Attempt", "trigger", "Trigger"),
        ("Activity", "status", "ActivityStatus"),
        ("Problem", "reason", "Reason"),
    ],
)
def test_words_are_closed_lists(schema: str, field: str, words: str) -> None:
    schemas = DOCUMENT["components"]["schemas"]

    assert f'"#/components/schemas/{words}"' in json.dumps(schemas[schema]["properties"][field])
    assert len(schemas[words]["enum"]) >= 4


async def test_a_status_that_the_document_does_not_know_is_noticed(
    http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await http.get("/api/v1/targets/nobody")).status_code == 404
    known = [(re.compile("/api/v1/targets/[^/]+"), "GET", {"200"})]
    monkeypatch.setattr(OnlyDocumented, "_known", known)

    with pytest.raises(AssertionError, match="answers 404: document it"):
        await http.get("/api/v1/targets/nobody")
