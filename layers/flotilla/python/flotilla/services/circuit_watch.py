"""How long circuits have not been closed, told once in a while by somebody who runs whatever happens.

Who opens a circuit tells of it once, and whoever is refused by it may soon not ask any more. So nobody else would say
that a dependency is still down.
"""

from __future__ import annotations

import asyncio
import logging

from flotilla.circuit_ports import CircuitStore
from flotilla.clock import Clock
from flotilla.errors import RetryableError
from flotilla.metric_ports import Metrics
from flotilla.primitives.circuit import CircuitState, settled

logger = logging.getLogger("flotilla.circuit")


class OpenCircuits:
    """Looks at all circuits that ever made a step: a query, and half a read unit for each of them.

    Args:
        store: Where they are kept.
        clock: Time.
        metrics: Told of those that are not closed, by the `CircuitOpenSeconds` since their trouble began.
    """

    def __init__(self, store: CircuitStore, clock: Clock, metrics: Metrics) -> None:
        self._store = store
        self._clock = clock
        self._metrics = metrics

    async def tell(self) -> None:
        """Look, and tell. A store that does not answer is told of by those who need it."""
        try:
            names = await self._store.names()
            records = await asyncio.gather(*(self._store.read(name, consistent=False) for name in names))
        except RetryableError as error:
            logger.warning("circuits not seen", extra={"code": error.code})
            return
        now_ms = self._clock.now_ms()
        for name, stored in zip(names, records, strict=True):
            record = settled(stored, now_ms, stored.by) or stored
            if record.state is CircuitState.CLOSED:
                continue
            since_ms = record.opened_at_ms or record.since_ms
            self._metrics.measure("CircuitOpenSeconds", max(0, now_ms - since_ms) / 1000, "Seconds", circuit=name)
