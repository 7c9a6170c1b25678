"""An engine with nothing deployed."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from local.engine_process import engine_url, start_engine, stop_engine
from local.instance import Instance
from local.progress import Step
from tests.e2e.definitions.stage import Stage


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    instance = Instance(root=tmp_path_factory.mktemp("definitions"), port=0, owner_pid=os.getpid())
    instance.make_directories()
    try:
        engine = start_engine(instance, Step("engine"))
        with Stage(engine_url(engine)).attended() as stage:
            yield stage
    finally:
        stop_engine(instance)
