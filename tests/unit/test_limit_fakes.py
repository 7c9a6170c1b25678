"""The fakes of the stores of limits and budgets keep the contracts of what they stand for."""

from __future__ import annotations

import pytest

from flotilla.budget_ports import BudgetStore
from flotilla.limit_ports import BucketStore, LimitSettings, SlotStore
from tests.contracts.buckets import BucketsContract, LimitSettingsContract
from tests.contracts.budgets import BudgetsContract
from tests.contracts.slots import SlotsContract
from tests.fakes.budgets import MemoryBudgets
from tests.fakes.limits import MemoryBuckets, MemoryLimitSettings, MemorySlots


class TestMemoryBuckets(BucketsContract):
    @pytest.fixture
    def buckets(self) -> BucketStore:
        return MemoryBuckets()


class TestMemoryLimitSettings(LimitSettingsContract):
    @pytest.fixture
    def settings(self) -> LimitSettings:
        return MemoryLimitSettings()


class TestMemorySlots(SlotsContract):
    @pytest.fixture
    def slots(self) -> SlotStore:
        return MemorySlots()


class TestMemoryBudgets(BudgetsContract):
    @pytest.fixture
    def budgets(self) -> BudgetStore:
        return MemoryBudgets()
