"""An AWS in memory on which threads race: calls interleave, each call is atomic."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.client import BaseClient

from tests.concurrency.racers import Racers
from tests.unit.services import sample_agents


@pytest.fixture
def atomic_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """One call at a time: moto, unlike AWS, does not look at a condition and write in one go."""
    call, lock = BaseClient._make_api_call, threading.Lock()

    def one_at_a_time(self: BaseClient, *args: Any, **kwargs: Any) -> Any:
        with lock:
            return call(self, *args, **kwargs)  # type: ignore[attr-defined]

    monkeypatch.setattr(BaseClient, "_make_api_call", one_at_a_time)


@pytest.fixture
def racers(
    dynamodb: Any, sqs: Any, events_table: str, queue_urls: dict[str, str], atomic_calls: None
) -> Iterator[Racers]:
    sample_agents.HISTORY.clear()
    sample_agents.RELEASE.clear()
    sample_agents.HELD.clear()
    yield Racers(dynamodb, sqs, events_table, queue_urls["flotilla-standard.fifo"])
    sample_agents.RELEASE.set()
