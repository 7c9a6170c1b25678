"""An engine of the tests' own, with the whole application deployed into it by the real `cdk deploy`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from local.clients import client
from local.engine import down, up
from local.engine_process import engine_record
from local.event_sources_process import event_sources_record
from local.instance import Instance, LocalInfo
from local.processes import Process
from tests.e2e.fleet_client import FleetClient


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


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    instance = Instance(root=tmp_path_factory.mktemp("engine"), port=0, owner_pid=os.getpid())
    try:
        yield Engine(instance, up(instance))
    finally:
        down(instance)


@pytest.fixture(scope="session")
def tenant(engine: Engine) -> Iterator[FleetClient]:
    fleet = FleetClient(engine.info.api_url, engine.info.tenant_key)
    with fleet.http:
        yield fleet


@pytest.fixture(scope="session")
def operator(engine: Engine) -> Iterator[FleetClient]:
    fleet = FleetClient(engine.info.api_url, engine.info.operator_key)
    with fleet.http:
        yield fleet


@pytest.fixture(scope="session")
def anonymous(engine: Engine) -> Iterator[FleetClient]:
    fleet = FleetClient(engine.info.api_url, None)
    with fleet.http:
        yield fleet
