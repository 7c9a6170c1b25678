"""An engine of the tests' own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from local.clients import client
from local.engine_process import engine_record
from local.event_sources_process import event_sources_record
from local.instance import Instance, LocalInfo
from local.processes import Process


@dataclass(frozen=True)
class Engine:
    """A running engine."""

    instance: Instance
    info: LocalInfo

    def client(self, service: str, **options: Any) -> Any:
        """A boto3 client of the engine."""
        return client(service, self.info.engine_url, **options)

    def process_ids(self) -> list[int]:
        """The processes that `up` started; Lambda's are their children."""
        records = (engine_record(self.instance), event_sources_record(self.instance))
        return [process.pid for process in map(Process.load, records) if process is not None]
