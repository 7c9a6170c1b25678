"""A family of tasks that spends under one cap, and a ledger of what its calls really cost.

    root (cap) ── task 0 (cap) ── child (cap) ── child of it
               ├─ task 1 …

Each attempt is a process of its own: what it knows of the budgets dies with it, between reserving and calling, or
between calling and settling. Stores lose answers, before or after they did what was asked. A call is in the ledger the
moment it is made, whatever becomes of who made it: the ledger is what a provider would charge.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from flotilla.budget_declaration import DeclaredBudgets, TenantDay
from flotilla.budget_ports import BudgetStore, Changed, Spending
from flotilla.clock import Clock
from flotilla.errors import BudgetExceededError, BudgetParkedError, StoreUnavailableError
from flotilla.models import Payload, TaskBudgets, TaskMessage
from flotilla.primitives.budget import Change, Level
from flotilla.services.attempt_budgets import BudgetDesk, SpendingOfAttempt
from flotilla.services.budgets import Budgets

ROOT = "tsk_root"
TENANT = "acme"

_MESSAGE = TaskMessage(
    task_id=ROOT,
    tenant=TENANT,
    agent="spender",
    agent_version="1",
    lane="standard",
    session=None,
    seq=0,
    hash="0" * 64,
    attempt=0,
    max_attempts=100,
    accepted_at_ms=0,
    deadline_ms=None,
    input=Payload(),
)


@dataclass(frozen=True, slots=True)
class Load:
    """What the family does. Money in millionths of a dollar, shares from 0 to 1.

    Attributes:
        tasks: Below the root, all at once; each with `generations` below it, one under the other.
        calls: Of each task.
        cap: Of the root; each task below has a tenth of it, more than it needs.
        amount: Of a call, reserved at most.
        crashes: Share of calls whose process dies over them, half of these before they are made.
        lost: Share of the store's answers that are lost, half of these before anything was done.
        beyond: Share of calls that cost more than was reserved for them, by up to `most_beyond` of it.
        call_seconds: A call takes up to this.
        patience: How often a call that is parked comes back.
        day: The cap is the tenant's day's as well, and parks.
    """

    tasks: int = 200
    generations: int = 2
    calls: int = 3
    cap: int = 300_000
    amount: int = 1000
    crashes: float = 0.02
    lost: float = 0.02
    beyond: float = 0.02
    most_beyond: float = 0.1
    call_seconds: float = 2.0
    patience: int = 4
    day: bool = True


@dataclass(slots=True)
class Ledger:
    """What calls cost, as their provider knows it.

    Attributes:
        note: Told of each call when it is made: what was reserved, and what it costs.
    """

    note: Callable[[int, int], None] = lambda _amount, _cost: None
    spent: int = 0
    calls: int = 0
    most_beyond: int = 0
    most: int = 0
    crashes: int = 0
    frugal: int = 0
    refused: int = 0

    def made(self, amount: int, cost: int) -> None:
        """A call is made."""
        self.note(amount, cost)
        self.spent += cost
        self.calls += 1
        self.most = max(self.most, cost)
        self.most_beyond = max(self.most_beyond, cost - amount)


class _CrashedError(Exception):
    """The process of an attempt is gone."""


@dataclass
class Lossy:
    """A store that loses answers."""

    store: BudgetStore
    random: random.Random
    share: float
    losses: list[str] = field(default_factory=list)

    async def change(self, scope: str, change: Change, expires_at: int) -> Changed:
        """See `BudgetStore.change`."""
        draw = self.random.random()
        if draw < self.share / 2:
            self.losses.append("before")
            raise StoreUnavailableError("lost", code="budgets_unavailable")
        answer = await self.store.change(scope, change, expires_at)
        if draw < self.share:
            self.losses.append("after")
            raise StoreUnavailableError("lost", code="budgets_unavailable")
        return answer


@dataclass
class Family:
    """The family, or the part of it that one machine runs.

    Attributes:
        store: The budgets, seen from here.
        clock: The machine's.
        desk: Of all its tasks, where they share a process; without one each attempt has its own.
    """

    load: Load
    store: BudgetStore
    clock: Clock
    random: random.Random
    ledger: Ledger
    desk: BudgetDesk | None = None

    async def run(self, first: int = 0, count: int | None = None) -> None:
        """Run tasks `first` to `first + count - 1`, with all below them, at once."""
        numbers = range(first, first + (self.load.tasks if count is None else count))
        await asyncio.gather(*(self._line(number) for number in numbers))

    async def _line(self, number: int) -> None:
        """A task, and at the same time its child, and that one's."""
        budgets: TaskBudgets = ((ROOT, self.load.cap),)
        running = []
        for generation in range(self.load.generations + 1):
            task_id = f"tsk_{number}.{generation}"
            budgets = ((task_id, self.load.cap // 10), *budgets)
            running.append(self._task(replace(_MESSAGE, task_id=task_id, budgets=budgets)))
        await asyncio.gather(*running)

    async def _task(self, message: TaskMessage) -> None:
        calls, attempt = 0, 0
        while calls < self.load.calls:
            attempt += 1
            desk = self.desk or desk_over(self.store, self.load, self.clock, self.random)
            spending = SpendingOfAttempt(lambda desk=desk: desk, message, attempt)  # type: ignore[misc]
            try:
                while calls < self.load.calls:
                    if not await self._call(spending, f"call {calls}"):
                        return
                    calls += 1
            except _CrashedError:
                self.ledger.crashes += 1
                calls += 1  # it is not made again: what it cost is paid for all the same
            else:
                await desk.flush()

    async def _call(self, spending: Spending, name: str) -> bool:
        """One call; False where the budget allows no more."""
        load, chance = self.load, self.random
        amount = chance.randint(load.amount // 2, load.amount)
        for _ in range(load.patience):
            try:
                reservation = await spending.reserve(name, amount, load.call_seconds * 2)
                break
            except BudgetExceededError:
                self.ledger.refused += 1
                return False
            except BudgetParkedError as parked:
                await self.clock.sleep(min(parked.retry_after_seconds, load.call_seconds * 5))
        else:
            self.ledger.refused += 1
            return False
        self.ledger.frugal += reservation.level is Level.FRUGAL
        fate = chance.random()
        if fate < load.crashes / 2:
            raise _CrashedError
        cost = chance.randint(amount // 3, amount)
        if chance.random() < load.beyond:
            cost = amount + chance.randint(1, int(load.amount * load.most_beyond))
        self.ledger.made(amount, cost)
        await self.clock.sleep(chance.random() * load.call_seconds)
        if fate < load.crashes:
            raise _CrashedError
        await spending.commit(reservation, cost)
        return True


def desk_over(
    store: BudgetStore, load: Load, clock: Clock, chance: random.Random, *, patience_seconds: float = 1.0
) -> BudgetDesk:
    """A process's budgets."""
    budgets = Budgets(store, clock, chance, patience_seconds=patience_seconds)
    return BudgetDesk(budgets, DeclaredBudgets(TenantDay(load.cap if load.day else None, parks=True)), clock)
