"""The fakes of the read model, the archive and retention keep the contracts of what they stand for."""

from __future__ import annotations

import pytest

from flotilla.ports import Archive, ReadModel, Watchlist
from flotilla.retention_ports import ArchiveScan, EntryMender, LogScan, RetentionLedger
from tests.contracts.archive import ArchiveContract
from tests.contracts.mending import ArchiveScanContract, EntryMenderContract
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
from tests.fakes.retention import (
    MemoryArchiveScan,
    MemoryEntryMender,
    MemoryLogRetention,
    MemoryLogScan,
    MemoryRetentionLedger,
)
from tests.fakes.views import MemoryReadModel
from tests.fakes.watchlist import MemoryWatchlist


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


class TestMemoryEntryMender(EntryMenderContract):
    @pytest.fixture
    def views(self) -> ReadModel:
        return MemoryReadModel()

    @pytest.fixture
    def watchlist(self, views: MemoryReadModel) -> Watchlist:
        return MemoryWatchlist(views.entries)

    @pytest.fixture
    def mender(self, views: MemoryReadModel) -> EntryMender:
        return MemoryEntryMender(views.entries)


class TestMemoryArchiveScan(ArchiveScanContract):
    @pytest.fixture
    def archive(self) -> Archive:
        return MemoryArchive()

    @pytest.fixture
    def archive_scan(self, archive: MemoryArchive) -> ArchiveScan:
        return MemoryArchiveScan(archive)
