"""`/v1/limits`: how often what may be done, as declared and as operators set it."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import unquote

from pydantic import BaseModel, ConfigDict, Field

from flotilla.primitives.token_bucket import Limit
from flotilla.services.limit_desk import LimitDesk, LimitReading
from functions.api.circuits import no_such
from functions.api.gateway import Response
from functions.api.reading import json_body
from functions.api.requests import NoQuery, read, read_query
from functions.api.routing import Call

Tokens = Annotated[int, Field(ge=1, le=10_000_000)]


class LimitRequest(BaseModel):
    """The body of `PUT /v1/limits/{name}`."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    rate_per_minute: Tokens
    burst: Tokens


class LimitRoutes:
    """Answers the calls about limits.

    Args:
        desk: Shows and sets them.
    """

    def __init__(self, desk: LimitDesk) -> None:
        self._desk = desk

    async def list(self, call: Call) -> Response:
        """`GET /v1/limits`: those that are declared or set."""
        read_query(NoQuery, call.request.query)
        return Response(200, {"items": [_view(each) for each in await self._desk.all()], "next_cursor": None})

    async def put(self, call: Call) -> Response:
        """`PUT /v1/limits/{name}`: set it, whatever is declared."""
        wanted = read(LimitRequest, json_body(call.request))
        name = await self._name(call)
        call.log.update(rate_per_minute=wanted.rate_per_minute, burst=wanted.burst)
        return Response(200, _view(await self._desk.set(name, Limit(wanted.rate_per_minute, wanted.burst))))

    async def remove(self, call: Call) -> Response:
        """`DELETE /v1/limits/{name}`: back to what is declared."""
        await self._desk.reset(await self._name(call))
        return Response(204, None)

    async def _name(self, call: Call) -> str:
        name = await self._desk.find(unquote(call.parameters["name"]))
        if name is None:
            raise no_such("limit")
        call.log["limit"] = name
        return name


def _view(reading: LimitReading) -> dict[str, Any]:
    return {
        "name": reading.name,
        **_amounts(reading.limit),
        "source": "set" if reading.is_set else "declared",
        "declared": None if reading.declared is None else _amounts(reading.declared),
        "per": reading.per,
        "remaining": reading.remaining,
    }


def _amounts(limit: Limit) -> dict[str, int]:
    return {"rate_per_minute": limit.rate_per_minute, "burst": limit.burst}
