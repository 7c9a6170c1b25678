"""Processes that race for one budget on the engine's table, one of which is killed in the midst of it."""

from __future__ import annotations

from pathlib import Path

from benchmarks.budgets.family import Load
from benchmarks.budgets.processes import Table, race
from tests.synthesis import ACCOUNT, REGION


def test_processes_that_crash_and_are_killed_never_spend_more_than_the_cap_together(
    bare_engine_url: str, tmp_path: Path
) -> None:
    table = Table(bare_engine_url, "budget-race", REGION, ACCOUNT)
    table.make()
    load = Load(tasks=40, generations=1, calls=2, cap=30_000, call_seconds=0.02)
    found = race(table, load, processes=4, directory=tmp_path)
    assert found.killed == 1
    assert found.spent <= load.cap + max(0, found.most_beyond), "no more than one call's difference"
    assert found.spent <= found.account.used, "the budget knows of all that was spent"
    assert found.spent > load.cap // 2
