"""The definitions of the workflows that `fleet.toml` names, checked."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from stacks.config import ConfigError
from stacks.definition_rules import agent_mistakes, mistakes, timeout_mistakes
from stacks.definitions import Definition, UnreadableDefinitionError, load
from stacks.settings_model import Fleet
from stacks.settings_rules import Problem, longest_agent_seconds


def definitions_of(fleet: Fleet, directory: Path, settings_file: Path) -> dict[str, Definition]:
    """The fleet's definitions, by the names of their workflows.

    Args:
        fleet: The settings.
        directory: Where definitions lie.
        settings_file: What `fleet` was read from, to say where a mistake is.

    Raises:
        ConfigError: A definition is not there, or is none that may be deployed.
    """
    definitions: dict[str, Definition] = {}
    problems: list[Problem] = []
    for name, file in fleet.workflows.items():
        try:
            definition = load(name, file, directory)
        except UnreadableDefinitionError as error:
            problems.append(Problem(("workflows", name), str(error)))
            continue
        found = [mistake.told(definition) for mistake in mistakes(definition, fleet.lanes)]
        problems += [Problem(("workflows", name), message) for message in found]
        definitions[name] = definition
    if problems:
        text = settings_file.read_text(encoding="utf-8")
        settings = tomllib.loads(text)
        raise ConfigError(settings_file.name, [_at_its_origin(problem, settings) for problem in problems], text)
    return definitions


def workflow_problems(
    fleet: Fleet, definitions: Mapping[str, Definition], manifest: Mapping[str, Any]
) -> Iterator[Problem]:
    """What is wrong between workflows and the agents as they will be deployed.

    Args:
        fleet: The settings.
        definitions: By the names of their workflows.
        manifest: The agent manifest.
    """
    agents = manifest["agents"]
    longest_seconds = {name: longest_agent_seconds(lane) for name, lane in fleet.lanes.items()}
    for name, definition in definitions.items():
        for mistake in (
            *agent_mistakes(definition, agents),
            *timeout_mistakes(definition, agents, longest_seconds, fleet.default_lane),
        ):
            yield Problem(("workflows", name), mistake.told(definition))


def _at_its_origin(problem: Problem, settings: Mapping[str, Any]) -> Problem:
    """The problem, blamed on `[local]` where the workflow is named there only."""
    everywhere = problem.path[-1] in settings.get("workflows", {})
    return problem if everywhere else Problem(("local", *problem.path), problem.message)
