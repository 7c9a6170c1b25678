"""Schemas for constrained decoding: closed, all members required; None where that would say something else."""

from __future__ import annotations

import datetime as dt
import json
from typing import Annotated, Any, Literal
from uuid import UUID

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, TypeAdapter

from benchmarks.fault_lab.scripted_model import example
from flotilla.primitives.json_schema import closed, instructions, untitled


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"
    lives: int = Field(9, ge=1, le=9, description="left")


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"
    born: dt.date
    tag: UUID | None = None


class Home(BaseModel):
    title: str = Field(pattern="^[A-Z]", max_length=10)
    pets: list[Annotated[Cat | Dog, Field(discriminator="kind")]]
    first: Cat = Field(description="the first")


class Tree(BaseModel):
    children: list[Tree] = []


def test_bounds_are_said_in_words_and_all_members_are_required() -> None:
    found = closed(Home.model_json_schema())
    assert found is not None
    assert found["required"] == ["title", "pets", "first"]
    assert found["properties"]["title"] == {"type": "string", "description": '(pattern: "^[A-Z]", maxLength: 10)'}
    assert found["properties"]["first"] == {"anyOf": [{"$ref": "#/$defs/Cat"}], "description": "the first"}
    assert found["properties"]["pets"]["items"] == {"anyOf": [{"$ref": "#/$defs/Cat"}, {"$ref": "#/$defs/Dog"}]}
    assert found["$defs"]["Cat"]["properties"]["lives"] == {
        "type": "integer",
        "description": "left (minimum: 1, maximum: 9)",
    }
    assert found["$defs"]["Dog"]["properties"]["born"] == {"type": "string", "format": "date"}
    for each in (found, *found["$defs"].values()):
        assert (each["additionalProperties"], set(each["required"])) == (False, set(each["properties"]))


@pytest.mark.parametrize(
    "output",
    [
        dict[str, int],
        Tree,
        tuple[int, str],
        TypeAdapter(Any).json_schema(),
        {"type": "object"},
        {"type": "object", "properties": {"a": {}}},
        {"type": "object", "properties": {"a": {"type": ["string", "null"]}}},
        {"type": "object", "properties": {"a": {"$ref": "https://example.com/a"}}},
        {"type": "object", "properties": {"a": {"type": "integer", "not": {"const": 1}}}},
        {"type": "object", "properties": {"a": True}},
        {"type": "array"},
    ],
)
def test_what_cannot_be_closed_is_not(output: Any) -> None:
    assert closed(output if isinstance(output, dict) else TypeAdapter(output).json_schema()) is None


LEAF = st.one_of(
    st.sampled_from(
        [
            {"type": "string"},
            {"type": "string", "format": "date-time"},
            {"type": "integer"},
            {"type": "boolean"},
            {"type": "null"},
            {"enum": ["a", "b"], "type": "string"},
            {"const": 3},
        ]
    )
)
SCHEMAS = st.recursive(
    LEAF,
    lambda inner: st.one_of(
        st.builds(lambda item: {"type": "array", "items": item}, inner),
        st.builds(lambda several: {"anyOf": several}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(
            lambda members, some: {"type": "object", "properties": members, "required": sorted(members)[:some]},
            st.dictionaries(st.sampled_from("abcd"), inner, min_size=1, max_size=3),
            st.integers(0, 3),
        ),
    ),
    max_leaves=8,
)


@given(SCHEMAS)
def test_what_fits_the_closed_form_fits_the_schema(schema: dict[str, Any]) -> None:
    found = closed(schema)
    assert found is not None
    value = example(found)
    assert jsonschema_rs.validator_for(found).is_valid(value)
    assert jsonschema_rs.validator_for(schema).is_valid(value)
    assert closed(found) == found


def test_titles_go_and_members_of_that_name_stay() -> None:
    class Book(BaseModel):
        title: str = Field("x", title="A title")
        properties: dict[str, int]

    found = untitled(Book.model_json_schema())
    assert set(found["properties"]) == {"title", "properties"}
    assert found["properties"]["title"] == {"default": "x", "type": "string"}
    assert "title" not in found
    assert untitled({"enum": [{"title": 1}], "default": {"title": 1}}) == {
        "enum": [{"title": 1}],
        "default": {"title": 1},
    }


def test_instructions_hold_the_schema() -> None:
    schema = {"type": "object", "properties": {"größe": {"type": "integer"}}}
    text = instructions(schema)
    assert json.loads(text[text.index("{") :]) == schema
