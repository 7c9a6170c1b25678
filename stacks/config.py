"""Reads `fleet.toml` into frozen, validated settings.

The promise: what `load` returns can be deployed. Anything else is a `ConfigError` that names every mistake at
once, each by its line and key and with what is allowed there. Reads no environment and calls no AWS.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from stacks import load_rules
from stacks.model_settings import ModelServer
from stacks.settings_messages import explained
from stacks.settings_model import LANE_DEFAULTS, Fleet, Lane
from stacks.settings_rules import Problem, no_such_lane, problems_of
from stacks.toml_lines import line_of

LOCAL_MAXIMUM_CONCURRENCY = 3
"""On the embedded engine every concurrent invocation is a process; more start slower than they work."""

LOCAL_BACKGROUND_CONCURRENCY = 2
"""The same, of each queue that feeds a function which runs no agents: the least that a mapping can have."""

_ONLY_ON_AWS = frozenset({"reserved_concurrency", "minimum_concurrency", "borrow_up_to", "provisioned_concurrency"})
"""Keys of lanes that go with a concurrency which the engine does not have."""


class ConfigError(Exception):
    """The file cannot be used. The message is complete: show it and stop."""

    def __init__(self, source: str, problems: Iterable[Problem], text: str = "") -> None:
        lines = [f"{source} cannot be used:"]
        for problem in problems:
            number = line_of(text, problem.path)
            where = f"line {number}: " if number else ""
            key = f"{dotted(problem.path)}: " if problem.path else ""
            lines.append(f"  {where}{key}{problem.message}")
        super().__init__("\n".join(dict.fromkeys(lines)))


def load(path: Path, *, local: bool = False, model_server: ModelServer | None = None, must_carry: bool = True) -> Fleet:
    """The settings in `path`, for AWS or, with `local`, for the embedded engine.

    Both forms are checked, whichever is asked for: a mistake in `[local]` shows at once.

    Args:
        path: The file.
        local: For the embedded engine.
        model_server: There, serves all models in the place of their own providers.
        must_carry: It is a mistake if the fleet cannot carry the load that is declared.

    Raises:
        ConfigError: The file is not there, is no TOML, or says something that cannot be deployed.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), [Problem((), f"cannot be read: {error}")]) from error
    return parse(text, source=path.name, local=local, model_server=model_server, must_carry=must_carry)


def parse(
    text: str,
    *,
    source: str = "fleet.toml",
    local: bool = False,
    model_server: ModelServer | None = None,
    must_carry: bool = True,
) -> Fleet:
    """As `load`, of a text.

    Raises:
        ConfigError: See `load`.
    """
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(source, [Problem((), f"is not TOML: {error}")]) from error
    overrides = raw.pop("local", {})
    if not isinstance(overrides, dict):
        raise ConfigError(source, [Problem(("local",), "must be a table")], text)
    base = _with_lane_defaults(raw)
    fleet, problems = _validated(base)
    if fleet is not None and must_carry:
        problems += [Problem(key, message) for key, message in load_rules.mistakes(fleet)]
    if problems:
        raise ConfigError(source, problems, text)
    local_fleet, problems = _local(base, overrides, model_server)
    if problems:
        raise ConfigError(source, [_at_its_origin(problem, overrides) for problem in problems], text)
    chosen = local_fleet if local else fleet
    assert chosen is not None
    return chosen


def dotted(path: Sequence[str]) -> str:
    """A key as it is written in TOML."""
    return ".".join(part if part.replace("_", "").replace("-", "").isalnum() else f'"{part}"' for part in path)


def _validated(raw: Mapping[str, Any]) -> tuple[Fleet | None, list[Problem]]:
    try:
        fleet = Fleet.model_validate(raw)
    except ValidationError as error:
        return None, explained(error)
    return fleet, list(problems_of(fleet))


def _with_lane_defaults(raw: dict[str, Any]) -> dict[str, Any]:
    """A file that has lanes has just these; one that has none gets the usual three."""
    declared = raw.get("lanes", {name: {} for name in LANE_DEFAULTS})
    if not isinstance(declared, dict):
        return raw
    lanes = {
        name: {**LANE_DEFAULTS.get(name, {}), **lane} if isinstance(lane, dict) else lane
        for name, lane in declared.items()
    }
    return {**raw, "lanes": lanes}


def _local(
    base: dict[str, Any], overrides: dict[str, Any], model_server: ModelServer | None
) -> tuple[Fleet | None, list[Problem]]:
    lanes = overrides.get("lanes", {})
    if isinstance(lanes, dict):
        unknown = [name for name in lanes if name not in base["lanes"]]
        if unknown:
            return None, [Problem(("lanes", name), no_such_lane(name, base["lanes"])) for name in unknown]
    merged = deep_merged(_local_defaults(base), overrides)
    if model_server is not None and isinstance(merged.get("models"), Mapping):
        merged["models"] = model_server.instead_of(merged["models"])
    return _validated(merged)


def _local_defaults(base: dict[str, Any]) -> dict[str, Any]:
    """What holds on the embedded engine unless `[local]` says otherwise.

    Diagnostics, a laptop's concurrency, and nothing that works while nobody asks for it.
    """
    lanes = {}
    for name, lane in base["lanes"].items():
        maximum = lane.get("maximum_concurrency", Lane.model_fields["maximum_concurrency"].default)
        kept = {key: value for key, value in lane.items() if key not in _ONLY_ON_AWS}
        lanes[name] = {**kept, "maximum_concurrency": min(maximum, LOCAL_MAXIMUM_CONCURRENCY)}
    background = {
        section: {**base.get(section, {}), "maximum_concurrency": LOCAL_BACKGROUND_CONCURRENCY}
        for section in ("delays", "webhooks")
    }
    idle = {
        "canary": {**base.get("canary", {}), "every_minutes": 0},
        "scaler": {**base.get("scaler", {}), "enabled": False},
    }
    return {**base, "diagnostics": True, "lanes": lanes, **background, **idle}


def deep_merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with `over` laid on it: tables are merged key by key, anything else is replaced."""
    merged = dict(base)
    for key, value in over.items():
        both_tables = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = deep_merged(merged[key], value) if both_tables else value
    return merged


def _at_its_origin(problem: Problem, overrides: Mapping[str, Any]) -> Problem:
    """The problem, blamed on `[local]` where the value comes from there."""
    node: Any = overrides
    for part in problem.path:
        if not isinstance(node, Mapping) or part not in node:
            return problem
        node = node[part]
    return Problem(("local", *problem.path), problem.message)
