"""What is wrong with what was sent is said in people's words, with what to do about it."""

from typing import Annotated, Any, Literal

import pytest
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from app.api.faults import first_fault
from app.domain.remediation import State


class Sent(BaseModel):
    """One field of each kind."""

    model_config = ConfigDict(extra="forbid", strict=True)

    text: Annotated[str, Field(min_length=1, max_length=5, pattern="^[!-~]*$")] = "x"
    number: Annotated[int, Field(ge=1, le=1000)] = 1
    share: float = 0.5
    yes: bool = True
    word: Literal["4", "1"] = "4"
    state: Annotated[State, Field(strict=False)] = State.OK
    at: Annotated[AwareDatetime | None, Field(strict=False)] = None
    many: Annotated[list[int], Field(max_length=2)] = []
    names: dict[str, str] = {}


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ({"text": 5}, "text: is no text: put it in quotation marks"),
        ({"text": ""}, "text: is empty: send some text"),
        ({"text": "too long"}, "text: is too long: send 5 characters at most"),
        ({"text": "a b"}, "text: holds a character that is not allowed: use visible ASCII only, "),
        ({"number": "5"}, "number: is no whole number: send one, without quotation marks"),
        ({"number": 0}, "number: is too small: send 1 or more"),
        ({"number": 1001}, "number: is too large: send 1000 at most"),
        ({"share": "half"}, "share: is no number: send one, without quotation marks"),
        ({"yes": "yes"}, "yes: is neither true nor false: send one of them, "),
        ({"word": "3"}, "word: is no word that is known here: send '4' or '1'"),
        ({"state": "sad"}, "state: is no word that is known here: send 'ok', "),
        ({"at": "yesterday"}, "at: is no moment: write it like 2026-11-22T10:00:00Z"),
        ({"at": "2026-11-22T10:00:00"}, "at: has no time zone: write it like "),
        ({"many": [1, 2, 3]}, "many: holds too much: send 2 items at most"),
        ({"many": ["x"]}, "many.0: is no whole number: send one"),
        ({"many": {}}, "many: is no list: send one, such as []"),
        ({"names": []}, "names: is no object: send names with values, such as {}"),
        ({"names": {"a": 1}}, "names.a: is no text: put it in quotation marks"),
        ({"<script>": 1}, "a key: is no key that is known here: /docs lists those that are"),
        ([], "the body: is no object: send names with values, such as {}"),
    ],
)
def test_a_fault_names_the_field_and_the_cure(sent: Any, said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Sent.model_validate(sent)

    told = first_fault(caught.value.errors(include_url=False, include_input=False))

    assert told.startswith(said)


def test_a_missing_field_is_named() -> None:
    class Needs(BaseModel):
        reason: str

    with pytest.raises(ValidationError) as caught:
        Needs.model_validate({})

    assert first_fault(caught.value.errors()) == "reason: is missing: send it"


def test_what_was_in_the_query_is_said_to_be_there() -> None:
    fault = {"type": "int_parsing", "loc": ("query", "limit"), "msg": "Input should be", "ctx": {}}

    assert first_fault([fault]).startswith("limit in the query: is no whole number")
