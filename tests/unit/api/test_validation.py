"""Inputs are held against the agent's schema, and what is said of them repeats nothing of them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, TypeAdapter

from flotilla.errors import InvalidInputError
from functions.api.validation import InputValidators
from tests.unit.api.api import agent


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid")

    size: int | None = None
    shape: str | list[int] = ""


class Whole(BaseModel):
    title: str
    parts: list[Part] = []
    by_name: dict[str, Part] = {}


WHOLE = agent("whole", TypeAdapter(Whole).json_schema())


def errors(value: Any, schema: dict[str, Any] | None = None) -> list[tuple[str, str]]:
    with pytest.raises(InvalidInputError) as invalid:
        InputValidators().check(WHOLE if schema is None else agent("any", schema), value)
    return invalid.value.errors


def test_a_valid_input_passes_and_its_validator_is_made_once() -> None:
    validators = InputValidators()
    for _ in range(3):
        validators.check(WHOLE, {"title": "t", "parts": [{"size": 1, "shape": [1, 2]}, {"size": None}]})


def test_an_error_names_its_place_as_a_pointer_from_the_body() -> None:
    assert errors({"title": 1}) == [("/input/title", 'the value is not of type "string"')]
    assert errors({}) == [("/input", '"title" is a required property')]
    assert errors({"title": "", "by_name": {"a/b~c": {"size": 1.5}}})[0][0] == "/input/by_name/a~1b~0c/size"
    assert errors("text")[0] == ("/input", 'the value is not of type "object"')


def test_of_an_optional_member_what_is_wrong_is_said_and_not_that_it_is_not_null() -> None:
    assert errors({"title": "", "parts": [{"size": "big"}]}) == [
        ("/input/parts/0/size", 'the value is not of type "integer"')
    ]


def test_of_a_union_the_branch_of_the_right_type_is_told() -> None:
    assert errors({"title": "", "parts": [{"shape": [1, "x"]}]}) == [
        ("/input/parts/0/shape/1", 'the value is not of type "integer"')
    ]
    assert "anyOf" in errors({"title": "", "parts": [{"shape": 1}]})[0][1]


def test_no_value_is_repeated() -> None:
    secret = "sk-very-secret"
    schema = {
        "properties": {
            "a": {"enum": ["x"]},
            "b": {"const": 1},
            "c": {"pattern": "^a$"},
            "d": {"type": "integer"},
            "e": {"maxLength": 1},
            "f": {"format": "date-time"},
            "g": {"not": {"type": "string"}},
        }
    }
    found = errors(dict.fromkeys("abcdefg", secret), schema)
    assert len(found) == 7
    assert secret not in str(found)


def test_the_errors_are_bounded_in_number_and_length() -> None:
    found = errors({"title": "", "parts": [{"x" * 100_000: 1}] * 500})
    assert len(found) == 20
    assert all(len(path) <= 256 and len(message) <= 200 for path, message in found)
    assert len(errors({"title": "", "by_name": {"y" * 100_000: 1}})[0][0]) <= 256


def test_the_formats_a_schema_names_are_checked() -> None:
    assert errors("yesterday", {"type": "string", "format": "date-time"})
    InputValidators().check(agent("any", {"type": "string", "format": "date-time"}), "2030-01-31T12:00:00Z")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(10**308), 10**308) | st.floats(allow_nan=False) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["title", "parts", "size", "shape"]), inner),
    )
)
def test_any_value_is_valid_or_an_invalid_input(value: Any) -> None:
    try:
        InputValidators().check(WHOLE, value)
    except InvalidInputError:
        return
    Whole.model_validate(value)
