"""A circuit's step is told to whoever wants to know, and nothing that goes wrong there stops it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

import pytest

from flotilla.broadcast import Notice
from flotilla.circuit_ports import Transition
from flotilla.primitives.circuit import CircuitRecord, CircuitState
from flotilla.services.circuit_notices import ToldTransitions, notice_of
from tests.fakes import ManualClock
from tests.fakes.broadcast import MemoryPublisher
from tests.fakes.metrics import MemoryMetrics

CRM = "integration#crm"
OPENED = Transition(CRM, CircuitRecord(), CircuitRecord(version=1, state=CircuitState.OPEN, reason="half of 20 failed"))


class StuckBus:
    """A bus that never answers."""

    async def publish(self, notices: Sequence[Notice]) -> list[bool]:
        await asyncio.Event().wait()
        return [True for _ in notices]


def test_a_step_is_published_and_counted() -> None:
    bus, metrics, clock = MemoryPublisher(), MemoryMetrics(), ManualClock()
    asyncio.run(ToldTransitions(bus, metrics, clock).tell(OPENED))
    (notice,) = bus.published
    assert (notice.id, notice.type, notice.at_ms) == (f"{CRM}-1", "circuit.open", clock.now_ms())
    assert metrics.counted("CircuitOpened", circuit=CRM) == 1


@pytest.mark.parametrize("state", CircuitState)
def test_every_step_is_counted_as_what_it_leads_to(state: CircuitState) -> None:
    step = Transition(CRM, CircuitRecord(), CircuitRecord(version=1, state=state))
    bus, metrics = MemoryPublisher(), MemoryMetrics()
    asyncio.run(ToldTransitions(bus, metrics, ManualClock()).tell(step))
    assert len(metrics.names()) == len(bus.published) == 1


def test_a_notice_says_what_became_of_the_circuit_and_why() -> None:
    told = json.loads(notice_of(OPENED, 1_000).document)
    assert told == {
        "id": f"{CRM}-1",
        "type": "circuit.open",
        "timestamp": "1970-01-01T00:00:01.000Z",
        "data": {
            "circuit": CRM,
            "version": 1,
            "from": {"state": "closed", "mode": "auto"},
            "to": {"state": "open", "mode": "auto"},
            "reason": "half of 20 failed",
        },
    }


def test_a_bus_that_does_not_answer_holds_nothing_up_for_long() -> None:
    metrics = MemoryMetrics()
    telling = ToldTransitions(StuckBus(), metrics, ManualClock(), patience_seconds=0.01).tell(OPENED)
    asyncio.run(asyncio.wait_for(telling, 5))
    assert metrics.counted("CircuitOpened", circuit=CRM) == 1


def test_a_bus_that_refuses_is_no_error() -> None:
    bus = MemoryPublisher([0])
    asyncio.run(ToldTransitions(bus, MemoryMetrics(), ManualClock()).tell(OPENED))
    assert bus.published == []


def test_a_fleet_without_a_bus_counts_all_the_same() -> None:
    metrics = MemoryMetrics()
    asyncio.run(ToldTransitions(None, metrics, ManualClock()).tell(OPENED))
    assert metrics.counted("CircuitOpened", circuit=CRM) == 1
