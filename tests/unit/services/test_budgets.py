"""Budgets of a task, those above it and its tenant's day, reserved together, settled once, open within bounds."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Coroutine
from typing import Any

import pytest

from flotilla.budget_ports import Changed, Scope
from flotilla.errors import BudgetExceededError, BudgetParkedError, StoreUnavailableError
from flotilla.primitives.budget import Account, Change, Level
from flotilla.services.budgets import Budgets
from tests.fakes import ManualClock
from tests.fakes.budgets import MemoryBudgets

CHILD = Scope("task#child", 500)
PARENT = Scope("task#parent", 800)
DAY = Scope("tenant-day#acme#2026-11-21", 1000, parks=True, ends_at_ms=1_700_003_600_000)
ALL = (CHILD, PARENT, DAY)


class Store(MemoryBudgets):
    """Can be down, and can lose the answers to what it does."""

    def __init__(self) -> None:
        super().__init__()
        self.down = False
        self.loses = 0

    async def change(self, scope: str, change: Change, expires_at: int) -> Changed:
        if self.down:
            self.writes += 1
            raise StoreUnavailableError("down", code="budgets_unavailable")
        answer = await super().change(scope, change, expires_at)
        if self.loses:
            self.loses -= 1
            raise StoreUnavailableError("lost", code="budgets_unavailable")
        return answer


class World:
    """Processes over one store and one clock."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.store = Store()

    def budgets(self) -> Budgets:
        return Budgets(self.store, self.clock, random.Random(1), skew_ms=100)

    def spent(self, scope: Scope) -> tuple[int, int]:
        account = self.store.accounts.get(scope.name, Account())
        return account.spent, account.used


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


def test_a_call_counts_on_every_budget_at_two_writes_each() -> None:
    world = World()

    async def walk() -> None:
        budgets = world.budgets()
        reservation = await budgets.reserve("r1", ALL, 300, 30)
        assert reservation.level is Level.OK
        assert [world.spent(scope) for scope in ALL] == [(0, 300)] * 3
        await budgets.commit(reservation, 120)
        await budgets.commit(reservation, 120)
        assert [world.spent(scope) for scope in ALL] == [(120, 120)] * 3
        released = await budgets.reserve("r2", ALL, 300, 30)
        await budgets.release(released)
        assert [world.spent(scope) for scope in ALL] == [(120, 120)] * 3

    run(walk())
    assert world.store.writes == 3 * 4 + 3, "a commit that is repeated costs a write, a reservation or its end one each"


def test_a_child_cannot_spend_more_than_what_is_above_it_may() -> None:
    world = World()

    async def walk() -> None:
        budgets = world.budgets()
        await budgets.commit(await budgets.reserve("r1", (PARENT, DAY), 700, 30), 700)
        with pytest.raises(BudgetExceededError) as refused:
            await budgets.reserve("r2", ALL, 200, 30)
        assert refused.value.scope == "task#parent"
        assert world.spent(CHILD) == (0, 0), "nothing stays reserved on what would have allowed it"
        assert (await budgets.reserve("r3", ALL, 100, 30)).level is Level.FRUGAL

    run(walk())


def test_from_four_fifths_on_the_cheaper_way_is_asked_for() -> None:
    async def walk() -> list[Level]:
        budgets = World().budgets()
        return [(await budgets.reserve(f"r{number}", (CHILD,), 100, 30)).level for number in range(5)]

    assert run(walk()) == [Level.OK] * 3 + [Level.FRUGAL] * 2


def test_what_is_spent_is_refused_or_parked_until_the_day_ends_and_what_is_reserved_is_waited_for() -> None:
    world = World()

    async def walk() -> None:
        budgets = world.budgets()
        held = await budgets.reserve("r1", (DAY,), 1000, 600)
        with pytest.raises(BudgetParkedError) as waiting:
            await world.budgets().reserve("r2", (DAY,), 1, 600)
        assert 1 <= waiting.value.retry_after_seconds <= 30, "it may be free again any moment"
        await budgets.commit(held, 1000)
        with pytest.raises(BudgetParkedError) as parked:
            await world.budgets().reserve("r2", (DAY,), 1, 600)
        assert 3600 <= parked.value.retry_after_seconds <= 3630
        assert parked.value.message == "the budget of the tenant's day 2026-11-21 ($0.001) is spent"
        with pytest.raises(BudgetExceededError) as refused:
            await budgets.reserve("r3", (CHILD,), 501, 600)
        assert refused.value.code == "budget_too_small"

    run(walk())


@pytest.mark.parametrize("lost", [1, 2])
def test_what_was_done_though_its_answer_was_lost_is_not_done_twice(lost: int) -> None:
    world = World()

    async def walk() -> None:
        budgets = world.budgets()
        world.store.loses = lost
        reservation = await budgets.reserve("r1", (CHILD,), 300, 30)
        assert reservation.blind == frozenset()
        assert world.spent(CHILD) == (0, 300)
        world.store.loses = lost
        await budgets.commit(reservation, 250)
        assert world.spent(CHILD) == (250, 250)
        other = await budgets.reserve("r2", (CHILD,), 100, 30)
        world.store.loses = lost
        await budgets.release(other)
        assert world.spent(CHILD) == (250, 250)

    run(walk())


def test_a_store_that_fails_three_times_running_is_down_and_what_it_did_all_the_same_is_found() -> None:
    world = World()

    async def walk() -> None:
        world.store.loses = 3
        budgets = world.budgets()
        reservation = await budgets.reserve("r1", (CHILD,), 300, 30)
        assert reservation.blind == {"task#child"}
        assert world.spent(CHILD) == (0, 300)
        await budgets.commit(reservation, 250)
        world.clock.advance(2)
        await budgets.flush()
        assert world.spent(CHILD) == (250, 250)

    run(walk())


