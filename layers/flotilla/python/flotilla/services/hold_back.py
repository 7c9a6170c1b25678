"""Whether what an agent depends on is held back, for who accepts its tasks.

Only agents that say `on_open = "reject"` are asked for: the tasks of all others are accepted and wait. One small read,
eventually consistent, for each integration and model in `TTL_MS`.

Failure policy: open. A circuit that cannot be looked at holds nothing back; the task would wait at the worst.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from flotilla.circuit_ports import CircuitStore
from flotilla.clock import Clock
from flotilla.errors import CircuitOpenError, RetryableError
from flotilla.integration_ports import protection_name
from flotilla.llm import declaration as llm
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
        routes: Names of the models of each route.
    """

    def __init__(
        self, circuits: CircuitStore, clock: Clock, routes: Mapping[str, Sequence[str]] = MappingProxyType({})
    ) -> None:
        self._circuits = circuits
        self._clock = clock
        self._routes = routes
        self._known: dict[str, tuple[int, CircuitRecord | None]] = {}

    async def held(self, integrations: Iterable[str], routes: Iterable[str] = ()) -> CircuitOpenError | None:
        """What holds calls back to one of these integrations, or to all models of one of these routes.

        None where all may be called, or nobody knows.
        """
        # Each is held back by all of its circuits together.
        circuits = [[protection_name(name)] for name in integrations]
        circuits += [
            [llm.protection_name(name) for name in self._routes[route]] for route in routes if self._routes.get(route)
        ]
        names = {name for each in circuits for name in each}
        records = dict(zip(names, await asyncio.gather(*(self._record(name) for name in names)), strict=True))
        now_ms = self._clock.now_ms()
        waits = []
        for each in circuits:
            found = [records[name] for name in each]
            held = [record.until_ms - now_ms for record in found if record is not None and _is_open(record, now_ms)]
            if len(held) == len(found):
                waits.append(min(held))
        if not waits:
            return None
        return CircuitOpenError("a dependency", retry_after_seconds=max(_SHORTEST_WAIT_MS, *waits) / 1000)

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
