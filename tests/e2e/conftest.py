"""Engines of the tests' own, with the whole application deployed into each by the real `cdk deploy`."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from local.engine import down, up
from local.instance import Instance
from tests.e2e.engine import Engine
from tests.e2e.fleet_client import FleetClient
from tests.e2e.lab import Lab, laboratory


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


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with laboratory(tmp_path_factory.mktemp("lab")) as lab:
        yield lab
