"""How long circuits have not been closed is told as long as it is so, however little is called."""

from __future__ import annotations

import asyncio

from flotilla.errors import StoreUnavailableError
from flotilla.primitives.circuit import CircuitMode, CircuitRecord, CircuitState
from flotilla.services.circuit_watch import OpenCircuits
from tests.fakes import ManualClock
from tests.fakes.circuits import MemoryCircuits
from tests.fakes.metrics import MemoryMetrics

CRM, ERP, FORCED = "integration#crm", "integration#erp", "model#haiku"


class Down(MemoryCircuits):
    async def names(self) -> list[str]:
        raise StoreUnavailableError("no answer", code="circuits_unavailable")


def test_those_that_are_not_closed_are_told_by_how_long_the_trouble_has_lasted() -> None:
    clock, metrics, store = ManualClock(), MemoryMetrics(), MemoryCircuits()
    now_ms = clock.now_ms()
    opened = CircuitRecord(
        version=1,
        state=CircuitState.OPEN,
        since_ms=now_ms - 5_000,
        until_ms=now_ms + 60_000,
        opened_at_ms=now_ms - 90_000,
    )
    closed = CircuitRecord(version=1, state=CircuitState.CLOSED, since_ms=now_ms)
    forced = CircuitRecord(version=1, state=CircuitState.OPEN, mode=CircuitMode.OPEN, since_ms=now_ms - 30_000)

    async def scene() -> None:
        for name, record in {CRM: opened, ERP: closed, FORCED: forced}.items():
            await store.transition(name, record)
        await OpenCircuits(store, clock, metrics).tell()

    asyncio.run(scene())
    assert metrics.values("CircuitOpenSeconds", circuit=CRM) == [90.0]
    assert metrics.values("CircuitOpenSeconds", circuit=ERP) == []
    assert metrics.values("CircuitOpenSeconds", circuit=FORCED) == [30.0]


def test_a_store_that_does_not_answer_stops_nobody() -> None:
    metrics = MemoryMetrics()
    asyncio.run(OpenCircuits(Down(), ManualClock(), metrics).tell())
    assert metrics.names() == set()
