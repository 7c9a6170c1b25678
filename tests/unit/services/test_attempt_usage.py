"""What tasks say that they used of their process: a share each, whatever becomes of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from flotilla.agents import Context, agent
from flotilla.errors import ParkedError, RetryableError
from flotilla.events import fold
from flotilla.primitives.compute_cost import ComputePrice
from flotilla.services.attempt_usage import Compute, InvocationMeter
from flotilla.services.batch import BatchService
from tests.fakes.usage import ToldProcess
from tests.unit.services.fleet import Fleet, run
from tests.unit.services.sample_agents import Input, Output

PRICE = ComputePrice(gb_second_usd=0.00001333, invocation_usd=0.0000002)
PROCESS = ToldProcess()


@agent("sample.working", timeout_seconds=10, max_attempts=2)
async def working(task: Input, ctx: Context) -> Output:
    """Takes 40 ms of the processor, and ends as it is told."""
    PROCESS.spent_us += 40_000
    if task.value == "park" and ctx.attempt == 1:
        raise ParkedError("not now", retry_after_seconds=30)
    if task.value == "fail":
        raise RetryableError("not so")
    return Output(value=1)


@pytest.fixture
def fleet() -> Fleet:
    PROCESS.spent_us = 0
    fleet = Fleet([working])
    fleet.tools = replace(fleet.tools, compute=Compute(PROCESS, PRICE))
    return fleet


async def ended(fleet: Fleet, value: Any) -> list[dict[str, Any]]:
    """Have a task attempted once; the bodies of its events."""
    task_id = (await fleet.submit("sample.working", {"value": value})).state.task_id
    await fleet.deliver(fleet.delivery(task_id))
    return [event.body for event in await fleet.log.read(task_id)]


def test_a_task_says_what_it_used_of_the_process_and_what_that_costs(fleet: Fleet) -> None:
    usage = run(ended(fleet, None))[-1]["usage"]
    assert usage == {
        "duration_ms": 0,
        "billed_ms": 0,
        "cpu_ms": 40.0,
        "memory_mb": 1024,
        "peak_memory_mb": 120,
        "compute_usd": 0.0000002,
    }


@pytest.mark.parametrize("value", ["park", "fail"])
def test_what_is_parked_or_fails_says_it_too(fleet: Fleet, value: str) -> None:
    assert run(ended(fleet, value))[-1]["usage"]["compute_usd"] == 0.0000002


def test_a_task_costs_what_all_its_attempts_did(fleet: Fleet) -> None:
    async def work() -> dict[str, Any]:
        task_id = (await fleet.submit("sample.working", {"value": "fail"})).state.task_id
        await fleet.deliver(fleet.delivery(task_id))
        fleet.clock.advance(600)
        await fleet.deliver(fleet.delivery(task_id, 2))
        return fold(await fleet.log.read(task_id)).usage

    usage = run(work())
    assert usage["compute_usd"] == 0.0000004
    assert usage["cpu_ms"] == 40.0, "as all that is told of time: of the attempt that ended it"


def test_the_request_is_shared_by_the_messages_of_an_invocation(fleet: Fleet) -> None:
    async def work() -> list[float]:
        tasks = [(await fleet.submit("sample.working", {"value": None})).state.task_id for _ in range(4)]
        invocation = fleet.invocation()
        invocation.messages = len(tasks)
        await BatchService(fleet.tools).run([fleet.delivery(task_id) for task_id in tasks], invocation)
        return [(await fleet.state(task_id)).usage["compute_usd"] for task_id in tasks]

    assert run(work()) == [0.00000005] * 4


def test_without_a_process_to_tell_of_only_time_is_told() -> None:
    fleet = Fleet([working])
    assert run(ended(fleet, None))[-1]["usage"] == {"duration_ms": 0, "billed_ms": 0}
    assert "usage" not in run(ended(fleet, "park"))[-1]


def test_processor_time_is_shared_by_who_was_running() -> None:
    process = ToldProcess(memory_mb=512, peak_mb=None)
    meter = InvocationMeter(Compute(process, PRICE), messages=2)
    meter.start("a", 0)
    process.spent_us += 10_000
    meter.start("b", 100)
    process.spent_us += 6_000
    first = meter.stop("a", 300)
    process.spent_us += 1_250
    second = meter.stop("b", 400)
    assert (first["billed_ms"], first["cpu_ms"]) == (200, 13.0)
    assert (second["billed_ms"], second["cpu_ms"]) == (200, 4.2)
    assert "peak_memory_mb" not in first
    assert first["compute_usd"] == pytest.approx(0.2 * 0.5 * PRICE.gb_second_usd + 0.0000001, abs=1e-9)
