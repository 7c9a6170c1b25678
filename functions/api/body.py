"""Decodes JSON that anybody may have written, with a bound on everything it can make the process do.

Invariant: for any bytes at all `decode` returns plain JSON values that can be written again,
hashed and validated without a further check, or raises `MalformedBodyError`. It never raises
anything else, and its time grows only linearly with the body.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

MAX_DEPTH = 64
"""How deep arrays and objects may be nested."""

MAX_NUMBER_CHARACTERS = 308
"""The longest number literal: every integer of so many digits still fits a double's range."""

# A string (or what is left of the text, where it does not end: that makes the search linear for
# any text) or one bracket.
_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]++|\\.?)*+(?:"|\Z)|[\[\]{}]', re.DOTALL)


class MalformedBodyError(ValueError):
    """The bytes are not acceptable JSON; the message says why, fit for the client."""


def decode(content: bytes) -> Any:
    """Decode a body.

    Raises:
        MalformedBodyError: It is not JSON in UTF-8, nests deeper than `MAX_DEPTH`, holds a number
            longer or larger than a double can be, an object that names a member twice, or half a
            surrogate pair.
    """
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise MalformedBodyError("The body is not UTF-8.") from None
    if not text.strip(" \t\r\n"):
        raise MalformedBodyError("The body is empty.")
    _check_depth(text)
    try:
        value = json.loads(
            text,
            parse_int=_integer,
            parse_float=_float,
            parse_constant=_constant,
            object_pairs_hook=_object,
        )
    except json.JSONDecodeError as error:
        raise MalformedBodyError(f"The body is not JSON (line {error.lineno}, column {error.colno}).") from None
    # Only an escape can bring half a surrogate pair; written as UTF-8 it would have failed above.
    if "\\u" in text:
        _check_surrogates(value)
    return value


def _check_depth(text: str) -> None:
    # The decoder recurses, so it must not be handed what is nested deeper than its stack.
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return
    depth = 0
    for match in _STRING_OR_BRACKET.finditer(text):
        first = text[match.start()]
        if first in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise MalformedBodyError(f"The body is nested deeper than {MAX_DEPTH} levels.")
        elif first in "]}":
            depth -= 1


def _check_surrogates(value: Any) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise MalformedBodyError("The body holds half a surrogate pair.") from None


def _integer(literal: str) -> int:
    _check_length(literal)
    return int(literal)


def _float(literal: str) -> float:
    _check_length(literal)
    value = float(literal)
    if not math.isfinite(value):
        raise MalformedBodyError("The body holds a number too large for a double.")
    return value


def _check_length(literal: str) -> None:
    if len(literal) > MAX_NUMBER_CHARACTERS:
        raise MalformedBodyError(f"The body holds a number of more than {MAX_NUMBER_CHARACTERS} characters.")


def _constant(literal: str) -> NoReturn:
    raise MalformedBodyError(f"The body holds {literal}, which is not JSON.")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise MalformedBodyError("The body holds an object that names a member twice.")
    return value
