"""The agents that are deployed, read from the manifest made at synth.

Knowing an agent costs no import of it: the API validates input against the schema kept here, and
a worker imports only the agents whose tasks it meets. This module imports no agent.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any, Literal

from flotilla.errors import UnknownAgentError

OnOpen = Literal["park", "reject"]

BUILT_IN = "flotilla."
"""What the names of the fleet's own agents begin with, and no other's: they are deployed everywhere, and not listed."""


@dataclass(frozen=True, slots=True)
class AgentSpec:
    """What is known of an agent without importing it.

    Attributes:
        module: Where the function is, as an importable module name.
        function: Its name there.
        is_async: It is a coroutine function and runs on the event loop; else it runs on a thread.
        lane: Its default lane; None takes the fleet's.
        timeout_seconds: Longest one attempt may take.
        max_attempts: Attempts before the task is dead-lettered.
        backoff_base_seconds: Upper bound of the wait after the first failure.
        backoff_cap_seconds: Upper bound of every wait.
        integrations: The integrations it may call; `*` stands for all.
        cache_ttl_seconds: How long a result may answer identical tasks; None never.
        routes: The routes by which it may call models; `*` stands for all.
        on_open: What the API does with a task while one of these is held back: `park` takes it and lets it wait,
            `reject` answers 503.
        budget_usd: What a task of it may cost, with all below it, where its client does not say; None without bound.
        errors: Codes that its author raises for good, by which a workflow's states may tell its failures apart.
    """

    name: str
    version: str
    module: str
    function: str
    is_async: bool
    lane: str | None
    timeout_seconds: float
    max_attempts: int
    backoff_base_seconds: float
    backoff_cap_seconds: float
    integrations: tuple[str, ...]
    cache_ttl_seconds: int | None
    input_schema: dict[str, Any]
    output_schema: dict[str, Any]
    on_open: OnOpen = "park"
    routes: tuple[str, ...] = ()
    budget_usd: float | None = None
    errors: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The form in the manifest."""
        lists = {name: list(getattr(self, name)) for name in _LISTS}
        return {name: getattr(self, name) for name in self.__slots__} | lists

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> AgentSpec:
        """Read what `to_json` wrote; members of a later version are ignored."""
        known = {"on_open": "park"} | {name: value[name] for name in cls.__slots__ if name in value}
        tuples = {name: tuple(value.get(name, ())) for name in _LISTS}
        return cls(**(known | tuples))


_LISTS = ("integrations", "routes", "errors")


class Catalog:
    """All deployed agents by name."""

    def __init__(self, agents: Mapping[str, AgentSpec]) -> None:
        self._agents = dict(agents)

    def __iter__(self) -> Iterator[AgentSpec]:
        return iter(sorted(self._agents.values(), key=lambda agent: agent.name))

    def __contains__(self, name: str) -> bool:
        return name in self._agents

    def get(self, name: str) -> AgentSpec:
        """The agent of that name.

        Raises:
            UnknownAgentError: There is none.
        """
        try:
            return self._agents[name]
        except KeyError:
            raise UnknownAgentError("no agent of that name is deployed") from None

    @classmethod
    def from_json(cls, text: str) -> Catalog:
        """Read a manifest."""
        agents = json.loads(text)["agents"]
        return cls({name: AgentSpec.from_json(value) for name, value in agents.items()})

    @classmethod
    def deployed(cls) -> Catalog:
        """The manifest that was shipped with this layer.

        Raises:
            FileNotFoundError: The layer was built without one.
        """
        return cls.from_json(resources.files("flotilla.agents").joinpath("manifest.json").read_text("utf-8"))
