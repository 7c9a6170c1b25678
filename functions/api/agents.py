"""`/v1/agents`: what is deployed."""

from __future__ import annotations

from typing import Any

from flotilla.agents.catalog import AgentSpec, Catalog
from functions.api.gateway import Response
from functions.api.routing import Call
from functions.api.tasks import Lanes


class AgentRoutes:
    """Answers the calls about agents."""

    def __init__(self, catalog: Catalog, lanes: Lanes) -> None:
        self._catalog = catalog
        self._lanes = lanes

    async def list(self, _call: Call) -> Response:
        """`GET /v1/agents`."""
        return Response(200, {"items": [self._view(agent) for agent in self._catalog], "next_cursor": None})

    def _view(self, agent: AgentSpec) -> dict[str, Any]:
        return {
            "name": agent.name,
            "version": agent.version,
            "lane": self._lanes.for_task(None, agent),
            "input_schema": agent.input_schema,
            "output_schema": agent.output_schema,
            "integrations": list(agent.integrations),
            "state": "active",
        }
