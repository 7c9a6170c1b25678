"""Threads that race for a bucket, for slots and for a budget on an AWS in memory: no bound is ever exceeded."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

import pytest

from flotilla.budget_ports import Scope
from flotilla.dynamo.buckets import DynamoBuckets
from flotilla.dynamo.budgets import DynamoBudgets
from flotilla.dynamo.slots import DynamoSlots
from flotilla.errors import BudgetExceededError, BudgetParkedError, LimitedError
from flotilla.primitives.token_bucket import Limit
from flotilla.primitives.token_lease import NO_LEASES, Leasing
from flotilla.services.budgets import Budgets
from flotilla.services.concurrency_caps import ConcurrencyCaps
from flotilla.services.limits import Ask, Limiter
from tests.concurrency.racers import PATIENCE_SECONDS, run_here
from tests.fakes import ManualClock

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

T = TypeVar("T")

TASKS = 200


def at_once(count: int, work: Callable[[int], T]) -> list[T]:
    """`work(0)` to `work(count - 1)`, each on a thread, all starting at the same moment."""
    start = threading.Barrier(count, timeout=PATIENCE_SECONDS)

    def racer(number: int) -> T:
        start.wait()
        return work(number)

    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(racer, range(count)))


@pytest.mark.parametrize("leasing", [NO_LEASES, Leasing()], ids=["no leases", "leases"])
def test_sixteen_processes_take_no_more_than_the_burst(
    dynamodb: DynamoDBClient, control_table: str, atomic_calls: None, leasing: Leasing
) -> None:
    """The clock stands still, so nothing is ever credited."""
    clock = ManualClock()
    ask = Ask("integration#crm", Limit(60, 100))

    def process(number: int) -> int:
        buckets = DynamoBuckets(dynamodb, control_table, run_here)
        limiter = Limiter(buckets, clock, random.Random(number), leasing=leasing, skew_ms=0, elapsed_ms=clock.now_ms)

        async def use() -> int:
            for done in range(1000):
                try:
                    await limiter.acquire(ask)
                except LimitedError:
                    return done
            raise AssertionError("no limit at all")

        return asyncio.run(use())

    used = sum(at_once(16, process))
    assert used <= 100
    assert used == 100 or leasing is not NO_LEASES


def test_no_more_than_the_cap_hold_a_slot(dynamodb: DynamoDBClient, control_table: str, atomic_calls: None) -> None:
    clock = ManualClock()

    def process(number: int) -> bool:
        caps = ConcurrencyCaps(DynamoSlots(dynamodb, control_table, run_here), clock, random.Random(number))
        try:
            asyncio.run(caps.enter("crm", 5, 30))
        except LimitedError:
            return False
        return True

    assert sum(at_once(32, process)) == 5


def test_two_hundred_tasks_with_children_never_exceed_their_cap(
    dynamodb: DynamoDBClient, control_table: str, atomic_calls: None
) -> None:
    """Every task has a child; both call, all under one parent and one day. Costs differ from what was reserved."""
    clock = ManualClock()
    parent = Scope("task#parent", 20_000)
    day = Scope("tenant-day#acme#2026-11-21", 8_000, parks=True, ends_at_ms=clock.now_ms() + 3_600_000)
    store = DynamoBudgets(dynamodb, control_table, run_here)
    beyond = 7

    def task(number: int) -> int:
        budgets = Budgets(store, clock, random.Random(number))
        own = Scope(f"task#{number}", 110)
        child = Scope(f"task#{number}.1", 400)

        async def calls() -> int:
            spent = 0
            for which, scopes in enumerate([(own, parent, day), (child, own, parent, day)]):
                try:
                    reservation = await budgets.reserve(f"{number}.{which}", scopes, 70, 30)
                except (BudgetExceededError, BudgetParkedError):
                    continue
                cost = 70 + beyond if number == 0 else 30 + number % 40
                await budgets.commit(reservation, cost)
                spent += cost
            return spent

        return asyncio.run(calls())

    spent = at_once(TASKS, task)
    account = asyncio.run(_account(store, day.name))
    assert account == sum(spent)
    assert account <= 8_000 + 2 * beyond, "one task's calls cost more than was reserved"
    # Whoever found all of it spoken for went away, so that what was free again in the end may be left.
    assert account >= 8_000 // 2
    assert max(spent) <= 110 + beyond, "a child does not escape its parent's cap, however high its own"
    assert asyncio.run(_account(store, parent.name)) == account


async def _account(store: DynamoBudgets, scope: str) -> int:
    from flotilla.primitives.budget import Hold, Settle

    found = (await store.change(scope, Settle("nothing", Hold(1, 1), 1), 4_000_000_000)).before
    assert found.used == found.spent
    assert found.holds == {}
    return found.spent
