"""The lab's limits harness: small fleets keep the bound there, and a limiter that knows no others does not."""

from __future__ import annotations

import pytest

from benchmarks.fault_lab.limits.contest import Contest, run_contest
from benchmarks.fault_lab.limits.contestants import Flotilla, PerProcess
from benchmarks.fault_lab.limits.outage import outlive
from benchmarks.fault_lab.limits.stores import Outage
from flotilla.primitives.token_bucket import Limit

LIMIT = Limit(600, 20)


@pytest.mark.parametrize("leases", [False, True])
@pytest.mark.parametrize("skew_ms", [0, 5000])
def test_a_small_fleet_keeps_the_bound(leases: bool, skew_ms: int) -> None:
    outcome = run_contest(Contest(LIMIT, 5, skew_ms, seconds=20), Flotilla(leases))
    assert outcome.most_over() == 0
    assert len(outcome.admitted) >= 100
    assert outcome.meter.total.writes >= 1
    assert len(outcome.waited) == len(outcome.admitted)


def test_the_same_seed_gives_the_same_contest() -> None:
    first, again = (run_contest(Contest(LIMIT, 3, seconds=10), Flotilla(leases=True)) for _ in range(2))
    assert first.admitted == again.admitted
    assert first.meter.total == again.meter.total


def test_a_limiter_in_each_process_is_over_the_limit_where_each_has_the_whole() -> None:
    whole = run_contest(Contest(LIMIT, 5, seconds=20), PerProcess(shared=False))
    assert whole.most_over() > 100
    assert run_contest(Contest(LIMIT, 5, seconds=20), PerProcess(shared=True)).most_over() == 0


def test_calls_go_on_while_the_store_fails() -> None:
    outage = Outage(throttled_from=10, down_from=12, until=20)
    outlived = outlive(leases=False, contest=Contest(LIMIT, 5, seconds=30), outage=outage)
    assert outlived.a_minute(13, 20) >= 300
    assert outlived.metrics.counted["ProtectionUnavailable"] > 5
