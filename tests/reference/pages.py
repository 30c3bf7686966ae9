"""docs/api.md, from the OpenAPI document."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from app.api.document import operations

_HEAD: Final = """\
# API

Made from [openapi.json](openapi.json) by `make docs`; a running Relevo shows the same at `/docs`
and `/openapi.json`. The examples are recorded.

{about}
"""
#: A case file is long; openapi.json has the whole of it.
_LONGEST: Final = 2500


def api_page(document: Mapping[str, Any]) -> str:
    """Write the page."""
    parts = [_HEAD.format(about=document["info"]["description"].strip())]
    parts += _overview(document)
    for tag in document["tags"]:
        parts.append(f"## {tag['name'].capitalize()}\n\n{tag['description']}\n")
        for path, method, operation in operations(document):
            if operation["tags"] == [tag["name"]]:
                parts += _operation(path, method.upper(), operation)
    parts += _words(document["components"]["schemas"])
    return "\n".join(parts)


def _overview(document: Mapping[str, Any]) -> Iterator[str]:
    rows = [
        f"| `{method.upper()} {path}` | {operation['summary']} | {_tokens(operation)} |"
        for path, method, operation in operations(document)
    ]
    yield "| Operation | | Tokens |\n| --- | --- | --- |\n" + "\n".join(rows) + "\n"


def _tokens(operation: Mapping[str, Any]) -> str:
    return ", ".join(name for one in operation["security"] for name in one) or "none needed"


def _operation(path: str, method: str, operation: Mapping[str, Any]) -> Iterator[str]:
    yield f"### {operation['summary']}\n"
    yield f"`{method} {path}` · `{operation['operationId']}` · tokens: {_tokens(operation)}\n"
    yield operation["description"].strip() + "\n"
    parameters = operation.get("parameters", ())
    if parameters:
        yield "\n".join(_parameter(one) for one in parameters) + "\n"
    body = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if body is not None:
        yield f"Body: `{_type(body['schema'])}`\n\n{_block(body['example'])}\n"
    for status, answer in operation["responses"].items():
        if status.startswith("2"):
            yield from _answer(status, answer)
    errors = [
        f"- `{status}` {answer['description']}"
        + "".join(f" `{name}`: {told['description']}" for name, told in _headers(answer))
        for status, answer in operation["responses"].items()
        if not status.startswith("2")
    ]
    if errors:
        yield "\n".join(errors) + "\n"


def _headers(answer: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield from answer.get("headers", {}).items()


def _parameter(one: Mapping[str, Any]) -> str:
    where = {"path": "in the path", "query": "in the query", "header": "a header"}[one["in"]]
    needed = "" if one["required"] else ", optional"
    return f"- `{one['name']}` ({where}{needed}): {one['description']}"


def _answer(status: str, answer: Mapping[str, Any]) -> Iterator[str]:
    for kind, content in answer["content"].items():
        about = f"`{_type(content['schema'])}`" if kind == "application/json" else f"`{kind}`"
        yield f"`{status}` {answer['description']} {about}\n\n{_block(content['example'])}\n"


def _type(schema: Mapping[str, Any]) -> str:
    return str(schema.get("$ref", schema.get("type", ""))).rpartition("/")[2]


def _block(example: Any) -> str:
    if isinstance(example, str):
        return f"```text\n{example.strip()}\n```"
    text = json.dumps(example, indent=2, ensure_ascii=False)
    if len(text) > _LONGEST:
        cut = text[:_LONGEST].rpartition("\n")[0]
        return f"```text\n{cut}\n… the rest is in openapi.json\n```"
    return f"```json\n{text}\n```"


def _words(schemas: Mapping[str, Any]) -> Iterator[str]:
    yield "## Words\n\nClosed lists; [reasons.md](reasons.md) explains them.\n"
    for name, schema in schemas.items():
        if "enum" in schema:
            listed = " ".join(f"`{word}`" for word in schema["enum"])
            yield f"- {name}: {listed}"
    yield ""
