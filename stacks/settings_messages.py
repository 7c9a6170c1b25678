"""Says what is wrong with one key of `fleet.toml`, and what is allowed there, read off the settings' own models."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from stacks.budget_settings import TenantBudget
from stacks.integration_settings import Integration
from stacks.load_settings import Load
from stacks.model_settings import Model, Route
from stacks.settings_model import AgentOverride, Fleet, Lane
from stacks.settings_rules import Problem, one_of
from stacks.settings_section import Section
from stacks.tenant_settings import Tenant

_NAMES = {
    "name": "lower-case letters, digits and single hyphens, beginning with a letter, at most 24 characters",
    "lanes": "lower-case letters and digits, beginning with a letter, at most 16 characters",
    "load": "the name of a lane",
    "agents": "letters, digits, dots, hyphens and underscores, at most 128 characters",
    "runtime": "the name boto3 has for the service",
    "budgets": "the name of a tenant, at most 128 characters",
    "tenants": "the name of a tenant, at most 128 characters; its class: lower-case letters, digits and hyphens, "
    "beginning with a letter, at most 32 characters",
    "api": "https:// and the name of a host, without a path",
    "webhooks": "a host's name or address in lower case, without scheme and port",
    **dict.fromkeys(
        ("integrations", "models", "routes"),
        "lower-case letters, digits, - and _, beginning with a letter, at most 32 characters",
    ),
    "workflows": "a name of lower-case letters, digits and single hyphens, beginning with a letter, at most 48 "
    'characters, and for each the name of a file in statemachines/, "<file>.asl.json"',
}
"""What a name may be, by the first part of its key."""

_INTEGRATIONS_TEXTS = {
    "base_url": "a URL of at most 1024 characters",
    "paths": "a path of at most 1024 characters, beginning with a slash",
    "secret": "the name of a secret: letters, digits and /_+=.@-, at most 256 characters",
    "header": "the name of a header: letters, digits and hyphens, at most 64 characters",
    "idempotency_header": 'the name of a header, or ""',
    "id": "the id that the provider has for the model, at most 200 characters",
}
"""The same of texts below `integrations.<name>` and `models.<name>`, by the key they belong to."""

_TYPES = {
    "bool": ("true or false", "true or false"),
    "int": ("a whole number", "whole numbers"),
    "float": ("a number", "numbers"),
}
"""By what is in an annotation's name, in the singular and the plural."""

_TABLES_OF_FREE_NAMES: dict[tuple[str, ...], str] = {
    ("lanes",): "at least one table [lanes.<name>]",
    ("load",): "tables [load.<lane>]",
    ("agents",): 'tables [agents."<name>"]',
    ("integrations",): "tables [integrations.<name>]",
    ("budgets", "tenants"): 'tables [budgets.tenants."<name>"]',
    ("tenants",): 'tables [tenants."<name>"]',
    ("models",): "tables [models.<name>]",
    ("routes",): "tables [routes.<name>]",
    ("workflows",): 'lines <name> = "<file>.asl.json"',
}

_NAMED: dict[tuple[str, ...], type[BaseModel]] = {
    ("lanes",): Lane,
    ("load",): Load,
    ("agents",): AgentOverride,
    ("budgets", "tenants"): TenantBudget,
    ("tenants",): Tenant,
    ("integrations",): Integration,
    ("models",): Model,
    ("routes",): Route,
}
"""What each table of theirs is."""

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
                yield Problem(path, f"{given!r} is not allowed; allowed: {_text_at(path)}")
            case "missing":
                yield Problem(path, f"is missing; needed: {_allowed_at(path)}")
            case "literal_error":
                yield Problem(path, f"{given!r} is not allowed; allowed: {details['ctx']['expected']}")
            case _:
                yield Problem(path, f"{given!r} is not allowed; allowed: {_allowed_at(path)}")


def _model_at(path: Sequence[str]) -> type[BaseModel] | None:
    """The section a table's keys belong to; None within a table of free names."""
    match tuple(path):
        case ():
            return Fleet
        case (*table,) if tuple(table) in _TABLES_OF_FREE_NAMES:
            return None
        case (*table, _) if tuple(table) in _NAMED:
            return _NAMED[tuple(table)]
        case (section,):
            return _SECTIONS.get(section)
        case (*above, section):
            model = _model_at(above)
            return None if model is None else _section_of(model, section)
    return None


def _section_of(model: type[BaseModel], key: str) -> type[BaseModel] | None:
    """The section that a key of a section is."""
    field = model.model_fields.get(key)
    annotations = [] if field is None else [field.annotation, *get_args(field.annotation)]
    return next((each for each in annotations if isinstance(each, type) and issubclass(each, Section)), None)


def _text_at(path: Sequence[str]) -> str:
    """What a text that must be of some form may be."""
    match tuple(path):
        case ("integrations", _, *_, ("base_url" | "paths" | "secret" | "header" | "idempotency_header") as key):
            return _INTEGRATIONS_TEXTS[key]
        case ("integrations", _, "paths", _):
            return _INTEGRATIONS_TEXTS["paths"]
        case ("models", _, ("id" | "base_url" | "secret") as key):
            return _INTEGRATIONS_TEXTS[key]
        case ("agents", _, "integrations" | "routes", *_):
            return _NAMES["integrations"]
    return _NAMES[path[0]]


def _keys_at(path: Sequence[str]) -> list[str]:
    model = _model_at(path)
    keys = [field.alias or name for name, field in model.model_fields.items()] if model else []
    return keys if path else [*keys, "local"]


def _allowed_at(path: Sequence[str]) -> str:
    """Type and range of what may stand at `path`."""
    if tuple(path) in _TABLES_OF_FREE_NAMES:
        return _TABLES_OF_FREE_NAMES[tuple(path)]
    if _model_at(path) is not None:
        return "a table"
    if (model := _model_at(path[:-1])) is not None and path[-1] in model.model_fields:
        field = model.model_fields[path[-1]]
        return _described(field.annotation, field.metadata)
    # An item of a list.
    if (model := _model_at(path[:-2])) is not None and path[-2] in model.model_fields:
        return _described(get_args(model.model_fields[path[-2]].annotation)[0], ())
    return "a text"


def _described(annotation: Any, constraints: Sequence[Any], *, many: bool = False) -> str:
    if get_origin(annotation) in (Union, UnionType):
        annotation = next(each for each in get_args(annotation) if each is not NoneType)
    if get_origin(annotation) is Annotated:
        inner, field = get_args(annotation)
        return _described(inner, field.metadata, many=many)
    if get_origin(annotation) is Literal:
        return ", ".join(repr(each) for each in get_args(annotation))
    if get_origin(annotation) is tuple:
        length = _length(constraints)
        return f"a list of {length}{_described(get_args(annotation)[0], (), many=True)}"
    one, more = next((names for key, names in _TYPES.items() if key in str(annotation)), ("a text", "texts"))
    return (more if many else one) + _range(constraints)


def _length(constraints: Sequence[Any]) -> str:
    least = next((each.min_length for each in constraints if hasattr(each, "min_length")), None)
    most = next((each.max_length for each in constraints if hasattr(each, "max_length")), None)
    return "" if least is None else f"{least} to {most} "


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
