"""The budgets that one attempt's calls count against: its task, the tasks above it, and its tenant's day.

Each of them only where it has a bound: a call that nothing bounds costs no write, and one that something does costs two
for each bound. What is spent without a bound is found in the tasks' `usage`; counting it here too would cost every call
of every fleet a write for a number that can be had from the logs.

The bounds of the tasks came with the message, and so with event 0 of the task's log: a child's event holds those of all
tasks above it, so that none is looked up, and no child escapes.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from flotilla.budget_ports import Reservation, Scope
from flotilla.clock import Clock, rfc3339
from flotilla.models import TaskMessage
from flotilla.primitives.budget import Hold, Level

if TYPE_CHECKING:
    from flotilla.budget_declaration import DeclaredBudgets
    from flotilla.services.budgets import Budgets

_DAY_MS = 86_400_000
_TASK_KEPT_SECONDS = 400 * 86_400
"""A task may be put off for a year, and be redriven after that."""


class BudgetDesk:
    """The budgets of one process.

    Args:
        budgets: Keeps to them.
        declared: Those of the tenants.
        clock: Says what day it is.
    """

    def __init__(self, budgets: Budgets, declared: DeclaredBudgets, clock: Clock) -> None:
        self.budgets = budgets
        self._declared = declared
        self._clock = clock

    def scopes(self, message: TaskMessage) -> tuple[Scope, ...]:
        """What a call of the task's counts against now, the narrowest first; empty where nothing is bounded."""
        tasks = (
            Scope(f"task#{task_id}", micros, kept_seconds=_TASK_KEPT_SECONDS) for task_id, micros in message.budgets
        )
        day = self._declared.of(message.tenant)
        if day.cap_micros is None:
            return tuple(tasks)
        now_ms = self._clock.now_ms()
        name = f"tenant-day#{message.tenant}#{rfc3339(now_ms)[:10]}"
        return *tasks, Scope(name, day.cap_micros, parks=day.parks, ends_at_ms=(now_ms // _DAY_MS + 1) * _DAY_MS)

    def free(self, call_id: str, amount_micros: int, lease_seconds: float) -> Reservation:
        """What a call has that nothing bounds."""
        return Reservation(call_id, Hold(amount_micros, self._clock.now_ms() + int(lease_seconds * 1000)), Level.OK, ())

    async def flush(self) -> None:
        """See `Budgets.flush`."""
        await self.budgets.flush()


class SpendingOfAttempt:
    """`Spending` of one attempt.

    Args:
        desk: Makes (or returns) the process's desk; asked with the first call.
        message: The task's message.
        attempt: Number of the attempt: its calls are its own, and each attempt's are paid for.
    """

    def __init__(self, desk: Callable[[], BudgetDesk], message: TaskMessage, attempt: int) -> None:
        self._desk = desk
        self._message = message
        self._attempt = attempt

    async def reserve(self, call_id: str, amount_micros: int, lease_seconds: float) -> Reservation:
        """See `Spending.reserve`."""
        desk = self._desk()
        scopes = desk.scopes(self._message)
        reservation_id = _reservation_id(f"{self._message.task_id}/{self._attempt}/{call_id}")
        if not scopes:
            return desk.free(reservation_id, amount_micros, lease_seconds)
        return await desk.budgets.reserve(reservation_id, scopes, amount_micros, lease_seconds)

    async def commit(self, reservation: Reservation, cost_micros: int) -> None:
        """See `Spending.commit`."""
        if reservation.scopes:
            await self._desk().budgets.commit(reservation, cost_micros)

    async def release(self, reservation: Reservation) -> None:
        """See `Spending.release`."""
        if reservation.scopes:
            await self._desk().budgets.release(reservation)


def _reservation_id(name: str) -> str:
    """Short, for a budget holds those of all calls under way, and each write of it is paid for by its size."""
    return base64.urlsafe_b64encode(hashlib.sha256(name.encode()).digest()[:9]).decode()
