"""Whether what an agent depends on is held back, for who accepts its tasks.

Only agents that say `on_open = "reject"` are asked for: the tasks of all others are accepted and wait. One small read,
eventually consistent, for each integration in `TTL_MS`.

Failure policy: open. A circuit that cannot be looked at holds nothing back; the task would wait at the worst.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

from flotilla.circuit_ports import CircuitStore
from flotilla.clock import Clock
from flotilla.errors import CircuitOpenError, RetryableError
from flotilla.integration_ports import protection_name
from flotilla.primitives.circuit import CircuitMode, CircuitRecord, CircuitState

logger = logging.getLogger("flotilla.api")

TTL_MS = 2000
_PATIENCE_SECONDS = 1.0
_SHORTEST_WAIT_MS = 1000


class HoldBack:
    """Looks at circuits.

    Args:
        circuits: Where they are kept.
        clock: Tells how old what is known is.
    """

    def __init__(self, circuits: CircuitStore, clock: Clock) -> None:
        self._circuits = circuits
        self._clock = clock
        self._known: dict[str, tuple[int, CircuitRecord | None]] = {}

    async def held(self, integrations: Iterable[str]) -> CircuitOpenError | None:
        """What holds calls back to one of these integrations; None where all may be called, or nobody knows."""
        records = await asyncio.gather(*(self._record(protection_name(name)) for name in integrations))
        now_ms = self._clock.now_ms()
        open_ = [record for record in records if record is not None and _is_open(record, now_ms)]
        if not open_:
            return None
        wait_ms = max(_SHORTEST_WAIT_MS, *(record.until_ms - now_ms for record in open_))
        return CircuitOpenError("an integration", retry_after_seconds=wait_ms / 1000)

    async def _record(self, circuit: str) -> CircuitRecord | None:
        asked_ms = self._clock.now_ms()
        at_ms, known = self._known.get(circuit, (asked_ms - TTL_MS, None))
        if asked_ms - at_ms < TTL_MS:
            return known
        try:
            known = await asyncio.wait_for(self._circuits.read(circuit, consistent=False), _PATIENCE_SECONDS)
        except (RetryableError, TimeoutError) as error:
            code = error.code if isinstance(error, RetryableError) else "circuits_slow"
            logger.warning("protection unavailable", extra={"protection": "circuit", "code": code})
            known = None
        self._known[circuit] = (asked_ms, known)
        return known


def _is_open(record: CircuitRecord, now_ms: int) -> bool:
    if record.mode is CircuitMode.AUTO:
        # After its cooldown calls are let through to find out: the task may be one of them.
        return record.state is CircuitState.OPEN and now_ms < record.until_ms
    return record.mode is CircuitMode.OPEN
