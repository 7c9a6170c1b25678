"""`/v1/agents`: what is deployed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flotilla.agents.catalog import BUILT_IN, AgentSpec, Catalog
from flotilla.coordination import Pause, holding
from flotilla.ports import Pauses
from functions.api.gateway import Response
from functions.api.routing import Call
from functions.api.states import show_hold
from functions.api.submissions import Lanes


class AgentRoutes:
    """Answers the calls about agents.

    Args:
        catalog: The deployed agents.
        lanes: The lanes.
        pauses: What is paused.
    """

    def __init__(self, catalog: Catalog, lanes: Lanes, pauses: Pauses) -> None:
        self._catalog = catalog
        self._lanes = lanes
        self._pauses = pauses

    async def list(self, _call: Call) -> Response:
        """`GET /v1/agents`: those of the fleet's authors, and not its own.

        An agent is paused, too, while its lane or the fleet is: `pause` says what holds it up.
        """
        pauses = await self._pauses.read()
        items = [self._view(agent, pauses) for agent in self._catalog if not agent.name.startswith(BUILT_IN)]
        return Response(200, {"items": items, "next_cursor": None})

    def _view(self, agent: AgentSpec, pauses: Sequence[Pause]) -> dict[str, Any]:
        lane = self._lanes.for_task(None, agent)
        return {
            "name": agent.name,
            "version": agent.version,
            "lane": lane,
            "input_schema": agent.input_schema,
            "output_schema": agent.output_schema,
            "integrations": list(agent.integrations),
            "routes": list(agent.routes),
            **show_hold(holding(pauses, lane=lane, agent=agent.name)),
        }
