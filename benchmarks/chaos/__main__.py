"""Thousands of tasks through a fleet whose processes are killed all the while; then the count.

`python -m benchmarks.chaos [--tasks N] [--seed N]`. Exit status 1 where anything was lost, doubled or out of order. The
engine, the workers and this script are real processes on this machine; killed are worker processes and the event
sources, by their process id.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from pathlib import Path

from benchmarks.chaos.sink import Sink
from benchmarks.chaos.tally import Tally, judge, unfinished
from benchmarks.chaos.tormentor import Tormentor
from benchmarks.chaos.workload import Plan, plan, submit_all
from benchmarks.report import publish, table
from cli.client import FlotillaClient
from cli.connection import Connection
from local.engine import forget, up
from local.instance import REPOSITORY, Instance, LocalInfo
from local.progress import Progress

_GIVE_UP_SECONDS = 900.0
_LOOK_EVERY_SECONDS = 5.0


async def _submit(info: LocalInfo, work: Plan) -> int:
    connection = Connection(info.api_url, info.tenant_key, info.operator_key)
    async with FlotillaClient(connection, patience_seconds=120.0) as client:
        return await submit_all(client, work)


def _wait(info: LocalInfo, work: Plan, *, give_up: float, until_left: int = 0) -> None:
    """Until no more than `until_left` tasks have not ended, or the time is up."""
    left = unfinished(info, work)
    while left > until_left and time.monotonic() < give_up:
        print(f"  {left} tasks have not ended", flush=True)
        time.sleep(_LOOK_EVERY_SECONDS)
        left = unfinished(info, work)


def main() -> int:
    """Run, print and keep the result."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos", description=__doc__)
    parser.add_argument("--tasks", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    progress = Progress()
    root, config = REPOSITORY / ".flotilla-benchmark", Path(__file__).parent / "fleet.toml"
    instance = Instance(root=root, port=0, config=config, owner_pid=os.getpid())
    try:
        info = up(instance, progress)
        with Sink() as sink:
            work = plan(options.seed, options.tasks, sink.url)
            began = time.monotonic()
            with Tormentor(instance, info, options.seed) as tormentor:
                with progress.step(f"submit {options.tasks} tasks"):
                    replays = asyncio.run(_submit(info, work))
                tormentor.aim([task.task_id for task in work.tasks if task.task_id is not None])
                # The last tenth ends in peace, so that what is judged is recovery and not the tormentor's patience.
                _wait(info, work, give_up=began + _GIVE_UP_SECONDS, until_left=options.tasks // 10)
            _wait(info, work, give_up=began + _GIVE_UP_SECONDS)
            seconds = time.monotonic() - began
            tally = judge(info, work, sink)
    finally:
        forget(instance, progress)
    publish(__file__, "Chaos on the embedded engine", _body(options.seed, work, tally, tormentor, replays, seconds))
    return 1 if tally.violations else 0


def _body(seed: int, work: Plan, tally: Tally, tormentor: Tormentor, replays: int, seconds: float) -> str:
    rows = [
        ["tasks accepted", f"{tally.tasks:,}"],
        ["… in sessions", f"{sum(task.session is not None for task in work.tasks):,}"],
        ["… delayed", f"{sum(task.delay_seconds is not None for task in work.tasks):,}"],
        ["… flaky", f"{sum('fail_attempts' in task.input for task in work.tasks):,}"],
        ["… crashing", f"{sum('crash_attempts' in task.input for task in work.tasks):,}"],
        ["submits repeated, told as replays", f"{replays:,}"],
        ["messages sent again", f"{tormentor.duplicates:,}"],
        ["worker processes killed", f"{tormentor.workers_killed:,}"],
        ["event sources killed", f"{tormentor.sources_killed:,}"],
        ["attempts started", f"{tally.attempts:,}"],
        *([f"ended {status}", f"{count:,}"] for status, count in sorted(tally.statuses.items())),
        ["POSTs that the sink saw", f"{tally.posts:,}"],
        ["effects by idempotency key", f"{tally.effects:,}"],
        ["seconds", f"{seconds:.0f}"],
        ["violations", f"{len(tally.violations)}"],
    ]
    found = "\n".join(f"- {violation}" for violation in tally.violations[:50])
    return f"{table(['what', f'seed {seed}'], rows)}" + (f"\n\nViolations:\n\n{found}" if found else "")


if __name__ == "__main__":
    sys.exit(main())
