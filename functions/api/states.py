"""`PUT …/state`: pause and resume an agent, a lane or the fleet. For operators: it holds up every tenant's tasks.

A pause holds up starts. What runs goes on to its next `ctx` call.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from flotilla.agents.catalog import Catalog
from flotilla.clock import Clock, rfc3339
from flotilla.coordination import Pause, PauseScope
from flotilla.errors import UnknownAgentError
from flotilla.ports import Pauses
from functions.api.gateway import Response
from functions.api.problems import refusal
from functions.api.reading import json_body
from functions.api.requests import read
from functions.api.routing import Call


class StateRequest(BaseModel):
    """The body of `PUT …/state`; the reason is for other operators to read."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    state: Literal["active", "paused"]
    reason: Annotated[str, Field(max_length=256)] | None = None


class StateRoutes:
    """Answers the calls that pause and resume.

    Args:
        pauses: Keeps what is paused.
        catalog: The deployed agents.
        lanes: The lanes' names.
        clock: Dates the pauses.
    """

    def __init__(self, *, pauses: Pauses, catalog: Catalog, lanes: Collection[str], clock: Clock) -> None:
        self._pauses = pauses
        self._catalog = catalog
        self._lanes = lanes
        self._clock = clock

    async def put_agent(self, call: Call) -> Response:
        """`PUT /v1/agents/{name}/state`."""
        name = call.parameters["name"]
        return await self._put(call, PauseScope.AGENT, name, known=name in self._catalog)

    async def put_lane(self, call: Call) -> Response:
        """`PUT /v1/lanes/{name}/state`."""
        name = call.parameters["name"]
        return await self._put(call, PauseScope.LANE, name, known=name in self._lanes)

    async def put_fleet(self, call: Call) -> Response:
        """`PUT /v1/fleet/state`."""
        return await self._put(call, PauseScope.FLEET, "", known=True)

    async def _put(self, call: Call, scope: PauseScope, name: str, *, known: bool) -> Response:
        wanted = read(StateRequest, json_body(call.request))
        in_force = next(
            (pause for pause in await self._pauses.read() if (pause.scope, pause.name) == (scope, name)), None
        )
        # What was paused and is no longer deployed can still be resumed, or it would come back paused.
        if not known and (in_force is None or wanted.state == "paused"):
            if scope is PauseScope.AGENT:
                raise UnknownAgentError
            raise refusal("not-found", "There is no such lane.")
        call.log.update(pause_scope=scope.value, pause_name=name, wanted_state=wanted.state, reason=wanted.reason)
        if wanted.state == "active":
            await self._pauses.remove(scope, name)
            return Response(200, show_state(scope, name, None))
        # Paused again, it has been paused since the first time: a call whose answer was lost may be repeated.
        since_ms = self._clock.now_ms() if in_force is None else in_force.since_ms
        pause = Pause(scope, name, wanted.reason or "", call.identity.actor, since_ms)
        await self._pauses.put(pause)
        return Response(200, show_state(scope, name, pause))


def show_state(scope: PauseScope, name: str, pause: Pause | None) -> dict[str, Any]:
    """A state as clients see it; of what is active there is no reason, time or actor."""
    return {
        "scope": scope.value,
        "name": name or None,
        "state": "active" if pause is None else "paused",
        "reason": None if pause is None else pause.reason or None,
        "since": None if pause is None else rfc3339(pause.since_ms),
        "actor": None if pause is None else pause.actor,
    }


def show_hold(pause: Pause | None) -> dict[str, Any]:
    """The members of an agent or a lane that say whether its tasks start, and what holds them up if not."""
    if pause is None:
        return {"state": "active", "pause": None}
    shown = show_state(pause.scope, pause.name, pause)
    return {"state": shown.pop("state"), "pause": shown}
