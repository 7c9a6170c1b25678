"""Logs that may be added to, over a fleet in memory."""

from __future__ import annotations

from typing import Any

from flotilla.services.open_logs import OpenLogs
from flotilla.services.past_logs import PastLogs
from tests.fakes.archive import MemoryArchive
from tests.fakes.views import MemoryReadModel
from tests.unit.services.fleet import Fleet

RETENTION_DAYS = 30


def open_logs(fleet: Fleet, *, log: Any = None, views: Any = None, archive: Any = None) -> OpenLogs:
    past = PastLogs(
        views=views or MemoryReadModel(),
        archive=archive or MemoryArchive(),
        clock=fleet.clock,
        retention_days=RETENTION_DAYS,
    )
    return OpenLogs(log=log or fleet.log, past=past, clock=fleet.clock, retention_days=RETENTION_DAYS)
