"""A stream's filter passes what its function is for, and is never taken for applied where it is not known."""

from __future__ import annotations

import json
from typing import Any

import pytest

from local.event_sources.stream_filter import StreamFilter, UnknownPatternError


def record(event_name: str, kind: str | None = None) -> dict[str, Any]:
    change = {} if kind is None else {"NewImage": {"kind": {"S": kind}}}
    return {"eventName": event_name, "dynamodb": change}


def passes(pattern: Any, *records: dict[str, Any]) -> list[bool]:
    return [StreamFilter([json.dumps(pattern)]).passes(each) for each in records]


def test_without_patterns_everything_passes() -> None:
    assert StreamFilter([]).passes(record("REMOVE"))


def test_a_listed_value_passes() -> None:
    assert passes({"eventName": ["INSERT", "MODIFY"]}, record("INSERT"), record("REMOVE")) == [True, False]


def test_members_are_looked_up_as_deep_as_the_pattern_goes() -> None:
    pattern = {"dynamodb": {"NewImage": {"kind": {"S": ["succeeded"]}}}}
    found = passes(pattern, record("INSERT", "succeeded"), record("INSERT", "started"), record("REMOVE"))
    assert found == [True, False, False]


def test_all_members_must_match() -> None:
    pattern = {"eventName": ["INSERT"], "dynamodb": {"NewImage": {"kind": {"S": ["succeeded"]}}}}
    found = passes(pattern, record("INSERT", "succeeded"), record("MODIFY", "succeeded"), record("INSERT", "parked"))
    assert found == [True, False, False]


@pytest.mark.parametrize("left_out", ["step_recorded", ["step_recorded", "started"]])
def test_anything_but_what_is_listed_passes_if_it_is_there(left_out: Any) -> None:
    pattern = {"dynamodb": {"NewImage": {"kind": {"S": [{"anything-but": left_out}]}}}}
    found = passes(pattern, record("INSERT", "succeeded"), record("INSERT", "step_recorded"), record("REMOVE"))
    assert found == [True, False, False]


def test_one_of_several_patterns_suffices() -> None:
    patterns = [json.dumps({"eventName": [name]}) for name in ("INSERT", "REMOVE")]
    assert [StreamFilter(patterns).passes(record(name)) for name in ("INSERT", "MODIFY", "REMOVE")] == [
        True,
        False,
        True,
    ]


@pytest.mark.parametrize(
    "pattern",
    [
        {"eventName": [{"prefix": "IN"}]},
        {"dynamodb": {"Keys": {"seq": {"N": [{"numeric": [">", 0]}]}}}},
        {"eventName": "INSERT"},
        ["INSERT"],
    ],
)
def test_a_pattern_that_is_not_known_is_refused(pattern: Any) -> None:
    with pytest.raises(UnknownPatternError):
        StreamFilter([json.dumps(pattern)])
