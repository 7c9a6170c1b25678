"""Reads a workflow's definition in the Amazon States Language: its states, what they ask for, and what they reach.

What a state machine's role allows is derived from here, and so is what the API knows of a workflow; `definition_rules`
says what is wrong with one. Pure, but for `load`, which opens the two files of a workflow.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

JSONATA = "JSONata"
JSONPATH = "JSONPath"

ORDER = "arn:aws:states:::sqs:sendMessage.waitForTaskToken"
"""The one thing a state asks of AWS: that a task is put on a lane, which then answers the state."""

READERS = {"arn:aws:states:::s3:getObject": "read", "arn:aws:states:::s3:listObjectsV2": "list"}
WRITER = "arn:aws:states:::s3:putObject"
"""What a distributed map reads its items with, and writes its results with."""

OBJECTS = "workflows/"
"""Begins the keys of all objects of workflows, in the bucket of payloads."""

SUFFIX = ".asl.json"
_SCHEMA_SUFFIX = ".input.json"

_LANE = "lane_"
_DEFAULT_LANE = "default_lane"
_SUBSTITUTION = re.compile(r"\$\{([^}]*)\}")
_EXPRESSION = re.compile(r"\s*\{%.*%\}\s*", re.DOTALL)
_DIGITS = 12


class UnreadableDefinitionError(Exception):
    """The file is not there, or holds no JSON object; the message says which."""


@dataclass(frozen=True)
class State:
    """A state of a definition.

    Attributes:
        machine: What it is a state of: the definition itself, a branch, or what a map does with each item.
        language: The query language of its fields.
        maps: The maps that it is in, outermost first.
    """

    name: str
    body: Mapping[str, Any]
    machine: Mapping[str, Any]
    language: str
    maps: tuple[State, ...] = ()

    @property
    def orders(self) -> bool:
        """Whether it asks for a task."""
        return self.body.get("Type") == "Task" and self.body.get("Resource") == ORDER

    @property
    def distributed(self) -> bool:
        """Whether it is a map whose items are executions of their own."""
        processor = self.body.get("ItemProcessor")
        config = processor.get("ProcessorConfig") if isinstance(processor, Mapping) else None
        return isinstance(config, Mapping) and config.get("Mode") == "DISTRIBUTED"

    @property
    def arguments(self) -> Mapping[str, Any]:
        """What its task is called with, whichever language says it: the keys are those of AWS's API."""
        given = self.body.get("Arguments" if self.language == JSONATA else "Parameters")
        return {key.removesuffix(".$"): value for key, value in given.items()} if isinstance(given, Mapping) else {}

    def lanes(self, default_lane: str) -> set[str]:
        """The lanes that it may put a task on: one, unless an expression chooses."""
        used = _SUBSTITUTION.findall(str(self.arguments.get("QueueUrl")))
        named = {name.removeprefix(_LANE) for name in used if name.startswith(_LANE)}
        return named | ({default_lane} if _DEFAULT_LANE in used else set())

    @property
    def order(self) -> Mapping[str, Any]:
        """What it puts on a lane."""
        body = self.arguments.get("MessageBody")
        return {key.removesuffix(".$"): value for key, value in body.items()} if isinstance(body, Mapping) else {}

    def said(self, member: str) -> Any:
        """A member of the order, as the file says it; None where it is found out only as the state runs."""
        body = self.arguments.get("MessageBody")
        value = body.get(member) if isinstance(body, Mapping) else None
        return None if isinstance(value, str) and self.language == JSONATA and _EXPRESSION.fullmatch(value) else value


@dataclass(frozen=True)
class Step:
    """A state that asks for a task: who does it, where the file says it, and the map it is in."""

    name: str
    agent: str | None
    map: str | None


