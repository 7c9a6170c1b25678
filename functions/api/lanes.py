"""`GET /v1/lanes`: how much waits where, and whether it is being worked off."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flotilla.services.lane_allowance import Allowance, LaneAllowances
from flotilla.services.lane_status import LaneStatus, LaneStatusService
from functions.api.gateway import Response
from functions.api.requests import NoQuery, read_query
from functions.api.routing import Call
from functions.api.states import show_hold


@dataclass(frozen=True, slots=True)
class Concurrency:
    """Invocations of a lane's worker at once: how many it may always have, and may have at the most."""

    min: int
    max: int


class LaneRoutes:
    """Answers the calls about lanes.

    Args:
        status: Knows how they stand.
        allowances: Knows what they may have now.
        concurrency: Between what their workers are scaled.
    """

    def __init__(
        self, status: LaneStatusService, allowances: LaneAllowances, concurrency: Mapping[str, Concurrency]
    ) -> None:
        self._status = status
        self._allowances = allowances
        self._concurrency = concurrency

    async def list(self, call: Call) -> Response:
        """`GET /v1/lanes`.

        `depth` and `in_flight` are SQS's estimates; `in_flight` counts what waits hidden for its retry too. Null is
        what is not known, or an age where nothing waits. What `at_least` names is a lower bound.
        """
        read_query(NoQuery, call.request.query)
        lanes, allowances = await asyncio.gather(self._status.all(), self._allowances.all())
        items = [self._view(lane, allowances.get(lane.lane, Allowance())) for lane in lanes]
        return Response(200, {"items": items, "next_cursor": None})

    def _view(self, lane: LaneStatus, allowance: Allowance) -> dict[str, Any]:
        concurrency = self._concurrency[lane.lane]
        return {
            "name": lane.lane,
            **show_hold(lane.pause),
            "depth": lane.waiting,
            "in_flight": lane.in_flight,
            "age_of_oldest_seconds": lane.oldest_seconds,
            "delayed": lane.delayed,
            "dead": lane.dead,
            "at_least": list(lane.at_least),
            "concurrency": {
                "now": lane.running,
                "min": concurrency.min,
                "max": concurrency.max,
                "allowed": allowance.allowed,
                "lent": allowance.loan.lent,
                "borrowed": allowance.loan.borrowed,
            },
        }
