"""Imports an agent when its first task is met, and keeps it for the life of the process."""

from __future__ import annotations

from importlib import import_module

from flotilla.agents.catalog import AgentSpec
from flotilla.agents.decorator import AgentDefinition, definition_of
from flotilla.errors import ParkedError

_RETRY_SECONDS = 30.0


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
            ParkedError: Its module cannot be imported or does not hold it. The usual cause is a deployment
                under way or a broken release that the next one mends; no attempt is used up by it.
        """
        found = self._loaded.get(spec.name)
        if found is None:
            try:
                found = definition_of(getattr(import_module(spec.module), spec.function))
            except BaseException as error:  # whatever an author's module does when it is imported, exits included
                raise _not_loadable(f"cannot be loaded: {type(error).__name__}") from error
            if found is None:
                raise _not_loadable("is not an agent")
            self._loaded[spec.name] = found
        return found


def _not_loadable(why: str) -> ParkedError:
    return ParkedError(f"the agent's code {why}", code="agent_not_loadable", retry_after_seconds=_RETRY_SECONDS)
