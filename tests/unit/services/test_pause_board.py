"""What a worker knows of pauses: at most as old as promised, asked for once by all, and never in the way."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

import pytest

from flotilla.coordination import Pause, PauseScope
from flotilla.errors import StoreUnavailableError
from flotilla.services.pause_board import PauseBoard
from tests.fakes import ManualClock
from tests.fakes.pauses import MemoryPauses

TTL_MS = 1000
FLEET = Pause(PauseScope.FLEET, "", "an incident", "key:k1", 1)
LANE = Pause(PauseScope.LANE, "batch", "costs", "key:k1", 2)
AGENT = Pause(PauseScope.AGENT, "sample.echo", "a bug", "key:k1", 3)


class Store(MemoryPauses):
    """Pauses that can be down, and can be held up until told to go on."""

    def __init__(self) -> None:
        super().__init__()
        self.down = False
        self.held: asyncio.Event | None = None

    async def read(self) -> list[Pause]:
        found = await super().read()
        if self.held is not None:
            await self.held.wait()
        if self.down:
            raise StoreUnavailableError("the pauses did not answer")
        return found


class Board:
    """A board over a store and a clock that a test moves."""

    def __init__(self, *in_force: Pause, patience_seconds: float = 5.0) -> None:
        self.store = Store()
        self.clock = ManualClock()
        self.board = PauseBoard(self.store, self.clock, TTL_MS, patience_seconds)
        self.store.pauses = {(pause.scope, pause.name): pause for pause in in_force}

    async def hold(self, lane: str = "batch", agent: str = "sample.echo") -> Pause | None:
        return await self.board.hold(lane, agent)

    def pause(self, pause: Pause) -> None:
        self.store.pauses[pause.scope, pause.name] = pause

    def resume(self, pause: Pause) -> None:
        del self.store.pauses[pause.scope, pause.name]


async def settle() -> None:
    """Let whatever can go on go on."""
    for _ in range(10):
        await asyncio.sleep(0)


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


def test_nothing_is_held_up_where_nothing_is_paused() -> None:
    assert run(Board().hold()) is None


@pytest.mark.parametrize("pause", [FLEET, LANE, AGENT], ids=lambda pause: pause.scope.value)
def test_a_pause_of_the_fleet_the_lane_or_the_agent_holds_up(pause: Pause) -> None:
    assert run(Board(pause).hold()) == pause


def test_the_widest_pause_is_told() -> None:
    assert run(Board(AGENT, LANE, FLEET).hold()) == FLEET
    assert run(Board(AGENT, LANE).hold()) == LANE


def test_other_lanes_and_agents_go_on() -> None:
    board = Board(LANE, AGENT)
    assert run(board.hold(lane="standard", agent="sample.other")) is None
    assert run(board.hold(lane="sample.echo", agent="batch")) is None


def test_an_answer_serves_until_it_is_as_old_as_it_may_be() -> None:
    board = Board()

    async def scenario() -> None:
        assert await board.hold() is None
        board.pause(FLEET)
        board.clock.advance((TTL_MS - 1) / 1000)
        assert await board.hold() is None
        assert board.store.reads == 1
        board.clock.advance(0.001)
        assert await board.hold() == FLEET
        board.resume(FLEET)
        board.clock.advance(TTL_MS / 1000)
        assert await board.hold() is None
        assert board.store.reads == 3

    run(scenario())


def test_the_age_of_an_answer_counts_from_when_it_was_asked_for() -> None:
    """A slow store must not make the bound longer."""
    board = Board()

    async def scenario() -> None:
        board.store.held = asyncio.Event()
        asking = asyncio.ensure_future(board.hold())
        await settle()
        board.clock.advance(0.9)
        board.pause(FLEET)
        board.store.held.set()
        assert await asking is None
        board.clock.advance(0.1)
        assert await board.hold() == FLEET

    run(scenario())


def test_all_who_ask_at_once_share_one_read() -> None:
    board = Board(LANE)

    async def scenario() -> None:
        assert await asyncio.gather(*(board.hold() for _ in range(50))) == [LANE] * 50

    run(scenario())
    assert board.store.reads == 1


def test_who_stops_waiting_does_not_stop_the_read_that_others_wait_for() -> None:
    board = Board(LANE)

    async def scenario() -> None:
        board.store.held = asyncio.Event()
        first, second = asyncio.ensure_future(board.hold()), asyncio.ensure_future(board.hold())
        await settle()
        first.cancel()
        await settle()
        board.store.held.set()
        assert await second == LANE
        assert first.cancelled()

    run(scenario())
    assert board.store.reads == 1


def test_a_store_that_is_down_before_anything_is_known_holds_up_nothing() -> None:
    board = Board(FLEET)
    board.store.down = True
    assert run(board.hold()) is None


def test_while_the_store_is_down_what_was_last_known_holds_on() -> None:
    board = Board(LANE)

    async def scenario() -> None:
        assert await board.hold() == LANE
        board.store.down = True
        for _ in range(5):
            board.clock.advance(60)
            assert await board.hold() == LANE
        board.resume(LANE)
        board.store.down = False
        board.clock.advance(TTL_MS / 1000)
        assert await board.hold() is None

    run(scenario())


def test_a_store_that_is_down_is_not_asked_by_every_task() -> None:
    board = Board()
    board.store.down = True

    async def scenario() -> None:
        for _ in range(20):
            await board.hold()
        assert board.store.reads == 1
        board.clock.advance(TTL_MS / 1000)
        await board.hold()
        assert board.store.reads == 2

    run(scenario())


def test_an_outage_is_logged_once_and_its_end(caplog: pytest.LogCaptureFixture) -> None:
    board = Board()
    caplog.set_level(logging.INFO)

    async def outage() -> None:
        board.store.down = True
        for _ in range(3):
            board.clock.advance(2)
            await board.hold()
        board.store.down = False
        for _ in range(2):
            board.clock.advance(2)
            await board.hold()

    run(outage())
    run(outage())
    told = [(record.levelname, record.message) for record in caplog.records]
    once = [("WARNING", "pauses unknown, going by the last known"), ("INFO", "pauses are known again")]
    assert told == once * 2


def test_a_store_that_does_not_answer_holds_up_no_start_for_long() -> None:
    board = Board(patience_seconds=0.01)

    async def scenario() -> None:
        board.pause(FLEET)
        board.store.held = asyncio.Event()
        assert await board.hold() is None
        assert await board.hold() is None, "given up, and not waited for again at once"
        assert board.store.reads == 1
        board.store.held.set()
        board.clock.advance(TTL_MS / 1000)
        assert await board.hold() == FLEET

    run(scenario())


def test_what_an_overtaken_read_brings_is_not_believed() -> None:
    board = Board(LANE, patience_seconds=0.01)

    async def scenario() -> None:
        board.store.held = slow = asyncio.Event()
        assert await board.hold() is None
        board.resume(LANE)
        board.store.held = None
        board.clock.advance(TTL_MS / 1000)
        assert await board.hold() is None
        slow.set()
        await settle()
        assert await board.hold() is None

    run(scenario())


def test_a_read_begun_before_the_process_was_frozen_is_not_waited_for() -> None:
    board = Board()

    async def scenario() -> None:
        board.store.held = slow = asyncio.Event()
        before = asyncio.ensure_future(board.hold())
        await settle()
        board.clock.advance(600)
        board.pause(FLEET)
        board.store.held = None
        assert await board.hold() == FLEET
        slow.set()
        await before
        assert await board.hold() == FLEET

    run(scenario())


def test_a_clock_that_is_set_back_makes_no_answer_last_longer() -> None:
    board = Board()

    async def scenario() -> None:
        assert await board.hold() is None
        board.pause(FLEET)
        board.clock.advance(-3600)
        assert await board.hold() == FLEET

    run(scenario())
