"""What an attempt's calls count against: nothing where nothing is bounded, and everything above it where it is."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

import pytest

from flotilla.budget_declaration import DeclaredBudgets, TenantDay
from flotilla.budget_ports import Reservation
from flotilla.errors import BudgetExceededError, BudgetParkedError
from flotilla.events import fold
from flotilla.models import TaskBudgets, TaskMessage
from flotilla.primitives.budget import Level
from flotilla.services.attempt_budgets import BudgetDesk, SpendingOfAttempt
from flotilla.services.budgets import Budgets
from flotilla.services.dispatch import message_for
from stacks.budget_settings import declared
from stacks.config import parse
from tests.fakes import ManualClock
from tests.fakes.budgets import MemoryBudgets
from tests.logs import log_of

TODAY = "2023-11-14"
NONE = DeclaredBudgets()
ACME = DeclaredBudgets(tenants={"acme": TenantDay(1000, parks=False)})


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


def message(*budgets: tuple[str, int], tenant: str = "acme") -> TaskMessage:
    return replace(message_for(fold(log_of())), tenant=tenant, budgets=budgets)


class World:
    """One process's desk."""

    def __init__(self, budgets: DeclaredBudgets) -> None:
        self.clock = ManualClock()
        self.store = MemoryBudgets()
        self.desk = BudgetDesk(Budgets(self.store, self.clock, random.Random(1)), budgets, self.clock)

    def attempt(self, of: TaskMessage, attempt: int = 1) -> SpendingOfAttempt:
        return SpendingOfAttempt(lambda: self.desk, of, attempt)

    def spent(self) -> dict[str, int]:
        return {name: account.spent for name, account in self.store.accounts.items()}


async def spend(spending: SpendingOfAttempt, call: str, amount: int, cost: int) -> Reservation:
    reservation = await spending.reserve(call, amount, 30)
    await spending.commit(reservation, cost)
    return reservation


@pytest.mark.parametrize(("budgets", "tenant"), [(NONE, "acme"), (ACME, "umbrella")])
def test_what_nothing_bounds_costs_no_write(budgets: DeclaredBudgets, tenant: str) -> None:
    world = World(budgets)
    reservation = run(spend(world.attempt(message(tenant=tenant)), "c1", 10**9, 5))
    run(world.attempt(message(tenant=tenant)).release(reservation))
    assert (reservation.level, reservation.scopes, world.store.writes) == (Level.OK, (), 0)


def test_a_call_counts_against_its_task_those_above_it_and_its_tenants_day() -> None:
    world = World(ACME)
    above: TaskBudgets = (("tsk_child", 300), ("tsk_parent", 500))
    run(spend(world.attempt(message(*above)), "c1", 100, 40))
    expected = {"task#tsk_child": 40, "task#tsk_parent": 40, f"tenant-day#acme#{TODAY}": 40}
    assert world.spent() == expected
    with pytest.raises(BudgetExceededError) as refused:
        run(spend(world.attempt(message(*above)), "c2", 280, 0))
    assert refused.value.message == "the budget of task tsk_child ($0.0003) is spent"
    assert world.spent() == expected


def test_attempts_and_tasks_pay_for_calls_of_the_same_name_each_by_itself() -> None:
    world = World(ACME)
    for task, attempt in (("tsk_1", 1), ("tsk_1", 2), ("tsk_2", 1)):
        of = replace(message(), task_id=task)
        run(spend(world.attempt(of, attempt), "c1", 100, 10))
    assert world.spent() == {f"tenant-day#acme#{TODAY}": 30}


def test_the_next_day_begins_at_midnight_utc() -> None:
    world = World(DeclaredBudgets(everybody=TenantDay(100, parks=True)))
    spending = world.attempt(message())
    run(spend(spending, "c1", 100, 100))
    with pytest.raises(BudgetParkedError) as parked:
        run(spend(spending, "c2", 1, 1))
    assert parked.value.retry_after_seconds >= 3600
    left_seconds = 86_400 - world.clock.now_ms() / 1000 % 86_400
    world.clock.advance(left_seconds - 10)
    with pytest.raises(BudgetParkedError) as parked:
        run(spend(spending, "c3", 1, 1))
    assert 9 <= parked.value.retry_after_seconds <= 16
    world.clock.advance(10)
    run(spend(spending, "c4", 1, 1))
    assert world.spent() == {f"tenant-day#acme#{TODAY}": 100, "tenant-day#acme#2023-11-15": 1}


@pytest.mark.parametrize(
    ("text", "tenant", "expected"),
    [
        ("", "acme", TenantDay(None, parks=True)),
        ("tenant_day_usd = 0.5", "acme", TenantDay(500_000, parks=True)),
        ("tenant_day_usd = 5\non_spent = 'refuse'", "acme", TenantDay(5_000_000, parks=False)),
        ("tenant_day_usd = 5\n[budgets.tenants.acme]\non_spent = 'refuse'", "acme", TenantDay(5_000_000, parks=False)),
        ("[budgets.tenants.acme]\ntenant_day_usd = 1", "acme", TenantDay(1_000_000, parks=True)),
        ("[budgets.tenants.acme]\ntenant_day_usd = 1", "other", TenantDay(None, parks=True)),
        ("tenant_day_usd = 5\n[budgets.tenants.'a b']\nunlimited = true", "a b", TenantDay(None, parks=True)),
    ],
)
def test_what_fleet_toml_says_is_what_workers_read(text: str, tenant: str, expected: TenantDay) -> None:
    shipped = json.dumps(declared(parse(f"[budgets]\n{text}").budgets))
    assert DeclaredBudgets.from_json(shipped).of(tenant) == expected


def test_a_layer_that_was_built_without_budgets_has_none() -> None:
    assert DeclaredBudgets.deployed() == NONE
