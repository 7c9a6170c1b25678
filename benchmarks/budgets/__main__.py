"""Is a cap kept? 200 tasks with children spend under one, while processes crash and answers are lost.

Simulated runs on virtual time, a seed each, and then processes that race on the table of an embedded engine, one of
which is killed. Compared is what the calls really cost, those of the dead included, with the cap.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
from pathlib import Path

from benchmarks.budgets.family import Load
from benchmarks.budgets.processes import Table, race
from benchmarks.budgets.simulated import simulate
from benchmarks.report import publish, table
from local.engine_process import engine_url, start_engine, stop_engine
from local.instance import Instance
from local.progress import Progress

_SIMULATED = {
    "all is well": Load(crashes=0, lost=0, beyond=0),
    "crashes, lost answers": Load(beyond=0),
    "and one call in 50 costs more than was reserved": Load(),
    "every call does": Load(crashes=0, beyond=1),
}
_NO_BOUND = "every call does"
"""Reservations that are no upper bounds: all calls under way at the end go beyond them, not one."""

_RACED = Load(call_seconds=0.05)
_PROCESSES = 8
_REGION, _ACCOUNT = "us-east-1", "000000000000"


def _usd(micros: int) -> str:
    return f"{micros / 1_000_000:.6f}"


def _row(name: str, load: Load, found: list[tuple[int, int, int, int, int]]) -> list[str]:
    """Of runs: what was spent, used of the budget, calls, the most beyond a reservation, the dearest call."""
    spent = max(each[0] for each in found)
    return [
        name,
        str(len(found)),
        _usd(load.cap),
        _usd(min(each[0] for each in found)),
        _usd(spent),
        _usd(max(0, spent - load.cap)),
        _usd(max(0, *(each[3] for each in found))),
        _usd(max(each[4] for each in found)),
        f"{sum(each[1] for each in found) / len(found) / load.cap:.1%}",
        str(sum(each[2] for each in found) // len(found)),
    ]


def _raced(progress: Progress) -> tuple[int, int, int, int, int]:
    with tempfile.TemporaryDirectory(prefix="flotilla-budgets-") as directory:
        instance = Instance(root=Path(directory) / "engine", port=0, owner_pid=os.getpid())
        instance.make_directories()
        try:
            with progress.step("engine") as step:
                place = Table(engine_url(start_engine(instance, step)), "budgets", _REGION, _ACCOUNT)
            place.make()
            with progress.step(f"{_PROCESSES} processes"):
                found = race(place, _RACED, processes=_PROCESSES, directory=Path(directory))
        finally:
            stop_engine(instance)
    return found.spent, found.account.used, found.calls, found.most_beyond, found.most


def main() -> int:
    """Measure, print and keep the result; exit status 1 where a cap was exceeded by more than one call."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.budgets", description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)  # answers are lost on purpose
    progress = Progress()
    rows, over_by_more = [], False
    for name, load in _SIMULATED.items():
        found = []
        with progress.step(f"simulated: {name}"):
            for seed in range(options.seeds):
                outcome = simulate(load, seed)
                ledger = outcome.ledger
                found.append(
                    (ledger.spent, outcome.account.used, ledger.calls, max(0, ledger.most_beyond), ledger.most)
                )
        rows.append(_row(name, load, found))
        if name != _NO_BOUND:
            over_by_more |= max(each[0] for each in found) > load.cap + max(each[4] for each in found)
    raced = _raced(progress)
    rows.append(_row(f"{_PROCESSES} processes on the engine, one killed", _RACED, [raced]))
    over_by_more |= raced[0] > _RACED.cap + raced[4]
    heading = [
        "runs",
        "number",
        "cap, $",
        "really spent, least",
        "most",
        "over the cap",
        "one call beyond its reservation",
        "dearest call",
        "of the cap used or held",
        "calls",
    ]
    load = _RACED
    note = (
        f"{load.tasks} tasks at once, each with {load.generations} below it that spend at the same time, "
        f"{load.calls} calls each, of up to {_usd(load.amount)} $; all under the root's cap and their tenant's day's. "
        f"Where something goes wrong: {load.crashes:.0%} of the calls die with their process, half of these after they "
        f"were made; {load.lost:.0%} of the store's answers are lost. Spent is what the calls cost by the ledger of "
        "who serves them, those of the dead included. What the dead had reserved stays held, so that less is spent. "
        "Where every call costs up to a tenth of the largest reservation more than was reserved for it, a cap is "
        "exceeded by what all calls under way at the end cost beyond theirs: reservations must be upper bounds."
    )
    publish(__file__, "Is a cap kept?", f"{table(heading, rows)}\n\n{note}")
    return int(over_by_more)


if __name__ == "__main__":
    sys.exit(main())
