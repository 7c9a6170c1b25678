"""`BudgetStore` in memory."""

from __future__ import annotations

import asyncio

from flotilla.budget_ports import Changed
from flotilla.primitives.budget import Account, Change, after, done


class MemoryBudgets:
    """`BudgetStore` in a dictionary."""

    def __init__(self) -> None:
        self.accounts: dict[str, Account] = {}
        self.writes = 0

    async def change(self, scope: str, change: Change, expires_at: int) -> Changed:
        self.writes += 1
        await asyncio.sleep(0)
        before = self.accounts.get(scope, Account())
        if not done(change, before):
            return Changed(done=False, before=before)
        self.accounts[scope] = after(change, before)
        return Changed(done=True, before=before)
