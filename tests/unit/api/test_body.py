"""The JSON decoder takes anything and does nothing worse than refuse it."""

from __future__ import annotations

import json
import math
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flotilla.models import canonical_json
from functions.api.body import MAX_DEPTH, MAX_NUMBER_CHARACTERS, MalformedBodyError, decode

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**300), 10**300)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)

JSON_LIKE = st.lists(
    st.sampled_from(
        [
            "{",
            "}",
            "[",
            "]",
            '"',
            "\\",
            ",",
            ":",
            "1",
            "-",
            "e999",
            ".",
            "null",
            "NaN",
            "\\ud800",
            '"a"',
            " ",
            "\x00",
            "é",
        ]
    )
).map("".join)


@given(VALUES)
def test_whatever_json_holds_comes_back_as_it_was(value: Any) -> None:
    assert decode(json.dumps(value).encode()) == value
    assert decode(json.dumps(value, ensure_ascii=False).encode()) == value


@given(st.binary() | JSON_LIKE.map(str.encode) | st.text(alphabet='[]{}",:\\u0123d8 ').map(str.encode))
def test_any_bytes_are_refused_or_decoded_to_what_can_be_stored_and_validated(content: bytes) -> None:
    try:
        value = decode(content)
    except MalformedBodyError:
        return
    canonical_json(value).encode()
    jsonschema_rs.validator_for({"type": "string", "maxLength": 1}).is_valid(value)


@pytest.mark.parametrize("opening", ["[", '{"a":', '[{"b":'])
def test_nesting_is_refused_before_it_is_decoded(opening: str) -> None:
    with pytest.raises(MalformedBodyError, match="deeper than 64"):
        decode((opening * 200_000).encode())


def test_nesting_up_to_the_bound_is_decoded_and_one_more_is_not() -> None:
    deepest = "[" * MAX_DEPTH + "]" * MAX_DEPTH
    assert decode(deepest.encode()) is not None
    with pytest.raises(MalformedBodyError):
        decode(f"[{deepest}]".encode())


def test_brackets_side_by_side_or_in_strings_are_no_nesting() -> None:
    value: list[Any] = [[], {}] * 1000 + ["[" * 1000, '"[[[[\\"' * 100]
    assert decode(json.dumps(value).encode()) == value


def test_strings_that_never_end_cost_no_more_than_their_length() -> None:
    # Were every quote tried as the beginning of a string that runs to the end, this would take hours.
    with pytest.raises(MalformedBodyError):
        decode(("[" * 60 + '"' + '\\"[' * 340_000).encode())


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "empty"),
        (b" \r\n\t", "empty"),
        (b'{"a":', "line 1, column"),
        (b"{'a': 1}", "not JSON"),
        (b"[1] [2]", "not JSON"),
        (b'"tab\there"', "not JSON"),
        ("\ufeff{}".encode(), "not JSON"),
        (b'"\xff"', "UTF-8"),
        (b'"\xed\xa0\x80"', "UTF-8"),
        (rb'"\ud800"', "surrogate"),
        (rb'{"\udfff": 1}', "surrogate"),
        (b"NaN", "NaN"),
        (b"[-Infinity]", "-Infinity"),
        (b"1e999", "too large"),
        (b"-1e309", "too large"),
        (b"9" * 309, "308"),
        (b"-0." + b"1" * 5000, "308"),
        (b"[" + b"9" * 500_000 + b"]", "308"),
        (b'{"a": 1, "a": 1}', "twice"),
        (b'[{"b": {"a": 1, "\\u0061": 2}}]', "twice"),
    ],
)
def test_what_is_not_acceptable_is_refused_and_the_reason_said(content: bytes, why: str) -> None:
    with pytest.raises(MalformedBodyError, match=why):
        decode(content)


def test_the_largest_numbers_are_still_numbers() -> None:
    assert decode(b"9" * MAX_NUMBER_CHARACTERS) == 10**308 - 1
    assert decode(b"[1.7976931348623157e308, 1e-999, -0.0]") == [1.7976931348623157e308, 0.0, -0.0]
    assert math.isfinite(decode(b"9" * MAX_NUMBER_CHARACTERS) * 1.0)


def test_a_whole_surrogate_pair_is_one_character() -> None:
    assert decode(rb'"\ud83d\ude00"') == "😀"
