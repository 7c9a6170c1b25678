"""The family on virtual time, over a store in memory whose answers take their time and overtake each other."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass

from benchmarks.budgets.family import ROOT, Family, Ledger, Load, Lossy
from flotilla.budget_ports import Changed
from flotilla.primitives.budget import Account, Change
from tests.fakes.budgets import MemoryBudgets
from tests.fakes.virtual_time import VirtualClock, run_virtually

_LONGEST_WAY_SECONDS = 0.02


class _Distant(MemoryBudgets):
    """Each call takes its time to get there, and its answer back."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__()
        self._random = chance

    async def change(self, scope: str, change: Change, expires_at: int) -> Changed:
        await asyncio.sleep(self._random.random() * _LONGEST_WAY_SECONDS)
        answer = await super().change(scope, change, expires_at)
        await asyncio.sleep(self._random.random() * _LONGEST_WAY_SECONDS)
        return answer


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to.

    Attributes:
        account: The root's budget in the end.
        lost: Answers.
    """

    ledger: Ledger
    account: Account
    lost: int
    writes: int


def simulate(load: Load, seed: int) -> Outcome:
    """Run the family once."""
    chance = random.Random(seed)
    store, ledger = _Distant(chance), Ledger()
    lossy = Lossy(store, chance, load.lost)
    run_virtually(Family(load, lossy, VirtualClock(), chance, ledger).run())
    return Outcome(ledger, store.accounts[f"task#{ROOT}"], len(lossy.losses), store.writes)
