"""A projector and its surroundings in memory, any of which may fail to answer."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from flotilla.errors import RetryableError
from flotilla.events import Event
from flotilla.metric_ports import Metrics
from flotilla.read_model import Entry
from flotilla.services.archive_logs import LogArchiver
from flotilla.services.past_logs import PastLogs
from flotilla.services.project import Projector
from flotilla.services.task_metrics import TaskMetrics
from tests.fakes import ManualClock, MemoryEventLog
from tests.fakes.archive import MemoryArchive
from tests.fakes.retention import MemoryRetentionLedger
from tests.fakes.views import MemoryReadModel

RETENTION_DAYS = 30


@dataclass
class Weather:
    """Which calls fail: so many in a hundred, before they are made or after."""

    percent: int = 0
    dice: random.Random = field(default_factory=lambda: random.Random(1))

    def strikes(self) -> None:
        if self.dice.randrange(100) < self.percent:
            raise RetryableError("no answer")


class ShakyLog(MemoryEventLog):
    def __init__(self, weather: Weather) -> None:
        super().__init__()
        self.weather = weather

    async def read(self, task_id: str) -> list[Event]:
        self.weather.strikes()
        return await super().read(task_id)


class ShakyViews(MemoryReadModel):
    def __init__(self, weather: Weather) -> None:
        super().__init__()
        self.weather = weather

    async def put(self, entry: Entry) -> bool:
        self.weather.strikes()
        stored = await super().put(entry)
        self.weather.strikes()
        return stored


class ShakyArchive(MemoryArchive):
    def __init__(self, weather: Weather) -> None:
        super().__init__()
        self.weather = weather

    async def put(self, key: str, logs: Sequence[Sequence[Event]]) -> None:
        self.weather.strikes()
        await super().put(key, logs)
        self.weather.strikes()

    async def get(self, key: str, task_id: str) -> list[Event]:
        self.weather.strikes()
        return await super().get(key, task_id)


class Followed:
    """The event log and what follows it."""

    def __init__(self, retention_days: int = RETENTION_DAYS, metrics: Metrics | None = None) -> None:
        self.weather = Weather()
        self.metrics = None if metrics is None else TaskMetrics(metrics, {})
        self.clock = ManualClock()
        self.log = ShakyLog(self.weather)
        self.views = ShakyViews(self.weather)
        self.archive = ShakyArchive(self.weather)
        self.ledger = MemoryRetentionLedger()
        self.retention_days = retention_days
        self.archiver = LogArchiver(self.archive)
        self.past = PastLogs(views=self.views, archive=self.archive, clock=self.clock, retention_days=retention_days)
        self.restart()

    def restart(self) -> None:
        """Another process goes on: nothing is remembered."""
        self.projector = Projector(
            log=self.log,
            views=self.views,
            archiver=self.archiver,
            ledger=self.ledger,
            retention_days=self.retention_days,
            metrics=self.metrics,
        )

    def write(self, events: Iterable[Event]) -> None:
        for event in events:
            self.log.logs.setdefault(event.task_id, {})[event.seq] = event

    async def follow(self, *batches: Sequence[Event]) -> list[frozenset[str]]:
        """Write what is in the batches, and project them one after the other."""
        failed = []
        for batch in batches:
            self.write(batch)
            failed.append(await self.projector.project(batch))
        return failed
