"""Whose failure it is when a call fails: the task's own where others do better, and else nobody's."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from benchmarks.fault_lab.script import Reply, Script
from flotilla.errors import CircuitOpenError, ParkedError, RetryableError
from flotilla.integrations.client import IntegrationClient
from tests.fakes.virtual_time import EPOCH_MS
from tests.unit.integrations.calling import Calling
from tests.unit.integrations.declarations import crm

DOWN, RESET, STALL = Reply(status=500), Reply(fault="reset"), Reply(fault="stall")


async def get(client: IntegrationClient) -> Any:
    return await client.get("/orders")


def failing(reply: Reply, *, working: bool, **more: Any) -> Calling:
    calling = Calling(Script.steady(reply), **more)
    calling.protection.working = working
    return calling


@pytest.mark.parametrize(
    ("reply", "code"),
    [(DOWN, "integration_failed"), (RESET, "integration_no_answer"), (STALL, "integration_timeout")],
)
def test_a_failure_is_an_attempt_where_others_do_better_and_a_wait_where_nobody_does(reply: Reply, code: str) -> None:
    with pytest.raises(RetryableError) as charged:
        failing(reply, working=True).run(get)
    with pytest.raises(ParkedError) as waits:
        failing(reply, working=False).run(get)
    assert charged.value.code == waits.value.code == code
    assert charged.value.message == waits.value.message
    assert waits.value.retry_after_seconds == 10


@pytest.mark.parametrize(("waits", "seconds"), [(0, 10), (1, 20), (4, 160), (5, 300), (1000, 300)])
def test_a_task_waits_twice_as_long_each_time_up_to_five_minutes(waits: int, seconds: int) -> None:
    with pytest.raises(ParkedError) as found:
        failing(DOWN, working=False, waits=waits).run(get)
    assert found.value.retry_after_seconds == seconds


def test_others_must_do_better_since_the_task_failed_before() -> None:
    first, third = failing(DOWN, working=False), failing(DOWN, working=False, waits=2)
    for calling in (first, third):
        with pytest.raises(ParkedError):
            calling.run(get)
    assert first.protection.asked_since == [EPOCH_MS]
    assert third.protection.asked_since == [EPOCH_MS - 20_000]


def test_whom_nobody_reached_waits_however_others_do_and_longer_each_time() -> None:
    calling = Calling(waits=3)
    calling.transport.reachable = False
    with pytest.raises(ParkedError) as found:
        calling.run(get)
    assert (found.value.code, found.value.retry_after_seconds) == ("integration_unreachable", 80)
    assert calling.protection.asked_since == []


def test_whose_failure_opened_the_circuit_waits_with_the_others() -> None:
    calling = failing(DOWN, working=True)
    calling.protection.hold_after = CircuitOpenError("integration#crm", retry_after_seconds=7)
    with pytest.raises(CircuitOpenError) as found:
        calling.run(get)
    assert found.value.retry_after_seconds == 7


def test_a_call_that_was_given_too_little_time_says_nothing_of_the_other_side() -> None:
    calling = failing(STALL, working=False)
    with pytest.raises(RetryableError) as found:
        calling.run(lambda client: client.get("/orders", timeout_seconds=0.5))
    assert found.value.code == "integration_timeout"
    assert calling.protection.asked_since == []


def test_an_attempt_without_time_to_ask_how_others_do_waits() -> None:
    calling = failing(STALL, working=True, integration=crm("[integrations.crm.timeouts]\nread_seconds = 5"))
    calling.attempt_seconds = 5.0

    async def slow(since_ms: int) -> bool:
        await asyncio.sleep(60)
        return True

    calling.protection.works = slow  # type: ignore[method-assign]
    with pytest.raises(ParkedError):
        calling.run(get)
