"""What budgets need from the world, as `ports` says it for the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from flotilla.primitives.budget import Account, Change, Hold, Level


@dataclass(frozen=True, slots=True)
class Scope:
    """A budget that a call counts against.

    Attributes:
        name: `task#<id>` or `tenant-day#<tenant>#<date>`.
        cap: In millionths of a dollar; None to count only.
        parks: What to do once it is spent: wait for its end, or refuse.
        ends_at_ms: When another takes its place, as a day does; None for never.
        kept_seconds: How long it is kept after its last change.
    """

    name: str
    cap: int | None
    parks: bool = False
    ends_at_ms: int | None = None
    kept_seconds: int = 40 * 86_400


@dataclass(frozen=True, slots=True)
class Reservation:
    """What a call may cost.

    Attributes:
        id: Given by the caller; the same for every try of the same call.
        hold: What is reserved, and until when.
        level: `frugal` where the call should take the cheaper way if there is one.
        scopes: The budgets that it counts against.
        blind: Names of those that did not answer.
    """

    id: str
    hold: Hold
    level: Level
    scopes: tuple[Scope, ...]
    blind: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Changed:
    """What came of a change.

    Attributes:
        done: It was done. Else its condition did not hold.
        before: The budget as it was just before.
    """

    done: bool
    before: Account


class BudgetStore(Protocol):
    """The budgets, one for each scope."""

    async def change(self, scope: str, change: Change, expires_at: int) -> Changed:
        """Make the change if its condition holds, in one conditional write.

        Args:
            scope: Of the budget, e.g. `task#tsk_1` or `tenant-day#acme#2026-11-21`.
            change: What to change, and where.
            expires_at: Epoch second from which the budget may be forgotten.

        Raises:
            RetryableError: The store did not answer. The change may have been made; planning it again tells.
        """
        ...


class Spending(Protocol):
    """What one attempt spends, on every budget that its task counts against."""

    async def reserve(self, call_id: str, amount_micros: int, lease_seconds: float) -> Reservation:
        """Reserve what a call costs at most, before it is made. Made again with its id it is the same reservation.

        Args:
            call_id: Of the call; another one for every call, also for every repetition that may be charged by itself.
            amount_micros: In millionths of a dollar.
            lease_seconds: The longest that the call takes. What is never settled counts as spent.

        Returns:
            To be committed or released. Its `level` is `FRUGAL` where the cheaper way is to be preferred.

        Raises:
            BudgetExceededError: A budget is spent, and refuses.
            BudgetParkedError: A budget is spent for now, or all that is left of it is reserved.
        """
        ...

    async def commit(self, reservation: Reservation, cost_micros: int) -> None:
        """Put what the call really cost in the place of what was reserved. Done again it changes nothing."""
        ...

    async def release(self, reservation: Reservation) -> None:
        """Nothing was called after all, or it surely cost nothing."""
        ...
