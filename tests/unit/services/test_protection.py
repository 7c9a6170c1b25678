"""Circuit, cap and limits before a call: asked in order, given back where one refuses, and told what a call came to."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from flotilla.errors import CircuitOpenError, LimitedError, StoreUnavailableError
from flotilla.integration_ports import CallAsk, Protection
from flotilla.integrations.declaration import Integration
from flotilla.primitives.circuit import CallOutcome, CircuitState
from flotilla.primitives.token_bucket import Limit
from flotilla.services.concurrency_caps import ConcurrencyCaps
from flotilla.services.dependency import Dependencies
from flotilla.services.limit_board import LimitBoard
from flotilla.services.limits import Limiter
from flotilla.services.protection import Protections
from tests.fakes.circuits import MemoryCircuits
from tests.fakes.limits import MemoryBuckets, MemoryLimitSettings, MemorySlots
from tests.fakes.virtual_time import VirtualClock, run_virtually
from tests.unit.integrations.declarations import crm

ASK = CallAsk("document.analyze", "acme", 10_000)
OK, FAILED, UNKNOWN = CallOutcome.OK, CallOutcome.FAILED, CallOutcome.UNKNOWN


class Shared:
    """What all processes share, and as many of them as are wanted."""

    def __init__(self, more: str = "") -> None:
        self.integration: Integration = crm(more)
        self.circuits = MemoryCircuits()
        self.buckets = MemoryBuckets()
        self.settings = MemoryLimitSettings()
        self.slots = MemorySlots()
        self._processes = 0

    def process(self) -> Protection:
        self._processes += 1
        clock, chance = VirtualClock(), random.Random(self._processes)
        return Protections(
            Dependencies(
                circuits=self.circuits,
                limiter=Limiter(self.buckets, clock, chance, board=LimitBoard(self.settings, clock)),
                clock=clock,
                random=chance,
                environment=f"process-{self._processes}",
            ),
            ConcurrencyCaps(self.slots, clock, chance),
        ).of(self.integration)


def run(shared: Shared, work: Callable[[Protection], Coroutine[Any, Any, Any]]) -> Any:
    async def all_of_it() -> Any:
        return await work(shared.process())

    return run_virtually(all_of_it())


async def call(protection: Protection, outcome: CallOutcome, seconds: float = 0.05, ask: CallAsk = ASK) -> None:
    permit = await protection.acquire(ask)
    await asyncio.sleep(seconds)
    await permit.record(outcome, int(seconds * 1000))


async def fail_until_open(protection: Protection) -> int:
    for made in range(200):
        try:
            await call(protection, FAILED)
        except CircuitOpenError:
            return made
    raise AssertionError("it never opened")


def test_a_dependency_that_fails_is_not_called_any_more_by_anybody() -> None:
    shared = Shared()

    async def work(one: Protection) -> None:
        assert await fail_until_open(one) < 40
        held = await one.held()
        assert isinstance(held, CircuitOpenError)
        assert held.circuit == "integration#crm"
        assert held.retry_after_seconds >= 1
        other = shared.process()
        with pytest.raises(CircuitOpenError):
            await other.acquire(ASK)

    run(shared, work)
    assert shared.circuits.records["integration#crm"].state is CircuitState.OPEN


def test_a_dependency_that_works_is_held_back_by_nothing() -> None:
    async def work(protection: Protection) -> None:
        for _ in range(50):
            await call(protection, OK)
        assert await protection.held() is None
        await protection.flush()

    run(Shared(), work)


def test_without_a_circuit_failures_hold_nothing_back() -> None:
    async def work(protection: Protection) -> None:
        for _ in range(50):
            await call(protection, FAILED)
        assert await protection.held() is None

    shared = Shared("breaker.enabled = false")
    run(shared, work)
    assert shared.circuits.writes == 0


def test_a_tenant_has_a_cap_of_its_own_and_takes_no_slot_of_the_fleet_when_it_is_full() -> None:
    shared = Shared("concurrency = 3\nconcurrency_per_tenant = 2")
    other = CallAsk(ASK.agent, "other", ASK.lease_ms)

    async def work(protection: Protection) -> None:
        first, _ = await protection.acquire(ASK), await protection.acquire(ASK)
        with pytest.raises(LimitedError) as full:
            await protection.acquire(ASK)
        assert full.value.limit == "integration#crm.tenant#acme"
        assert len([name for name, _ in shared.slots.slots if name == "integration#crm"]) == 2
        await protection.acquire(other)
        with pytest.raises(LimitedError) as full:
            await protection.acquire(other)
        assert full.value.limit == "integration#crm"
        await first.record(OK, 10)
        await protection.acquire(other)

    run(shared, work)
    held = sorted(name for name, _ in shared.slots.slots)
    assert held == [
        *["integration#crm"] * 3,
        "integration#crm.tenant#acme",
        *["integration#crm.tenant#other"] * 2,
    ], "what a refusal took is given back"


@pytest.mark.parametrize(
    "name",
    ["integration#crm", "integration#crm.agent", "integration#crm.tenant", "integration#crm.tenant#acme"],
)
def test_limits_that_are_not_declared_hold_once_an_operator_has_set_them(name: str) -> None:
    shared = Shared()
    shared.settings.limits[name] = Limit(60, 1)

    async def work(protection: Protection) -> None:
        await call(protection, OK)
        with pytest.raises(LimitedError):
            await protection.acquire(CallAsk(ASK.agent, ASK.tenant, 1000))

    run(shared, work)


def test_no_more_calls_are_under_way_than_the_cap_and_a_refusal_takes_no_tokens() -> None:
    shared = Shared("concurrency = 2\nlimit = { rate_per_minute = 60, burst = 100 }")

    async def work(protection: Protection) -> None:
        first = await protection.acquire(ASK)
        await protection.acquire(ASK)
        drawn = shared.buckets.writes
        with pytest.raises(LimitedError) as full:
            await protection.acquire(ASK)
        assert full.value.limit == "integration#crm"
        assert shared.buckets.writes == drawn
        await first.record(OK, 10)
        await protection.acquire(ASK)

    run(shared, work)


@pytest.mark.parametrize(
    ("key", "limit"),
    [
        ("limit", "integration#crm"),
        ("limit_per_agent", "integration#crm.agent#document.analyze"),
        ("limit_per_tenant", "integration#crm.tenant#acme"),
    ],
)
def test_no_more_calls_are_made_than_each_limit_allows_and_a_refusal_gives_the_slot_back(key: str, limit: str) -> None:
    shared = Shared(f"concurrency = 1\n{key} = {{ rate_per_minute = 1, burst = 3 }}")

    async def work(protection: Protection) -> None:
        for _ in range(3):
            await call(protection, OK)
        with pytest.raises(LimitedError) as refusal:
            await protection.acquire(ASK)
        assert refusal.value.limit == limit
        assert refusal.value.retry_after_seconds > 1
        assert await shared.slots.read("integration#crm") == []

    run(shared, work)


def test_agents_and_tenants_do_not_take_each_others_tokens() -> None:
    shared = Shared(
        "limit_per_agent = { rate_per_minute = 1, burst = 1 }\nlimit_per_tenant = { rate_per_minute = 1, burst = 2 }"
    )

    async def work(protection: Protection) -> None:
        await call(protection, OK)
        await call(protection, OK, ask=CallAsk("another.agent", "acme", 10_000))
        await call(protection, OK, ask=CallAsk("third.agent", "umbrella", 10_000))
        with pytest.raises(LimitedError):
            await protection.acquire(CallAsk("fourth.agent", "acme", 10_000))

    run(shared, work)


def test_a_limit_that_is_set_at_run_time_holds_where_none_was_declared() -> None:
    shared = Shared()

    async def work(protection: Protection) -> None:
        await shared.settings.put("integration#crm", Limit(1, 2))
        await call(protection, OK)
        await call(protection, OK)
        with pytest.raises(LimitedError):
            await protection.acquire(ASK)

    run(shared, work)


def test_a_call_waits_a_moment_for_tokens_that_are_about_to_be_there() -> None:
    shared = Shared("limit = { rate_per_minute = 120, burst = 1 }")

    async def work(protection: Protection) -> float:
        loop = asyncio.get_running_loop()
        await call(protection, OK, seconds=0)
        began = loop.time()
        await call(protection, OK, seconds=0)
        return loop.time() - began

    assert 0.1 < run(shared, work) < 1.5


def test_who_is_asked_for_fewer_calls_makes_none_for_so_long_and_no_longer() -> None:
    async def work(protection: Protection) -> None:
        permit = await protection.acquire(ASK)
        await permit.record(OK, 10, retry_after_ms=3000)
        with pytest.raises(LimitedError) as refusal:
            await protection.acquire(ASK)
        assert refusal.value.code == "throttled"
        assert 2 < refusal.value.retry_after_seconds <= 3
        assert isinstance(await protection.held(), LimitedError)
        await asyncio.sleep(3)
        await call(protection, OK)
        permit = await protection.acquire(ASK)
        await permit.record(OK, 10, retry_after_ms=10**9)
        await asyncio.sleep(60)
        await call(protection, OK)

    run(Shared(), work)


def test_a_caller_that_is_cancelled_while_it_asks_leaves_nothing_behind() -> None:
    shared = Shared("concurrency = 1\nlimit = { rate_per_minute = 120, burst = 1 }")

    async def work(protection: Protection) -> None:
        await call(protection, OK, seconds=0)
        asking = asyncio.ensure_future(protection.acquire(ASK))
        await asyncio.sleep(0.01)  # it has its slot, and waits for its token
        assert len(await shared.slots.read("integration#crm")) == 1
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await protection.flush()
        assert await shared.slots.read("integration#crm") == []

    run(shared, work)


def test_a_cancelled_probe_is_given_back() -> None:
    shared = Shared("concurrency = 1")

    async def work(protection: Protection) -> None:
        await fail_until_open(protection)
        await asyncio.sleep(30)
        taken = await ConcurrencyCaps(shared.slots, VirtualClock(), random.Random(1)).enter("integration#crm", 1, 60)
        with pytest.raises(LimitedError):
            await protection.acquire(ASK)
        assert shared.circuits.leases == {}, "who may not call does not keep others from probing"
        assert taken.slot is not None

    run(shared, work)


class _Down:
    """Any store, not answering."""

    def __getattr__(self, name: str) -> Any:
        async def fail(*_: Any, **__: Any) -> None:
            raise StoreUnavailableError("down", code="down")

        return fail


def test_while_all_stores_are_down_calls_go_on() -> None:
    shared = Shared("concurrency = 5\nlimit = { rate_per_minute = 600, burst = 100 }")
    down: Any = _Down()
    shared.circuits, shared.buckets, shared.settings, shared.slots = down, down, down, down

    async def work(protection: Protection) -> None:
        for _ in range(5):
            await call(protection, OK)

    run(shared, work)
