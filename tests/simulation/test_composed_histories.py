"""Histories that Hypothesis composes, so that what breaks a rule is shown at its smallest."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.simulation.faults import FaultPlan
from tests.simulation.planted import FAULTS
from tests.simulation.run import run
from tests.simulation.strategies import plans, workloads
from tests.simulation.workload import Workload

# Derandomized, as the seeds of the other histories are fixed: a change is to blame for what it breaks.
_SETTINGS = settings(
    deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow], print_blob=False
)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@settings(_SETTINGS, max_examples=250)
@given(plan=plans(), workload=workloads(), seed=st.integers(0, 2**32))
def test_no_composed_history_breaks_a_rule(plan: FaultPlan, workload: Workload, seed: int) -> None:
    assert not run(plan, workload, seed).violations


def test_composed_histories_find_a_planted_fault() -> None:
    @settings(_SETTINGS, max_examples=200, phases=[Phase.generate])
    @given(plan=plans(), workload=workloads(), seed=st.integers(0, 2**32))
    def finds(plan: FaultPlan, workload: Workload, seed: int) -> None:
        assert not run(plan, workload, seed, roles=FAULTS["delay-unguarded"].roles).violations

    with pytest.raises(AssertionError):
        finds()
