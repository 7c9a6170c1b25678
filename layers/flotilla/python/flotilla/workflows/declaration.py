"""The workflows that were deployed, in the form that was shipped with this layer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import resources
from typing import Any

_FILE = "declared.json"


@dataclass(frozen=True, slots=True)
class StepSpec:
    """A state that asks for a task, as its definition says.

    Attributes:
        name: Of the state.
        agent: Who does it; None where that is found out only as it runs.
        map: Name of the map it is in; None outside of all.
    """

    name: str
    agent: str | None
    map: str | None = None


@dataclass(frozen=True, slots=True)
class Workflow:
    """A workflow.

    Attributes:
        version: Digest of its definition.
        description: What it is for: the definition's `Comment`.
        input_schema: JSON schema of its input; None takes any.
        steps: The states that ask for tasks, in the order in which they stand in the definition.
    """

    name: str
    version: str
    description: str
    input_schema: dict[str, Any] | None
    steps: tuple[StepSpec, ...]


def declared_in(text: str) -> dict[str, Workflow]:
    """Read a file of declarations: the workflows by name."""
    return {
        name: Workflow(
            name=name,
            version=value["version"],
            description=value["description"],
            input_schema=value["input_schema"],
            steps=tuple(StepSpec(step["name"], step["agent"], step["map"]) for step in value["steps"]),
        )
        for name, value in json.loads(text)["workflows"].items()
    }


def deployed() -> dict[str, Workflow]:
    """The workflows that were shipped with this layer; none where it was built without."""
    file = resources.files("flotilla.workflows").joinpath(_FILE)
    return declared_in(file.read_text("utf-8")) if file.is_file() else {}
