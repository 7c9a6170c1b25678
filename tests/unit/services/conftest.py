"""A fleet in memory for every test."""

from __future__ import annotations

import pytest

from tests.unit.services import sample_agents
from tests.unit.services.fleet import Fleet


@pytest.fixture
def fleet() -> Fleet:
    sample_agents.HISTORY.clear()
    sample_agents.BETWEEN_STEPS.clear()
    sample_agents.RELEASE.clear()
    return Fleet(sample_agents.ALL)
