"""The threads of one attempt: what still runs when it is over is known, and nothing begins any more."""

from __future__ import annotations

import asyncio
import threading

import pytest

from flotilla.errors import RetryableError
from flotilla.runtime.threads import ThreadRunner
from flotilla.services.agent_threads import AgentThreads, Overruns
from tests.unit.services.fleet import run


class Gate:
    """A call that is seen to begin and ends when it is let go."""

    def __init__(self) -> None:
        self._begun = threading.Event()
        self._open = threading.Event()

    def wait(self) -> None:
        self._begun.set()
        self._open.wait(10)

    async def begun(self) -> None:
        while not self._begun.is_set():
            await asyncio.sleep(0)

    def let_go(self) -> None:
        self._open.set()


def test_nothing_is_left_of_calls_that_have_ended() -> None:
    async def scenario() -> tuple[bool, int]:
        overruns = Overruns()
        threads = AgentThreads(ThreadRunner("test", 2), overruns)
        assert await asyncio.gather(threads(str, 1), threads(str, 2)) == ["1", "2"]
        return threads.leave(), overruns.count

    assert run(scenario()) == (False, 0)


def test_a_call_that_still_runs_is_counted_until_it_ends() -> None:
    gate = Gate()

    async def scenario() -> tuple[bool, int, int]:
        overruns = Overruns()
        threads = AgentThreads(ThreadRunner("test", 2), overruns)
        call = asyncio.ensure_future(threads(gate.wait))
        await gate.begun()
        left, while_running = threads.leave(), overruns.count
        gate.let_go()
        await call
        await asyncio.sleep(0)
        return left, while_running, overruns.count

    assert run(scenario()) == (True, 1, 0)


def test_a_call_that_waited_for_a_thread_does_not_begin_after_the_attempt() -> None:
    """It would act for a task that somebody else runs by then."""
    gate = Gate()
    begun: list[str] = []

    async def scenario() -> None:
        threads = AgentThreads(ThreadRunner("test", 1), Overruns())
        running = asyncio.ensure_future(threads(gate.wait))
        waiting = asyncio.ensure_future(threads(begun.append, "too late"))
        await gate.begun()
        threads.leave()
        gate.let_go()
        await asyncio.gather(running, waiting, return_exceptions=True)

    run(scenario())
    assert begun == []


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit(), BaseException("odd")])
def test_what_would_end_the_loop_is_a_failure_like_any_other(error: BaseException) -> None:
    def fails() -> None:
        raise error

    with pytest.raises(RetryableError):
        run(AgentThreads(ThreadRunner("test", 1), Overruns())(fails))
