"""200 tasks with children under one cap: what their calls really cost never exceeds it by more than one call."""

from __future__ import annotations

import pytest

from benchmarks.budgets.family import Load
from benchmarks.budgets.simulated import simulate


@pytest.mark.parametrize("seed", [1, 2])
def test_a_cap_holds_whatever_crashes_is_lost_or_costs_more_than_was_reserved(seed: int) -> None:
    load = Load()
    outcome = simulate(load, seed)
    ledger = outcome.ledger
    assert ledger.crashes > 0
    assert outcome.lost > 100
    assert ledger.most_beyond > 0
    assert ledger.spent <= load.cap + ledger.most_beyond, "no more than one call's difference"
    assert ledger.spent <= outcome.account.used, "the budget knows of all that was spent, and of more"
    assert ledger.spent > 0.9 * load.cap, "and all but what the dead may have spent can be used"


def test_a_cap_is_used_up_to_the_last_call_where_nothing_goes_wrong() -> None:
    load = Load(tasks=60, cap=60_000, crashes=0, lost=0, beyond=0)
    outcome = simulate(load, 1)
    assert outcome.account.used == outcome.account.spent == outcome.ledger.spent
    assert load.cap - load.amount <= outcome.ledger.spent <= load.cap
    assert outcome.ledger.frugal > 0
    assert outcome.ledger.refused > 0
