"""Twenty thousand histories, of which none may break a rule, and all together must have met everything."""

from __future__ import annotations

import fcntl
import hashlib
import logging
import pickle
from pathlib import Path

import pytest

from tests.simulation.run import run_seed
from tests.simulation.soak import Found, in_parallel

HISTORIES = 20_000
PARTS = [range(first, first + HISTORIES // 4) for first in range(0, HISTORIES, HISTORIES // 4)]

# In how many of them each thing has to occur at the least: about half of what it was when this was written.
LEAST = {
    "accepted": 9900,
    "answered from a cache": 800,
    "attempt_failed": 1900,
    "call: crash after": 2000,
    "call: crash before": 2000,
    "call: failed": 2100,
    "call: late effect": 2000,
    "call: lost answer": 1900,
    "call: slow": 1900,
    "cancelled": 2800,
    "dead: attempts_exhausted": 1100,
    "dead: permanent": 1500,
    "dead: worker_lost": 870,
    "dead_lettered": 3000,
    "delayed": 2300,
    "expired": 1100,
    "fault: expire": 2400,
    "fault: outage": 170,
    "fault: recycle": 5400,
    "fault: shuffle": 4800,
    "fault: skew": 5800,
    "fault: slow_threads": 1200,
    "fault: twice": 2700,
    "fault: undeleted": 2700,
    "parked": 3400,
    "parked: circuit_open": 680,
    "parked: late_start": 160,
    "parked: paused": 1700,
    "parked: rate_limited": 620,
    "parked: receive_limit": 29,
    "parked: single_flight": 280,
    "parked: store_unavailable": 710,
    "pause": 3200,
    "process died": 7400,
    "reconciler ran": 720,
    "redriven": 600,
    "redriven to success": 450,
    "remembered": 3400,
    "resumed": 1200,
    "run died": 1700,
    "run timed out": 610,
    "session of several": 5000,
    "signalled": 1050,
    "started": 9800,
    "state told": 3000,
    "state told too late": 2000,
    "step_recorded": 6800,
    "submit repeated": 3000,
    "succeeded": 9600,
    "taken over": 1900,
    "waiting": 1850,
}


class Histories:
    """What came of histories, which are run once, whatever the number of processes that run tests."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def of(self, seeds: range) -> Found:
        """What came of these; run on all cores if nobody has yet."""
        kept = self._directory / f"histories-{seeds.start}.pickle"
        with Path(f"{kept}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not kept.exists():
                together = Found()
                for some in in_parallel(seeds.start, len(seeds)):
                    together.add(some)
                kept.write_bytes(pickle.dumps(together))
        found: Found = pickle.loads(kept.read_bytes())  # noqa: S301 - written above
        return found


@pytest.fixture(scope="session")
def histories(tmp_path_factory: pytest.TempPathFactory) -> Histories:
    shared = tmp_path_factory.getbasetemp()
    return Histories(shared.parent if shared.name.startswith("popen-") else shared)


@pytest.mark.parametrize("seeds", PARTS, ids=lambda seeds: f"{seeds.start}-{seeds.stop - 1}")
def test_no_history_breaks_a_rule(seeds: range, histories: Histories) -> None:
    found = histories.of(seeds)
    assert found.histories == len(seeds)
    assert not found.violations, f"{len(found.violations)} histories break a rule\n{found.report()}"


def test_the_histories_are_not_empty(histories: Histories) -> None:
    """Whatever can go wrong did, and whatever a task can go through some did."""
    together = Found()
    for seeds in PARTS:
        together.add(histories.of(seeds))
    short = {what: (together.tally[what], least) for what, least in LEAST.items() if together.tally[what] < least}
    assert not short, f"too few histories with: {short}"


def test_a_history_follows_from_its_seed() -> None:
    def told(seed: int) -> str:
        return hashlib.sha256("\n".join(run_seed(seed, traced=True).trace).encode()).hexdigest()

    logging.disable(logging.CRITICAL)
    try:
        assert [told(seed) for seed in range(20)] == [told(seed) for seed in range(20)]
    finally:
        logging.disable(logging.NOTSET)
