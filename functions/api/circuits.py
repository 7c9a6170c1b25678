"""`/v1/circuits`: how what is called through a circuit breaker does, and an operator's word on whether it is called."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from urllib.parse import unquote

from pydantic import BaseModel, ConfigDict, Field

from flotilla.clock import rfc3339
from flotilla.primitives.circuit import CircuitMode
from flotilla.services.circuit_desk import CircuitDesk, CircuitReading
from functions.api.gateway import Response
from functions.api.problems import RefusalError, refusal
from functions.api.reading import json_body
from functions.api.requests import NoQuery, read, read_query
from functions.api.routing import Call


class CircuitRequest(BaseModel):
    """The body of `PUT /v1/circuits/{name}`; the reason is for other operators to read."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    state: Literal["open", "closed", "auto"]
    reason: Annotated[str, Field(max_length=256)] | None = None


class CircuitRoutes:
    """Answers the calls about circuits.

    Args:
        desk: Shows and forces them.
    """

    def __init__(self, desk: CircuitDesk) -> None:
        self._desk = desk

    async def list(self, call: Call) -> Response:
        """`GET /v1/circuits`: those of all that is configured, and those that were once."""
        read_query(NoQuery, call.request.query)
        return Response(200, {"items": [show_circuit(each) for each in await self._desk.all()], "next_cursor": None})

    async def put(self, call: Call) -> Response:
        """`PUT /v1/circuits/{name}`: hold it open or closed, or leave it to itself."""
        wanted = read(CircuitRequest, json_body(call.request))
        name = await self._desk.find(unquote(call.parameters["name"]))
        if name is None:
            raise no_such("circuit")
        call.log.update(circuit=name, wanted_state=wanted.state, reason=wanted.reason)
        reading = await self._desk.force(
            name, CircuitMode(wanted.state), actor=call.identity.actor, reason=wanted.reason or ""
        )
        return Response(200, show_circuit(reading))


def no_such(what: str) -> RefusalError:
    """The answer for a name that nothing has, or, short as it is, more than one thing."""
    return refusal(
        "not-found", f"There is no {what} of that name. Names are like integration#crm, with the # sent as %23."
    )


def show_circuit(reading: CircuitReading) -> dict[str, Any]:
    """A circuit as clients see it."""
    record = reading.record
    return {
        "name": reading.circuit,
        "kind": reading.circuit.partition("#")[0],
        "state": record.state.value,
        "mode": record.mode.value,
        "failure_rate": round(reading.failure_rate, 4) if reading.volume else None,
        "p99_ms": None if reading.p99_ms is None else round(reading.p99_ms, 1),
        "volume": reading.volume,
        "opened_at": rfc3339(record.opened_at_ms) if record.opened_at_ms else None,
        "until": rfc3339(record.until_ms) if record.until_ms else None,
        "reason": record.reason or None,
        "probes": reading.probes,
    }
