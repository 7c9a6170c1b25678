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
        self.loses = False

    async def change(self, scope: str, change: Change, expires_at: int) -> Changed:
        if self.down:
            self.writes += 1
            raise StoreUnavailableError("down", code="budgets_unavailable")
        answer = await super().change(scope, change, expires_at)
        if self.loses:
            self.loses = False
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
        with pytest.raises(BudgetExceededError):
            await budgets.reserve("r3", (CHILD,), 501, 600)

    run(walk())


def test_a_reservation_whose_answer_was_lost_is_not_made_twice() -> None:
    world = World()

    async def walk() -> None:
        world.store.loses = True
        first = await world.budgets().reserve("r1", (CHILD,), 300, 30)
        assert first.blind == {"task#child"}
        budgets = world.budgets()
        again = await budgets.reserve("r1", (CHILD,), 300, 30)
        assert world.spent(CHILD) == (0, 300)
        world.store.loses = True
        await budgets.commit(again, 250)
        world.clock.advance(2)
        await budgets.commit(again, 250)
        assert world.spent(CHILD) == (250, 250)

    run(walk())


def test_what_a_crashed_process_reserved_lapses_and_counts_all_the_same_if_it_comes_back() -> None:
    world = World()

    async def walk() -> None:
        gone = world.budgets()
        reservation = await gone.reserve("r1", (CHILD,), 500, 30)
        world.clock.advance(29)
        with pytest.raises(BudgetParkedError):
            await world.budgets().reserve("r2", (CHILD,), 400, 30)
        world.clock.advance(1.2)
        await world.budgets().reserve("r2", (CHILD,), 400, 30)
        assert world.spent(CHILD) == (0, 400)
        await gone.commit(reservation, 50)
        assert world.spent(CHILD) == (50, 450)

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
