"""The fakes of the read model, the archive and retention keep the contracts of what they stand for."""

from __future__ import annotations

import pytest

from flotilla.ports import Archive, ReadModel
from flotilla.retention_ports import LogScan, RetentionLedger
from tests.contracts.archive import ArchiveContract
from tests.contracts.read_model import ReadModelContract
from tests.contracts.retention import (
    RETENTION_DAYS,
    ExpiryOf,
    LogRetentionContract,
    LogScanContract,
    RetentionLedgerContract,
)
from tests.fakes import MemoryEventLog
from tests.fakes.archive import MemoryArchive
from tests.fakes.retention import MemoryLogRetention, MemoryLogScan, MemoryRetentionLedger
from tests.fakes.views import MemoryReadModel


class TestMemoryReadModel(ReadModelContract):
    @pytest.fixture(params=[1000, 3], ids=["at once", "bit by bit"])
    def views(self, request: pytest.FixtureRequest) -> ReadModel:
        return MemoryReadModel(looks_at=request.param)


class TestMemoryArchive(ArchiveContract):
    @pytest.fixture
    def archive(self) -> Archive:
        return MemoryArchive()


@pytest.fixture
def log() -> MemoryEventLog:
    return MemoryEventLog()


class TestMemoryLogRetention(LogRetentionContract):
    @pytest.fixture
    def retention(self, log: MemoryEventLog) -> MemoryLogRetention:
        return MemoryLogRetention(log, RETENTION_DAYS)

    @pytest.fixture
    def expiry_of(self, retention: MemoryLogRetention) -> ExpiryOf:
        return retention.expires_at


class TestMemoryRetentionLedger(RetentionLedgerContract):
    @pytest.fixture
    def ledger(self) -> RetentionLedger:
        return MemoryRetentionLedger()


class TestMemoryLogScan(LogScanContract):
    @pytest.fixture
    def scan(self, log: MemoryEventLog) -> LogScan:
        return MemoryLogScan(log)
