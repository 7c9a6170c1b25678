"""Imports an agent when its first task is met, and keeps it for the life of the process."""

from __future__ import annotations

from importlib import import_module

from flotilla.agents.catalog import AgentSpec
from flotilla.agents.decorator import AgentDefinition, definition_of
from flotilla.errors import RetryableError


class AgentLoader:
    """Finds the code of an agent."""

    def __init__(self) -> None:
        self._loaded: dict[str, AgentDefinition] = {}

    def loaded(self, spec: AgentSpec) -> AgentDefinition | None:
        """The agent's definition if its code is here already."""
        return self._loaded.get(spec.name)

    def load(self, spec: AgentSpec) -> AgentDefinition:
        """The agent's definition.

        Raises:
            RetryableError: Its module cannot be imported or does not hold it. Retryable, because the
                usual cause is a deployment under way or a broken release that the next one mends.
        """
        found = self._loaded.get(spec.name)
        if found is None:
            try:
                found = definition_of(getattr(import_module(spec.module), spec.function))
            except BaseException as error:  # whatever an author's module does when it is imported, exits included
                raise RetryableError(
                    f"the agent's code cannot be loaded: {type(error).__name__}", code="agent_not_loadable"
                ) from error
            if found is None:
                raise RetryableError("the agent's code is not an agent", code="agent_not_loadable")
            self._loaded[spec.name] = found
        return found
