"""What budgets need from the world, as `ports` says it for the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from flotilla.primitives.budget import Account, Change


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
