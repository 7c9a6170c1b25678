"""Says what is wrong with one key of `fleet.toml`, and what is allowed there, read off the settings' own models."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from stacks.settings_model import AgentOverride, Fleet, Lane, Section
from stacks.settings_rules import Problem, one_of

_NAMES = {
    "name": "lower-case letters, digits and single hyphens, beginning with a letter, at most 24 characters",
    "lanes": "lower-case letters and digits, beginning with a letter, at most 16 characters",
    "agents": "letters, digits, dots, hyphens and underscores, at most 128 characters",
    "runtime": "the name boto3 has for the service",
}
"""What a name may be, by the first part of its key."""

_TABLES_OF_FREE_NAMES: dict[tuple[str, ...], str] = {
    ("lanes",): "at least one table [lanes.<name>]",
    ("agents",): 'tables [agents."<name>"]',
}

_SECTIONS: dict[str, type[BaseModel]] = {
    name: type(field.default) for name, field in Fleet.model_fields.items() if isinstance(field.default, Section)
}


def explained(error: ValidationError) -> list[Problem]:
    """Pydantic's findings in the file's terms."""
    return list(_problems(error.errors(include_url=False)))


def _problems(errors: Sequence[ErrorDetails]) -> Iterator[Problem]:
    for details in errors:
        path = tuple(str(part) for part in details["loc"] if part != "[key]")
        given = details["input"]
        match details["type"]:
            case "default_factory_not_called":
                continue  # The value it would have been made of has a problem of its own.
            case "extra_forbidden":
                yield Problem(path, f"unknown key; {one_of(path[-1], _keys_at(path[:-1]))}")
            case "string_pattern_mismatch" | "string_too_long":
                yield Problem(path, f"{given!r} is not allowed; allowed: {_NAMES[path[0]]}")
            case "literal_error":
                yield Problem(path, f"{given!r} is not allowed; allowed: {details['ctx']['expected']}")
            case _:
                yield Problem(path, f"{given!r} is not allowed; allowed: {_allowed_at(path)}")


def _model_at(path: Sequence[str]) -> type[BaseModel] | None:
    """The section a table's keys belong to; None within a table of free names."""
    match tuple(path):
        case ():
            return Fleet
        case (section,):
            return _SECTIONS.get(section)
        case ("lanes", _):
            return Lane
        case ("agents", _):
            return AgentOverride
    return None


def _keys_at(path: Sequence[str]) -> list[str]:
    model = _model_at(path)
    keys = list(model.model_fields) if model else []
    return keys if path else [*keys, "local"]


def _allowed_at(path: Sequence[str]) -> str:
    """Type and range of what may stand at `path`."""
    if tuple(path) in _TABLES_OF_FREE_NAMES:
        return _TABLES_OF_FREE_NAMES[tuple(path)]
    if _model_at(path) is not None:
        return "a table"
    model = _model_at(path[:-1])
    if model is None or path[-1] not in model.model_fields:
        return "a text"  # An item of a list; all lists are of texts.
    field = model.model_fields[path[-1]]
    types = {"bool": "true or false", "tuple": "a list of texts", "int": "a whole number", "float": "a number"}
    kind = next((name for key, name in types.items() if key in str(field.annotation)), "a text")
    return kind + _range(field.metadata)


def _range(constraints: Sequence[Any]) -> str:
    bounds = {
        bound: getattr(constraint, bound)
        for constraint in constraints
        for bound in ("ge", "gt", "le")
        if getattr(constraint, bound, None) is not None
    }
    if "ge" in bounds:
        return f" from {bounds['ge']} to {bounds['le']}"
    return f" above {bounds['gt']}, at most {bounds['le']}" if "gt" in bounds else ""
