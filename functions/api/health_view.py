"""`GET /v1/health`: how the fleet is, in one look, with the reasons in words."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from flotilla.clock import rfc3339
from flotilla.services.canaries import Canary
from flotilla.services.health import Following, HealthService, LaneHealth, Reason, Verdict, verdict_of
from functions.api.circuits import show_circuit
from functions.api.dependencies import Dependencies, Seen
from functions.api.gateway import Response
from functions.api.requests import NoQuery, read_query
from functions.api.routing import Call
from functions.api.states import show_hold

_FOLLOWS = {True: "ok", False: "behind", None: "unknown"}


class HealthRoutes:
    """Answers the call about the fleet's health.

    Args:
        dependencies: What the API depends on.
        health: Knows the rest.
    """

    def __init__(self, dependencies: Dependencies, health: HealthService) -> None:
        self._dependencies = dependencies
        self._health = health

    async def show(self, call: Call) -> Response:
        """`GET /v1/health`: always 200; `status` is the verdict, and `reasons` why it is not `healthy`."""
        read_query(NoQuery, call.request.query)
        seen, fleet = await asyncio.gather(self._dependencies.look(), self._health.look())
        reasons = [*_of_dependencies(seen), *fleet.reasons]
        value = {
            "status": verdict_of(reasons).value,
            "reasons": [reason.text for reason in reasons],
            "dependencies": [_dependency(each) for each in seen],
            "lanes": [_lane(each) for each in fleet.lanes],
            "circuits": [show_circuit(each) for each in fleet.circuits],
            "read_model": _read_model(fleet.read_model),
        }
        return Response(200, value)


def _of_dependencies(seen: Sequence[Seen]) -> list[Reason]:
    return [
        Reason(
            Verdict.UNHEALTHY if each.dependency.needed else Verdict.DEGRADED, f"{each.dependency.name} does not answer"
        )
        for each in seen
        if not each.answers
    ]


def _dependency(seen: Seen) -> dict[str, Any]:
    return {
        "name": seen.dependency.name,
        "status": "ok" if seen.answers else "down",
        "needed": seen.dependency.needed,
        "latency_ms": seen.latency_ms,
        "checked_at": rfc3339(seen.checked_ms),
        "since": rfc3339(seen.since_ms),
    }


def _lane(lane: LaneHealth) -> dict[str, Any]:
    return {
        "name": lane.name,
        **show_hold(lane.pause),
        "depth": None if lane.counts is None else lane.counts.waiting,
        "in_flight": None if lane.counts is None else lane.counts.in_flight,
        "age_of_oldest_seconds": lane.oldest_seconds,
        "objective_seconds": lane.objective_seconds,
        "canary": None if lane.canary is None else _canary(lane.canary),
    }


def _canary(canary: Canary) -> dict[str, Any]:
    return {
        "task_id": canary.task_id,
        "at": rfc3339(canary.accepted_ms),
        "status": canary.end.value,
        "latency_ms": canary.latency_ms,
        "reason": canary.why or None,
    }


def _read_model(following: Following) -> dict[str, Any]:
    until_ms = following.until_ms
    return {"status": _FOLLOWS[following.follows], "until": None if until_ms is None else rfc3339(until_ms)}
