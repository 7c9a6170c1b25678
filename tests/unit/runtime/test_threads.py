"""Blocking work on threads: in the caller's context, in bounded number, on one loop for the process's life."""

from __future__ import annotations

import asyncio
import contextvars
import threading

import pytest

from flotilla.runtime import threads
from flotilla.runtime.threads import ThreadRunner

REQUEST = contextvars.ContextVar("REQUEST", default="none")


def test_a_call_sees_the_context_of_its_caller() -> None:
    runner = ThreadRunner("test", 4)

    async def caller(name: str) -> str:
        REQUEST.set(name)
        await asyncio.sleep(0)
        return await runner(REQUEST.get)

    async def scenario() -> list[str]:
        return list(await asyncio.gather(*(caller(f"request-{number}") for number in range(8))))

    assert threads.run(scenario()) == [f"request-{number}" for number in range(8)]


def test_what_a_call_sets_does_not_leak_to_the_next_on_its_thread() -> None:
    runner = ThreadRunner("test", 1)

    async def scenario() -> str:
        await runner(REQUEST.set, "leaked")
        return await runner(REQUEST.get)

    assert threads.run(scenario()) == "none"


def test_a_call_runs_on_a_thread_of_that_name_and_gets_its_arguments() -> None:
    def where(first: int, second: str) -> tuple[int, str, str]:
        return first, second, threading.current_thread().name

    first, second, name = threads.run(ThreadRunner("aws", 1)(where, 1, "two"))
    assert (first, second) == (1, "two")
    assert name.startswith("aws")


def test_what_a_call_raises_its_caller_gets() -> None:
    def fails() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError, match="x"):
        threads.run(ThreadRunner("test", 1)(fails))


def test_no_more_calls_run_at_once_than_there_are_threads() -> None:
    # Each call waits for a partner, so that two run at once; a third would be seen.
    partner = threading.Barrier(2, timeout=10)
    lock = threading.Lock()
    running, most = 0, 0

    def call() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        partner.wait()
        with lock:
            running -= 1

    async def scenario() -> None:
        runner = ThreadRunner("test", 2)
        await asyncio.gather(*(runner(call) for _ in range(8)))

    threads.run(scenario())
    assert most == 2


def test_the_loop_lives_as_long_as_the_process() -> None:
    async def loop() -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    async def fails() -> None:
        raise ValueError("invocation failed")

    first = threads.run(loop())
    with pytest.raises(ValueError, match="invocation failed"):
        threads.run(fails())
    assert threads.run(loop()) is first
