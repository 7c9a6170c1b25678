"""Does a backlog on one lane slow another? The latency of `critical` tasks on an idle fleet, and beside a deep backlog.

One task at a time at a steady pace on `critical`: first with nothing else to do, then while a backlog waits on `batch`
and is worked off. Latency: from before the submit to the stored result, by the log. On this one machine the lanes share
processors, which on AWS they do not; the backlog's tasks wait, as for a model, and do not compute.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time

from benchmarks.fleet import client_of, epoch_ms, fleet, percentile, submit_many
from benchmarks.report import publish, table
from cli.client import FlotillaClient, Task
from local.instance import LocalInfo
from local.progress import Progress

_BACKLOG = 2000
_SLEEP_SECONDS = 2.0
_PROBES = 150
_PACE_SECONDS = 0.2
_GIVE_UP_SECONDS = 120.0
_AIM = 1.5


async def _probe(client: FlotillaClient) -> list[float]:
    """Milliseconds from before each submit to its stored result."""
    began: dict[str, float] = {}
    next_at = time.monotonic()
    for _ in range(_PROBES):
        submitted_ms = time.time_ns() / 1e6  # noqa: TID251 - compared with the log's times, as a client's clock
        submitted = await client.submit("diagnostics.echo", {"value": 1}, lane="critical")
        began[submitted.task["id"]] = submitted_ms
        next_at += _PACE_SECONDS
        await asyncio.sleep(max(0.0, next_at - time.monotonic()))
    latencies = []
    for task_id, submitted_ms in began.items():
        task = await client.wait(task_id, timeout_seconds=60)
        latencies.append(epoch_ms(task["finished_at"]) - submitted_ms)
    return latencies


async def _listed(client: FlotillaClient, task: Task) -> None:
    give_up = time.monotonic() + _GIVE_UP_SECONDS
    while task["id"] not in {listed["id"] for listed in await client.tasks({"lane": "batch"}, at_most=100)}:
        if time.monotonic() > give_up:
            raise RuntimeError("the read model does not come to the backlog's end")
        await asyncio.sleep(1.0)


async def _measure(info: LocalInfo, progress: Progress) -> tuple[list[float], list[float], int]:
    async with client_of(info) as client:
        with progress.step("warm up"):
            await _probe(client)
        with progress.step(f"{_PROBES} critical tasks on the idle fleet"):
            idle = await _probe(client)
        with progress.step(f"submit {_BACKLOG} tasks on batch"):
            backlog = [{"agent": "diagnostics.sleep", "input": {"seconds": _SLEEP_SECONDS}, "lane": "batch"}] * _BACKLOG
            accepted = await submit_many(client, backlog)
        with progress.step("wait until the read model is up to it"):
            # What is asked is what a backlog that waits does to another lane, not what its arrival does.
            await _listed(client, accepted[-1])
        with progress.step(f"{_PROBES} critical tasks beside the backlog"):
            loaded = await _probe(client)
        last = await client.tasks({"lane": "batch", "status": "queued"}, at_most=1)
        return idle, loaded, len(accepted) if last else 0


def main() -> int:
    """Measure, print and keep the result; exit status 1 where the aim is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.priority", description=__doc__)
    parser.parse_args()
    progress = Progress()
    with fleet(progress) as (_, info):
        idle, loaded, backlog = asyncio.run(_measure(info, progress))
    ratio = percentile(loaded, 95) / percentile(idle, 95)
    rows = [
        [name, f"{percentile(found, 50):.0f}", f"{percentile(found, 95):.0f}", f"{percentile(found, 99):.0f}"]
        for name, found in (("critical, idle fleet", idle), ("critical, beside the backlog", loaded))
    ]
    note = (
        f"{_PROBES} tasks each, one every {_PACE_SECONDS * 1000:.0f} ms, beside {_BACKLOG:,} tasks of "
        f"{_SLEEP_SECONDS:.0f} s on `batch` "
        f"({'which had not been worked off when the last probe ended' if backlog else 'WORKED OFF TOO EARLY'}). "
        f"p95 ratio: {ratio:.2f}; aim: at most {_AIM}."
    )
    publish(__file__, "Priority lanes", f"{table(['what', 'p50 ms', 'p95 ms', 'p99 ms'], rows)}\n\n{note}")
    return 0 if ratio <= _AIM and backlog else 1


if __name__ == "__main__":
    sys.exit(main())