@dataclass(frozen=True)
class Definition:
    """A workflow's definition.

    Attributes:
        name: Of the workflow.
        file: Its own name.
        text: All of it, substitutions not yet made.
        document: The same, read.
        input_schema: What the workflow's input must be; None takes any.
        repeated: Keys that an object of it has twice, of which JSON keeps one.
    """

    name: str
    file: str
    text: str
    document: Mapping[str, Any]
    input_schema: Mapping[str, Any] | None = None
    repeated: tuple[str, ...] = ()

    @property
    def version(self) -> str:
        """Changes with the definition."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:_DIGITS]

    @property
    def description(self) -> str:
        """What it is for."""
        return str(self.document.get("Comment", ""))

    @cached_property
    def states(self) -> tuple[State, ...]:
        """All of its states, those of branches and maps after the one they are in."""
        return tuple(_states(self.document, self.document.get("QueryLanguage", JSONPATH), ()))

    @property
    def steps(self) -> list[Step]:
        """The states that ask for tasks, in the order in which they stand in the file."""
        return [
            Step(state.name, state.said("agent"), state.maps[-1].name if state.maps else None)
            for state in self.states
            if state.orders
        ]

    @property
    def substitutions(self) -> list[str]:
        """Names in `${…}`, in order."""
        return list(dict.fromkeys(_SUBSTITUTION.findall(self.text)))

    def lanes(self, default_lane: str) -> list[str]:
        """The lanes it puts tasks on."""
        return sorted({lane for state in self.states if state.orders for lane in state.lanes(default_lane)})

    @property
    def distributed(self) -> bool:
        """Whether it starts executions of itself."""
        return any(state.distributed for state in self.states)

    @property
    def objects(self) -> frozenset[str]:
        """What its maps do with objects of the bucket: `read`, `list`, `write`."""
        resources = [
            given.get("Resource")
            for state in self.states
            for given in (state.body.get("ItemReader"), state.body.get("ResultWriter"))
            if isinstance(given, Mapping)
        ]
        uses = {**READERS, WRITER: "write"}
        found = {uses[resource] for resource in resources if resource in uses}
        # What is listed is then read, where it is to be loaded.
        return frozenset(found | ({"read"} if "list" in found else set()))

    def line(self, key: str) -> int | None:
        """Where `key` first stands in the file."""
        pattern = re.compile(rf"{re.escape(json.dumps(key, ensure_ascii=False))}\s*:")
        found = pattern.search(self.text)
        return None if found is None else self.text.count("\n", 0, found.start()) + 1


def load(name: str, file: str, directory: Path) -> Definition:
    """The definition of workflow `name`, with the schema of its input where there is one beside it.

    Raises:
        UnreadableDefinitionError: One of the files cannot be read.
    """
    text, document, repeated = _json_object(directory / file)
    schema_file = directory / (file.removesuffix(SUFFIX) + _SCHEMA_SUFFIX)
    schema = _json_object(schema_file)[1] if schema_file.exists() else None
    return Definition(name, file, text, document, schema, repeated)


def substitution_names(lanes: Mapping[str, Any]) -> list[str]:
    """All names that `${…}` may hold."""
    return [_DEFAULT_LANE, "fleet", *(f"{_LANE}{lane}" for lane in lanes), "workflows_bucket"]


def declared(definitions: Mapping[str, Definition]) -> dict[str, Any]:
    """What the functions are told of workflows, in the library's layer (`flotilla.workflows.declaration`)."""
    return {
        "workflows": {
            name: {
                "version": definition.version,
                "description": definition.description,
                "input_schema": definition.input_schema,
                "steps": [{"name": step.name, "agent": step.agent, "map": step.map} for step in definition.steps],
            }
            for name, definition in sorted(definitions.items())
        }
    }


def _json_object(path: Path) -> tuple[str, dict[str, Any], tuple[str, ...]]:
    where = f"{path.parent.name}/{path.name}"
    repeated: list[str] = []

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        value: dict[str, Any] = {}
        for key, member in pairs:
            if key in value:
                repeated.append(key)
            value[key] = member
        return value

    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        there = ", ".join(sorted(each.name for each in path.parent.glob(f"*{SUFFIX}")))
        raise UnreadableDefinitionError(f"there is no file {where}; there are: {there or 'none'}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UnreadableDefinitionError(f"{where} cannot be read: {error}") from error
    try:
        document = json.loads(text, object_pairs_hook=once)
    except ValueError as error:
        raise UnreadableDefinitionError(f"{where} is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise UnreadableDefinitionError(f"{where} is no JSON object")
    return text, document, tuple(repeated)


def _states(machine: Mapping[str, Any], language: str, maps: tuple[State, ...]) -> Iterator[State]:
    states = machine.get("States")
    for name, body in states.items() if isinstance(states, Mapping) else ():
        if not isinstance(body, Mapping):
            continue
        state = State(name, body, machine, body.get("QueryLanguage", language), maps)
        yield state
        for inner in _machines_in(body):
            # A machine in a state has the definition's language, whatever that of the state.
            yield from _states(inner, language, (*maps, state) if body.get("Type") == "Map" else maps)


def _machines_in(body: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    if isinstance(processor := body.get("ItemProcessor"), Mapping):
        yield processor
    branches = body.get("Branches")
    yield from (branch for branch in branches if isinstance(branch, Mapping)) if isinstance(branches, list) else ()
