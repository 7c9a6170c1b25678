"""A breaker whose store fails it: calls go on, and an environment goes by what it sees for itself."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

import pytest

from flotilla.circuit_ports import Transition
from flotilla.errors import CircuitOpenError, StoreUnavailableError
from flotilla.primitives.circuit import CircuitMode, CircuitState, forced
from flotilla.primitives.circuit_guard import FAILURES
from flotilla.services.circuit_view import PATIENCE_SECONDS
from tests.fakes.circuits import MemoryTransitions
from tests.fakes.virtual_time import run_virtually
from tests.unit.services.circuit_fleet import FAILED, NAME, OK, FailingCircuits, Scene, refusal, run

CLOSED = CircuitState.CLOSED


def test_while_the_store_is_down_calls_go_on() -> None:
    scene = Scene()

    async def scenario() -> None:
        breaker = scene.environment()
        scene.store.down = True
        for _ in range(100):
            await scene.call(breaker)
            scene.clock.advance(0.1)

    run(scenario())
    assert scene.metrics.counted("ProtectionUnavailable", protection="circuit") > 0


def test_while_the_store_answers_nothing_is_counted_as_unavailable() -> None:
    scene = Scene()
    run(scene.call(scene.environment()))
    assert scene.metrics.total("ProtectionUnavailable") == 0


def test_a_call_that_is_refused_is_counted() -> None:
    scene = Scene()

    async def scenario() -> None:
        breaker = scene.environment()
        await scene.open(breaker)
        before = scene.metrics.counted("CallsRefused", circuit=NAME)
        await refusal(breaker)
        assert scene.metrics.counted("CallsRefused", circuit=NAME) == before + 1

    run(scenario())


def test_while_the_store_is_down_an_environment_stops_by_itself_where_nothing_succeeds() -> None:
    scene = Scene()

    async def scenario() -> None:
        breaker = scene.environment()
        scene.store.down = True
        for _ in range(FAILURES):
            await scene.call(breaker, FAILED)
        assert 0 < (await refusal(breaker)).retry_after_seconds < 2
        scene.clock.advance(2)
        await scene.call(breaker, OK)
        await scene.call(breaker, OK)

    run(scenario())


def test_a_store_that_goes_down_does_not_end_a_cooldown_early() -> None:
    scene = Scene()

    async def scenario() -> None:
        breaker = scene.environment()
        await scene.open(breaker)
        scene.store.down = True
        scene.clock.advance(5)
        await refusal(breaker)
        scene.to_the_end_of_the_cooldown()
        assert (await refusal(breaker)).retry_after_seconds < 2, "by itself, for nothing has succeeded yet"
        scene.clock.advance(2)
        await scene.call(breaker, OK)
        await scene.call(breaker, OK)

    run(scenario())


def test_a_store_that_is_down_is_logged_once_and_its_end(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene()
    caplog.set_level(logging.INFO)

    async def scenario() -> None:
        breaker = scene.environment()
        for down in (True, False):
            scene.store.down = down
            for _ in range(10):
                await scene.call(breaker)
                scene.clock.advance(2)

    run(scenario())
    assert [record.message for record in caplog.records] == [
        "protection unavailable, calls go on",
        "protection is back",
    ]
    assert vars(caplog.records[0])["code"] == "circuits_unavailable"


def test_a_store_that_fails_at_any_moment_fails_no_call() -> None:
    """Each moment of a life from trip to recovery, once with the store down just then."""

    async def life(down_at: int) -> int:
        scene = Scene()
        breaker, calls = scene.environment(), 0
        for step in range(200):
            scene.store.down = step == down_at
            with suppress(CircuitOpenError):
                await scene.call(breaker, FAILED if step < 20 else OK)
                calls += 1
            scene.clock.advance(0.2)
        assert scene.record.state is CLOSED
        return calls

    for down_at in range(0, 200, 3):
        assert run(life(down_at)) > 50


def test_a_step_that_cannot_be_told_is_made_all_the_same() -> None:
    class Deaf(MemoryTransitions):
        async def tell(self, transition: Transition) -> None:
            raise StoreUnavailableError("nobody listens")

    scene = Scene()
    scene.transitions = Deaf()

    async def scenario() -> None:
        breaker = scene.environment()
        await scene.open(breaker)
        await refusal(breaker)

    run(scenario())


def test_a_store_that_goes_down_does_not_undo_what_an_operator_said() -> None:
    scene = Scene()

    async def scenario() -> None:
        breaker = scene.environment()
        step = forced(scene.record, CircuitMode.OPEN, scene.clock.now_ms(), reason="", by="key:k1")
        assert step is not None
        await scene.store.transition(NAME, step)
        await refusal(breaker)
        scene.store.down = True
        scene.clock.advance(3600)
        await refusal(breaker)

    run(scenario())


def test_a_store_that_hangs_delays_a_call_by_no_more_than_its_patience() -> None:
    class Hanging(FailingCircuits):
        async def answer(self) -> None:
            await asyncio.sleep(3600)

    scene = Scene()
    scene.store = Hanging()

    async def scenario() -> None:
        breaker, loop = scene.environment(), asyncio.get_running_loop()
        for _ in range(FAILURES - 1):
            began = loop.time()
            await scene.call(breaker, FAILED)
            assert loop.time() - began <= 2 * PATIENCE_SECONDS + 0.01

    run_virtually(scenario())
