"""What an environment knows of a circuit: at most as old as promised, asked for once by all, and never in the way."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from random import Random

from flotilla.primitives.circuit import CircuitMode, CircuitRecord, CircuitState, forced
from flotilla.services.circuit_view import CircuitView
from tests.fakes import ManualClock
from tests.fakes.circuits import MemoryCircuits, MemoryTransitions
from tests.unit.services.circuit_fleet import NAME, POLICY, run

OPENED = CircuitRecord(version=1, state=CircuitState.OPEN, reason="bad", by="env-9")


class SlowCircuits(MemoryCircuits):
    """Circuits that can be held up until told to go on, after they have looked."""

    def __init__(self) -> None:
        super().__init__()
        self.held: asyncio.Event | None = None

    async def read(self, circuit: str, *, consistent: bool) -> CircuitRecord:
        found = await super().read(circuit, consistent=consistent)
        if self.held is not None:
            await self.held.wait()
        return found


class Sight:
    """A view over a store and a clock that a test moves."""

    def __init__(self, patience_seconds: float = 5.0) -> None:
        self.store = SlowCircuits()
        self.clock = ManualClock()
        self.transitions = MemoryTransitions()
        self.view = CircuitView(
            NAME, POLICY, self.store, self.transitions, self.clock, Random(1), patience_seconds=patience_seconds
        )

    async def busy(self) -> None:
        """So many calls that an answer serves as long as it may."""
        for _ in range(100):
            await self.view.fresh()
            self.clock.advance(0.1)
        self.clock.advance(10)
        for _ in range(100):
            await self.view.fresh()
        self.clock.advance(10)
        await self.view.fresh()


async def until_idle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def test_an_answer_serves_a_busy_environment_for_as_long_as_it_may() -> None:
    sight = Sight()

    async def scenario() -> None:
        await sight.busy()
        sight.store.records[NAME] = OPENED
        sight.clock.advance(POLICY.state_ttl_ms / 1000 - 0.001)
        assert (await sight.view.fresh()).version == 0
        sight.clock.advance(POLICY.state_ttl_ms / 4000 + 0.001)
        assert await sight.view.fresh() == OPENED

    run(scenario())


def test_the_call_that_ends_a_long_pause_looks_early() -> None:
    sight = Sight()

    async def calls(number: int) -> None:
        for _ in range(number):
            sight.clock.advance(0.1)
            await sight.view.fresh()

    async def scenario() -> None:
        await calls(100)
        reads = sight.store.reads
        while sight.store.reads == reads:
            await calls(1)
        await calls(13)
        sight.store.records[NAME] = OPENED
        sight.clock.advance(0.6)
        # It looked 1.9 s ago, and an answer serves for more than two.
        assert await sight.view.fresh() == OPENED

    run(scenario())


def test_a_quiet_environment_asks_before_most_calls() -> None:
    sight = Sight()

    async def scenario() -> None:
        for _ in range(10):
            await sight.view.fresh()
            sight.clock.advance(1.0)
        sight.store.records[NAME] = OPENED
        assert await sight.view.fresh() == OPENED

    run(scenario())


def test_after_a_failure_the_next_call_asks_and_those_after_it_do_not() -> None:
    sight = Sight()

    async def scenario() -> None:
        await sight.busy()
        reads = sight.store.reads
        sight.clock.advance(0.2)
        sight.view.suspect(sight.clock.now_ms())
        sight.store.records[NAME] = OPENED
        assert await sight.view.fresh() == OPENED
        sight.clock.advance(0.001)
        await sight.view.fresh()
        assert sight.store.reads == reads + 1

    run(scenario())


def test_however_often_calls_fail_the_store_is_not_asked_more_often_than_that() -> None:
    sight = Sight()

    async def scenario() -> None:
        await sight.busy()
        reads = sight.store.reads
        for _ in range(1000):
            sight.clock.advance(0.001)
            sight.view.suspect(sight.clock.now_ms())
            await sight.view.fresh()
        assert sight.store.reads - reads <= 40

    run(scenario())


def test_all_who_ask_at_once_share_one_read() -> None:
    sight = Sight()

    async def scenario() -> None:
        await asyncio.gather(*(sight.view.fresh() for _ in range(50)))

    run(scenario())
    assert sight.store.reads == 1


def test_a_store_that_does_not_answer_holds_up_no_call_for_long() -> None:
    sight = Sight(patience_seconds=0.01)

    async def scenario() -> None:
        sight.store.held = asyncio.Event()
        assert await sight.view.fresh() == CircuitRecord()
        assert sight.view.down
        assert await sight.view.fresh() == CircuitRecord(), "given up, and not waited for again at once"
        assert sight.store.reads == 1

    run(scenario())


def test_what_an_overtaken_read_brings_is_not_believed() -> None:
    sight = Sight(patience_seconds=0.01)

    async def scenario() -> None:
        sight.store.held = slow = asyncio.Event()
        await sight.view.fresh()
        sight.store.held = None
        sight.store.records[NAME] = OPENED
        sight.clock.advance(5)
        assert await sight.view.fresh() == OPENED
        slow.set()
        await until_idle()
        assert sight.view.record == OPENED

    run(scenario())


def test_a_clock_that_is_set_back_makes_no_answer_last_longer() -> None:
    sight = Sight()

    async def scenario() -> None:
        await sight.busy()
        sight.store.records[NAME] = OPENED
        sight.clock.advance(-3600)
        assert await sight.view.fresh() == OPENED

    run(scenario())


def test_who_makes_a_step_too_late_learns_what_it_was_without_asking() -> None:
    sight = Sight()
    theirs = replace(OPENED, by="env-2")

    async def scenario() -> None:
        await sight.view.fresh()
        sight.store.records[NAME] = theirs
        reads = sight.store.reads
        found = await sight.view.move(lambda known: OPENED if known.version == 0 else None)
        assert found == theirs
        assert sight.store.reads == reads
        assert sight.transitions.told == []

    run(scenario())


def test_a_step_is_told_where_it_changes_what_the_circuit_is() -> None:
    sight = Sight()

    async def scenario() -> None:
        await sight.view.move(lambda known: forced(known, CircuitMode.OPEN, 5, reason="", by="key:k1"))
        await sight.view.move(lambda known: replace(known, version=known.version + 1, passed=known.passed + 1))

    run(scenario())
    assert [step.after.version for step in sight.transitions.told] == [1]
