"""The fakes of what usage is told from keep the contracts of what they stand for."""

from __future__ import annotations

import pytest

from flotilla.usage_ports import UsageHours
from tests.contracts.usage_hours import UsageHoursContract
from tests.fakes.usage import MemoryUsageHours


class TestMemoryUsageHours(UsageHoursContract):
    @pytest.fixture
    def hours(self) -> UsageHours:
        return MemoryUsageHours()
