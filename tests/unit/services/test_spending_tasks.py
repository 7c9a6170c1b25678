"""Tasks that call models: what they used is told by their logs, and what they may not spend they do not."""

from __future__ import annotations

import random
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, TypeVar

from flotilla.budget_declaration import DeclaredBudgets, TenantDay
from flotilla.events import Kind, TaskState
from flotilla.models import Status
from flotilla.primitives.budget import Account
from flotilla.services.attempt_budgets import BudgetDesk
from flotilla.services.budgets import Budgets
from tests.fakes.budgets import MemoryBudgets
from tests.fakes.virtual_time import VirtualClock, run_virtually
from tests.unit.services import spending_agents
from tests.unit.services.fleet import Fleet
from tests.unit.services.model_callers import LARGE, World

T = TypeVar("T")

UNBOUNDED = TenantDay()

COST = 2000
"""Of a call, in millionths of a dollar."""


async def _here(function: Callable[..., T], *args: Any) -> T:
    return function(*args)


class Spenders:
    """A fleet whose agents call models, with budgets, on virtual time."""

    def __init__(self, day: TenantDay = UNBOUNDED) -> None:
        self.clock = VirtualClock()
        self.world = World()
        self.store = MemoryBudgets()
        self.fleet = Fleet(spending_agents.ALL, clock=self.clock)  # type: ignore[arg-type]  # it need not be advanced
        models = self.world.process()
        budgets = Budgets(self.store, self.clock, random.Random(1))
        desk = BudgetDesk(budgets, DeclaredBudgets(day), self.clock)
        self.tools = replace(self.fleet.process(), models=lambda: models, budgets=lambda: desk, run_agent=_here)

    async def run(self, wish: dict[str, Any], **options: Any) -> str:
        """Submit a task, and hand out whatever there is until nothing is new."""
        task_id = (await self.fleet.submit("spending.plain", wish, **options)).state.task_id
        done: set[str] = set()
        while new := set(self.fleet.lanes.sent) - done:
            for name in sorted(new):
                message = self.fleet.lanes.sent[name]
                for receipt in range(1, 4):
                    result = await self.fleet.deliver(self.fleet.delivery(message.task_id, receipt), process=self.tools)
                    if result.done:
                        break
                    await self.clock.sleep(1)
            done |= new
        return task_id

    async def states(self) -> list[TaskState]:
        return [await self.fleet.state(task_id) for task_id in self.fleet.log.logs]

    def spent(self) -> dict[str, int]:
        return {name: account.spent for name, account in self.store.accounts.items()}


def play(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    run_virtually(work())


def test_what_every_attempt_used_of_models_is_the_tasks() -> None:
    async def work() -> None:
        spenders = Spenders()
        task = await spenders.run({"calls": 2, "fail_attempts": 1})
        state = await spenders.fleet.state(task)
        assert (state.status, state.attempt) == (Status.SUCCEEDED, 2)
        assert state.usage["model_calls"] == 4
        assert state.usage["cost_usd"] == 4 * COST / 1_000_000
        assert spenders.store.writes == 0, "nothing bounds it"

    play(work)


def test_a_task_and_its_children_spend_no_more_than_it_may() -> None:
    async def work() -> None:
        spenders = Spenders()
        task = await spenders.run({"calls": 1, "children": 4}, budget_micros=4 * 7000)
        assert spenders.spent()[f"task#{task}"] <= 4 * 7000
        states = await spenders.states()
        assert len(states) == 5
        over = [state for state in states if state.status is Status.DEAD_LETTERED]
        for state in over:
            assert state.error is not None
            assert state.error.code == "budget_exceeded"
            assert state.error.message == f"the budget of task {task} ($0.028) is spent"
        assert sum(state.usage.get("model_calls", 0) for state in states) * COST == spenders.spent()[f"task#{task}"]

    play(work)


def test_a_task_whose_call_could_cost_more_than_it_may_at_all_says_so() -> None:
    async def work() -> None:
        spenders = Spenders()
        state = await spenders.fleet.state(await spenders.run({}, budget_micros=10))
        assert state.error is not None
        assert (state.status, state.error.code) == (Status.DEAD_LETTERED, "budget_too_small")
        assert spenders.world.models.asked == []

    play(work)


def test_a_task_is_parked_for_its_tenants_day_and_no_attempt_is_used_up() -> None:
    async def work() -> None:
        spenders = Spenders(TenantDay(7000, parks=True))
        spenders.store.accounts["tenant-day#acme#2023-11-14"] = Account(spent=7000, used=7000)
        task = await spenders.run({"calls": 3})
        state = await spenders.fleet.state(task)
        assert (state.status, state.attempts_charged) == (Status.PARKED, 0)
        parked = [event for event in spenders.fleet.log.logs[task].values() if event.kind is Kind.PARKED]
        assert parked[-1].body["reason"] == "budget_spent"
        assert list(spenders.fleet.delays.tiers) == [900], "down the ladder"

    play(work)


def test_a_call_that_was_given_up_is_paid_in_full_for_its_provider_may_charge_it() -> None:
    async def work() -> None:
        spenders = Spenders()
        spenders.world.models.seconds[LARGE] = 10_000
        task = await spenders.run({}, budget_micros=1_000_000)
        state = await spenders.fleet.state(task)
        used = round(state.usage["cost_usd"] * 1_000_000)
        assert state.usage["failovers"][0]["served"] == "medium"
        assert spenders.spent()[f"task#{task}"] > used + COST

    play(work)
