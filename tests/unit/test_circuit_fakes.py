"""The fake of the circuits' store keeps the contract of what it stands for."""

from __future__ import annotations

import pytest

from flotilla.circuit_ports import CircuitStore
from tests.contracts.circuit_store import CircuitStoreContract
from tests.fakes.circuits import MemoryCircuits


class TestMemoryCircuits(CircuitStoreContract):
    @pytest.fixture
    def store(self) -> CircuitStore:
        return MemoryCircuits()
