"""Tells the world of circuits: each step is a line of the log, a metric, and a notice on the fleet's bus.

Failure policy: the step has happened. A bus that does not take the notice, or not in time, costs the notice: it is in
the log all the same.
"""

from __future__ import annotations

import asyncio
import json
import logging

from flotilla.broadcast import Notice
from flotilla.broadcast_ports import Publisher
from flotilla.circuit_ports import Transition
from flotilla.clock import Clock, rfc3339
from flotilla.metric_ports import Metrics
from flotilla.primitives.circuit import CircuitRecord, CircuitState
from flotilla.services.circuit_view import LoggedTransitions

logger = logging.getLogger("flotilla.circuit")

_PATIENCE_SECONDS = 1.0

_COUNTED_AS = {
    CircuitState.CLOSED: "CircuitClosed",
    CircuitState.OPEN: "CircuitOpened",
    CircuitState.HALF_OPEN: "CircuitHalfOpened",
    CircuitState.RAMPING: "CircuitRamping",
}
"""The metric of each step, by what it leads to."""


class ToldTransitions:
    """`Transitions` for all who want to know.

    Args:
        bus: Takes notices; None where the fleet has no bus.
        metrics: Counts.
        clock: Dates notices.
        patience_seconds: How long the bus may take.
    """

    def __init__(
        self, bus: Publisher | None, metrics: Metrics, clock: Clock, patience_seconds: float = _PATIENCE_SECONDS
    ) -> None:
        self._bus = bus
        self._metrics = metrics
        self._clock = clock
        self._patience_seconds = patience_seconds
        self._logged = LoggedTransitions()

    async def tell(self, transition: Transition) -> None:
        """See `Transitions.tell`."""
        await self._logged.tell(transition)
        self._metrics.count(_COUNTED_AS[transition.after.state], circuit=transition.circuit)
        if self._bus is None:
            return
        notice = notice_of(transition, self._clock.now_ms())
        try:
            through = await asyncio.wait_for(self._bus.publish([notice]), self._patience_seconds)
        except TimeoutError:
            through = [False]
        if not all(through):
            logger.warning("circuit's change not published", extra={"circuit": transition.circuit, "notice": notice.id})


def notice_of(transition: Transition, now_ms: int) -> Notice:
    """What is told of a step: `circuit.<state>`, under an id that only this step has."""
    after = transition.after
    kind = f"circuit.{after.state.value}"
    data = {
        "circuit": transition.circuit,
        "version": after.version,
        "from": _told(transition.before),
        "to": _told(after),
        "reason": after.reason,
    }
    return Notice(
        id=f"{transition.circuit}-{after.version}",
        type=kind,
        at_ms=now_ms,
        attributes={"kind": kind, "circuit": transition.circuit, "status": after.state.value},
        payload=json.dumps({"type": kind, "timestamp": rfc3339(now_ms), "data": data}),
    )


def _told(record: CircuitRecord) -> dict[str, str]:
    return {"state": record.state.value, "mode": record.mode.value}