def test_a_store_that_is_down_lets_nothing_through_where_nothing_was_left_when_it_was_last_seen() -> None:
    world = World()

    async def walk() -> None:
        budgets = world.budgets()
        await budgets.commit(await budgets.reserve("r1", (DAY,), 960, 30), 960)
        world.store.down = True
        await budgets.reserve("r2", (DAY,), 40, 30)
        with pytest.raises(BudgetParkedError) as refused:
            await budgets.reserve("r3", (DAY,), 1, 30)
        assert refused.value.code == "budget_unavailable"

    run(walk())


def test_what_a_crashed_process_reserved_counts_as_spent_and_can_be_settled_for_an_hour() -> None:
    """Its call may have been made, and is charged then."""
    world = World()

    async def walk() -> None:
        gone, other = world.budgets(), world.budgets()
        first, second = [await gone.reserve(name, (CHILD,), 200, 30) for name in ("r1", "r2")]
        with pytest.raises(BudgetParkedError) as waiting:
            await other.reserve("r3", (CHILD,), 200, 30)
        assert waiting.value.code == "budget_reserved"
        world.clock.advance(31)
        with pytest.raises(BudgetExceededError):
            await other.reserve("r3", (CHILD,), 200, 30)
        await gone.commit(first, 50)
        await other.release(await other.reserve("r3", (CHILD,), 200, 30))
        world.clock.advance(3600)
        await other.release(await other.reserve("r4", (CHILD,), 10, 30))
        assert world.spent(CHILD) == (250, 250), "the other one is written off"
        await gone.commit(second, 50)
        assert world.spent(CHILD) == (250, 250)

    run(walk())


def test_what_is_reserved_for_a_caller_that_is_cancelled_meanwhile_is_given_back() -> None:
    world = World()

    async def walk() -> None:
        budgets = world.budgets()
        for steps in range(12):
            asked = asyncio.ensure_future(budgets.reserve(f"r{steps}", ALL, 300, 30))
            for _ in range(steps):
                await asyncio.sleep(0)
            reserved = asked.done()
            asked.cancel()
            await asyncio.gather(asked, return_exceptions=True)
            await budgets.flush()
            if reserved:
                await budgets.release(asked.result())
            assert [world.spent(scope) for scope in ALL] == [(0, 0)] * 3

    run(walk())


def test_what_a_call_cost_is_put_down_though_its_caller_is_cancelled_meanwhile() -> None:
    world = World()

    async def walk() -> None:
        budgets = world.budgets()
        reservation = await budgets.reserve("r1", ALL, 300, 30)
        putting_down = asyncio.ensure_future(budgets.commit(reservation, 120))
        await asyncio.sleep(0)
        putting_down.cancel()
        await budgets.flush()
        assert [world.spent(scope) for scope in ALL] == [(120, 120)] * 3

    run(walk())


def test_a_call_that_could_cost_more_than_a_budget_in_all_is_refused_though_the_budget_parks() -> None:
    """It would be parked day after day."""
    with pytest.raises(BudgetExceededError) as refused:
        run(World().budgets().reserve("r1", (DAY,), 1001, 30))
    assert refused.value.code == "budget_too_small"
    assert refused.value.message == (
        "a call that may cost $0.001001 is more than the budget of the tenant's day 2026-11-21 ($0.001) allows in all"
    )


def test_a_reservation_whose_answer_was_lost_is_given_back_with_the_others() -> None:
    world = World()

    async def walk() -> None:
        budgets = world.budgets()
        world.store.loses = 3
        reservation = await budgets.reserve("r1", (DAY,), 400, 30)
        assert world.spent(DAY) == (0, 400)
        await budgets.release(reservation)
        world.clock.advance(2)
        await budgets.flush()
        assert world.spent(DAY) == (0, 0)

    run(walk())


def test_another_process_may_settle() -> None:
    world = World()

    async def walk() -> None:
        reservation = await world.budgets().reserve("r1", ALL, 300, 30)
        await world.budgets().commit(reservation, 10)
        assert [world.spent(scope) for scope in ALL] == [(10, 10)] * 3

    run(walk())


def test_a_store_that_is_down_lets_a_small_part_through_and_is_told_of_it_later(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World()

    async def walk() -> None:
        budgets = world.budgets()
        world.store.down = True
        made = [await budgets.reserve(f"r{number}", (DAY,), 10, 30) for number in range(5)]
        with pytest.raises(BudgetParkedError) as refused:
            await budgets.reserve("r5", (DAY,), 10, 30)
        assert refused.value.code == "budget_unavailable"
        for reservation in made:
            await budgets.commit(reservation, 8)
        world.store.down = False
        world.clock.advance(2)
        await budgets.release(await budgets.reserve("r6", (DAY,), 10, 30))
        assert world.spent(DAY) == (40, 40)
        settled_late = await budgets.reserve("r7", (DAY,), 10, 30)
        world.store.down = True
        await budgets.commit(settled_late, 5)
        world.store.down = False
        world.clock.advance(2)
        await budgets.release(await budgets.reserve("r8", (DAY,), 10, 30))
        assert world.spent(DAY) == (45, 45)

    with caplog.at_level(logging.INFO, logger="flotilla.budgets"):
        run(walk())
    assert [record.message for record in caplog.records] == ["protection unavailable", "protection available again"] * 2
