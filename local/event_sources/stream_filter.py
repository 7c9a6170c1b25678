"""Filter criteria of a stream's mapping: which records its function is handed. Pure.

Knows what the mappings here use: nested members, lists of allowed values, and `anything-but`. A pattern that it does
not know is refused, so that nobody takes a filter for applied that is not.

Source: "Lambda event filtering" in the AWS Lambda developer guide.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

_SCALARS = (str, int, float, bool, type(None))


class UnknownPatternError(ValueError):
    """A filter uses what is not known here."""


class StreamFilter:
    """The patterns of one mapping; a record passes if any of them matches, or if there is none.

    Args:
        patterns: JSON, as in `FilterCriteria`.

    Raises:
        UnknownPatternError: One of them uses an operator that is not known here.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        self._patterns = [_checked(json.loads(pattern)) for pattern in patterns]

    def passes(self, record: Mapping[str, Any]) -> bool:
        """Whether the record is for the function."""
        return not self._patterns or any(_matches(pattern, record) for pattern in self._patterns)


def _checked(pattern: Any) -> dict[str, Any]:
    if not isinstance(pattern, dict):
        raise UnknownPatternError("a pattern is an object")
    for rule in pattern.values():
        if isinstance(rule, list):
            for alternative in rule:
                _check_alternative(alternative)
        else:
            _checked(rule)
    return pattern


def _check_alternative(alternative: Any) -> None:
    if isinstance(alternative, _SCALARS):
        return
    if not isinstance(alternative, dict) or list(alternative) != ["anything-but"]:
        raise UnknownPatternError(f"not known here: {json.dumps(alternative)}")


def _matches(pattern: Mapping[str, Any], value: Any) -> bool:
    if not isinstance(value, Mapping):
        return False
    return all(
        name in value and (_allows(rule, value[name]) if isinstance(rule, list) else _matches(rule, value[name]))
        for name, rule in pattern.items()
    )


def _allows(alternatives: Iterable[Any], value: Any) -> bool:
    return any(
        value not in _listed(alternative["anything-but"]) if isinstance(alternative, dict) else value == alternative
        for alternative in alternatives
    )


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
