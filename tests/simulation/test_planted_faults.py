"""Broken systems, each of which the checker must find."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest

from tests.simulation.planted import FAULTS
from tests.simulation.run import run_seed
from tests.simulation.soak import run_some
from tests.simulation.telling import tell


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


WITHIN = 2000
"""Histories. Most are found within fifty; all of them within a tenth of those that are run on the system itself."""


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_found_and_is_to_blame(name: str) -> None:
    fault = FAULTS[name]
    for seed in range(WITHIN):
        rules = {violation.rule for violation in run_seed(seed, roles=fault.roles).violations}
        if rules & fault.found_by:
            assert not run_seed(seed).violations
            return
    pytest.fail(f"{name} ({fault.broken}) was not found within {WITHIN} histories by {sorted(fault.found_by)}")


def test_a_history_that_breaks_a_rule_is_told_with_the_command_that_shows_it_again() -> None:
    found = run_some(0, 3, "early-acknowledgement")
    assert sorted(found.violations) == [0, 1, 2]
    assert "seed 1: [deleted] " in found.report()
    assert "-m tests.simulation --seed 1\n" in found.report()
    told = io.StringIO()
    tell(run_seed(1, traced=True, roles=FAULTS["early-acknowledgement"].roles), told)
    assert "\nBROKEN [deleted] " in told.getvalue()
