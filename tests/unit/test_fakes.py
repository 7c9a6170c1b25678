"""The fakes that the unit tests stand on keep the contracts of what they stand for."""

from __future__ import annotations

import pytest

from flotilla.models import TaskMessage
from flotilla.ports import EventLog, LaneReceipts, Lanes, PayloadStore
from tests.contracts.event_log import EventLogContract
from tests.contracts.lanes import LaneReceiptsContract, LanesContract, MessagesOn
from tests.contracts.payload_store import PayloadStoreContract
from tests.fakes import MemoryEventLog, MemoryLanes, MemoryPayloadStore, MemoryReceipts


class TestMemoryEventLog(EventLogContract):
    @pytest.fixture
    def log(self) -> EventLog:
        return MemoryEventLog()


class TestMemoryPayloadStore(PayloadStoreContract):
    @pytest.fixture
    def store(self) -> PayloadStore:
        return MemoryPayloadStore()


class TestMemoryLanes(LanesContract):
    @pytest.fixture
    def lanes(self) -> Lanes:
        return MemoryLanes()

    @pytest.fixture
    def messages_on(self, lanes: MemoryLanes) -> MessagesOn:
        def take(lane: str) -> list[TaskMessage]:
            return [message for message in lanes.sent.values() if message.lane == lane]

        return take


class TestMemoryReceipts(LaneReceiptsContract):
    @pytest.fixture
    def receipts(self) -> LaneReceipts:
        return MemoryReceipts()
