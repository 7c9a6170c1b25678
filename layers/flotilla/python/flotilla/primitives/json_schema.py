"""JSON Schemas as language models take them.

Decoding that is constrained to a schema takes a part of JSON Schema only, the same in the main with all who offer it:
objects with named members and no others, all of them required, no recursion, and of what narrows a value only its type,
`enum`, `const` and a few formats. `closed` brings a schema into that form. What it leaves out it says in words, and
whoever asked checks the answer against all of it anyway.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

_REFERENCE = "#/$defs/"

_FORMATS = frozenset({"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"})

_IN_WORDS = (
    "format",
    "pattern",
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minItems",
    "maxItems",
    "uniqueItems",
)

_NOT_CLOSED = frozenset({"patternProperties", "propertyNames", "prefixItems", "contains", "not", "if", "allOf"})

_MEMBERS = frozenset({"properties", "$defs"})
"""Keywords whose members are names, not keywords."""

_AS_THEY_ARE = frozenset({"const", "default", "enum", "examples"})
"""Keywords whose values are no schemas, whatever they look like."""


class _OpenError(Exception):
    """The schema allows what cannot be said in the closed form."""


def untitled(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema without the titles that generators add: they only repeat names, and every token is paid for."""
    return {
        key: _untitled_members(value) if key in _MEMBERS and isinstance(value, Mapping) else _untitled(key, value)
        for key, value in schema.items()
        if key != "title"
    }


def _untitled_members(members: Mapping[str, Any]) -> dict[str, Any]:
    return {name: untitled(each) if isinstance(each, Mapping) else each for name, each in members.items()}


def _untitled(key: str, value: Any) -> Any:
    if key in _AS_THEY_ARE:
        return value
    if isinstance(value, Mapping):
        return untitled(value)
    if isinstance(value, list):
        return [untitled(each) if isinstance(each, Mapping) else each for each in value]
    return value


def closed(schema: Mapping[str, Any]) -> dict[str, Any] | None:
    """The schema in the form that constrained decoding takes; None where it cannot be said there.

    Whatever fits the result and has no value that breaks one of the bounds said in words fits the schema.
    """
    definitions = schema.get("$defs", {})
    if _recursive(schema, definitions):
        return None
    try:
        found = _closed(schema)
        used = {name: _closed(each) for name, each in definitions.items()}
    except _OpenError:
        return None
    return found | ({"$defs": used} if used else {})


def _closed(schema: Any) -> dict[str, Any]:
    if not isinstance(schema, Mapping) or _NOT_CLOSED & schema.keys():
        raise _OpenError
    found = _value(schema)
    if words := _words(schema):
        # Beside a reference nothing else may stand.
        found = {"anyOf": [found]} if "$ref" in found else found
        found["description"] = words
    return found


def _value(schema: Mapping[str, Any]) -> dict[str, Any]:
    if "$ref" in schema:
        if not str(schema["$ref"]).startswith(_REFERENCE):
            raise _OpenError
        return {"$ref": schema["$ref"]}
    for union in ("anyOf", "oneOf"):
        if union in schema:
            return {"anyOf": [_closed(each) for each in schema[union]]}
    if "enum" in schema or "const" in schema:
        return {key: schema[key] for key in ("type", "enum", "const") if key in schema}
    match schema.get("type"):
        case "object":
            return _object(schema)
        case "array":
            return {"type": "array", "items": _closed(schema.get("items"))}
        case "string" if schema.get("format") in _FORMATS:
            return {"type": "string", "format": schema["format"]}
        case "string" | "integer" | "number" | "boolean" | "null" as kind:
            return {"type": kind}
        case _:
            raise _OpenError


def _object(schema: Mapping[str, Any]) -> dict[str, Any]:
    members = schema.get("properties")
    if not members or schema.get("additionalProperties", False) is not False:
        raise _OpenError  # its members are not known
    return {
        "type": "object",
        "properties": {name: _closed(each) for name, each in members.items()},
        "required": list(members),
        "additionalProperties": False,
    }


def _words(schema: Mapping[str, Any]) -> str:
    bounds = [
        f"{key}: {json.dumps(schema[key])}"
        for key in _IN_WORDS
        if key in schema and not (key == "format" and schema[key] in _FORMATS)
    ]
    return " ".join(
        part for part in (str(schema.get("description", "")), f"({', '.join(bounds)})" if bounds else "") if part
    )


def _recursive(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> bool:
    """Whether a definition leads back to itself."""
    leads_to = {name: _references(each) for name, each in definitions.items()}
    done: set[str] = set()
    path: set[str] = set()

    def loops(name: str) -> bool:
        if name in path:
            return True
        if name in done or name not in leads_to:
            return False
        path.add(name)
        found = any(loops(each) for each in leads_to[name])
        path.remove(name)
        done.add(name)
        return found

    return any(loops(name) for name in _references(schema) | leads_to.keys())


def _references(value: Any) -> set[str]:
    if isinstance(value, Mapping):
        own = {str(value["$ref"]).removeprefix(_REFERENCE)} if isinstance(value.get("$ref"), str) else set()
        return own.union(*(_references(each) for key, each in value.items() if key not in _AS_THEY_ARE))
    if isinstance(value, list):
        return set().union(*(_references(each) for each in value))
    return set()


def instructions(schema: Mapping[str, Any]) -> str:
    """What to tell a model that is to answer by the schema and cannot be constrained to it."""
    return (
        "Answer with a JSON object and nothing else: no words before or after it. It is valid by this JSON Schema:\n"
        + json.dumps(schema, ensure_ascii=False, separators=(",", ":"))
    )
