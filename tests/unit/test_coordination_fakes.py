"""The fakes of the coordination stores keep the contracts of what they stand for."""

from __future__ import annotations

import pytest

from flotilla.ports import Flights, Pauses, SessionTurns
from tests.contracts.flights import FlightsContract
from tests.contracts.pauses import PausesContract
from tests.contracts.session_turns import SessionTurnsContract
from tests.fakes.flights import MemoryFlights
from tests.fakes.pauses import MemoryPauses
from tests.fakes.session_turns import MemorySessionTurns


class TestMemoryPauses(PausesContract):
    @pytest.fixture
    def pauses(self) -> Pauses:
        return MemoryPauses()


class TestMemoryFlights(FlightsContract):
    @pytest.fixture
    def flights(self) -> Flights:
        return MemoryFlights()


class TestMemorySessionTurns(SessionTurnsContract):
    @pytest.fixture
    def turns(self) -> SessionTurns:
        return MemorySessionTurns()
