"""How late do delayed tasks start? Never early, and on the embedded engine at most two seconds late for 99 of 100.

Delays are drawn between one second and a bound; lateness is from the task's due time to its first start, by the log.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys

from benchmarks.fleet import client_of, epoch_ms, fleet, percentile, submit_many
from benchmarks.report import publish, table
from local.instance import LocalInfo
from local.progress import Progress

_AIM_SECONDS = 2.0


async def _lateness(info: LocalInfo, progress: Progress, tasks: int, longest_seconds: int) -> list[tuple[int, float]]:
    """The delay in seconds and the lateness in milliseconds of each task."""
    draw = random.Random(1)
    delays = [draw.randint(1, longest_seconds) for _ in range(tasks)]
    bodies = [{"agent": "diagnostics.echo", "input": {"value": delay}, "delay_seconds": delay} for delay in delays]
    async with client_of(info) as client:
        with progress.step(f"submit {tasks} tasks with delays from 1 to {longest_seconds} s"):
            accepted = await submit_many(client, bodies)
        found = []
        with progress.step("wait for the last"):
            for task in accepted:
                ended = await client.wait(task["id"], timeout_seconds=longest_seconds + 60)
                late = epoch_ms(ended["started_at"]) - epoch_ms(task.get("due_at"))
                found.append((ended["output"], late))
    return found


def main() -> int:
    """Measure, print and keep the result; exit status 1 where one was early or the aim is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.delays", description=__doc__)
    parser.add_argument("--tasks", type=int, default=400)
    parser.add_argument("--longest", type=int, default=240, metavar="SECONDS", help="longest delay (default: 240)")
    options = parser.parse_args()
    progress = Progress()
    with fleet(progress) as (_, info):
        found = asyncio.run(_lateness(info, progress, options.tasks, options.longest))
    late = [milliseconds for _, milliseconds in found]
    rows = [[f"{percentile(late, each):.0f}" for each in (50, 95, 99, 100)] + [str(sum(each < 0 for each in late))]]
    note = f"{options.tasks} tasks, delays from 1 to {options.longest} s. Aim: none early, p99 at most 2000 ms."
    publish(
        __file__,
        "Lateness of delayed tasks",
        f"{table(['p50 ms', 'p95 ms', 'p99 ms', 'max ms', 'early'], rows)}\n\n{note}",
    )
    return 0 if min(late) >= 0 and percentile(late, 99) <= _AIM_SECONDS * 1000 else 1


if __name__ == "__main__":
    sys.exit(main())
