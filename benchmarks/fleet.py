"""A fleet of a benchmark's own on the embedded engine, and tasks through its API."""

from __future__ import annotations

import math
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from cli.client import FlotillaClient, Task
from cli.connection import Connection
from local.engine import forget, up
from local.instance import REPOSITORY, Instance, LocalInfo
from local.progress import Progress

_BATCH = 100


@contextmanager
def fleet(progress: Progress) -> Iterator[tuple[Instance, LocalInfo]]:
    """A running fleet, forgotten at the end; it ends by itself if this process is killed."""
    instance = Instance(root=Path(REPOSITORY) / ".flotilla-benchmark", port=0, owner_pid=os.getpid())
    try:
        yield instance, up(instance, progress)
    finally:
        forget(instance, progress)


def client_of(info: LocalInfo) -> FlotillaClient:
    """A patient client of the fleet."""
    return FlotillaClient(Connection(info.api_url, info.tenant_key, info.operator_key), patience_seconds=120.0)


async def submit_many(client: FlotillaClient, tasks: Sequence[Mapping[str, Any]]) -> list[Task]:
    """Submit all of `tasks`, a hundred to a call; each as it was accepted.

    Raises:
        RuntimeError: One was refused.
    """
    accepted: list[Task] = []
    for start in range(0, len(tasks), _BATCH):
        results = await client.submit_batch(tasks[start : start + _BATCH], idempotency_key=secrets.token_hex(16))
        refused = [result["problem"] for result in results if "task" not in result]
        if refused:
            raise RuntimeError(f"refused: {refused[0]}")
        accepted += [result["task"] for result in results]
    return accepted


def epoch_ms(time: str | None) -> float:
    """A time of the API in milliseconds since the epoch."""
    if time is None:
        raise ValueError("the task has not come so far")
    return datetime.fromisoformat(time).timestamp() * 1000


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that `percent` of `values` do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]
