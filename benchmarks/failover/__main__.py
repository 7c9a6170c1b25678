"""The first model of a route dies for a while, under tasks that come at one rate, and comes back.

`python -m benchmarks.failover [--tasks N] [--rate PER_SECOND] [--seconds DEAD]`. Exit status 1 where a task did not
succeed in its first attempt, was parked, or what tasks say that they cost is not what the models' servers charge. The
models are the fault lab's, on loopback; dead it answers 503, hangs up, or does not answer.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.chaos.tally import read_logs
from benchmarks.failover.judgement import Death, Judgement, Ledger, Price, judge
from benchmarks.fault_lab.script import Reply, Script
from benchmarks.fault_lab.server import FaultServer
from benchmarks.fleet import client_of
from benchmarks.report import publish, table
from cli.client import FlotillaClient
from flotilla.clock import SystemClock
from local.engine import forget, up
from local.instance import Instance, LocalInfo
from local.progress import Progress

SCALE = 4
BEFORE_SECONDS = 25.0
WARM_UP_TASKS = 30

_GIVE_UP_SECONDS = 600.0

WELL = Script.steady(Reply(latency_ms=(150, 300)))
SECOND = Script.steady(Reply(latency_ms=(80, 150)))
DEAD = Script.steady(
    Reply(weight=60, status=503, latency_ms=(1, 5)),
    Reply(weight=30, fault="reset"),
    Reply(weight=10, fault="stall"),
    seed=2,
)
PRICES = {"primary": Price(3_000_000, 15_000_000), "second": Price(250_000, 1_250_000)}


@dataclass(frozen=True, slots=True)
class Load:
    """How many tasks come, how fast, and for how long the first model is dead."""

    tasks: int
    per_second: float
    dead_seconds: float


async def _submit(api: FlotillaClient, number: int) -> str:
    prompt = f"Say number {number} in one line, and whether you have said it before."
    body = {"route": "best", "prompt": prompt}
    submitted = await api.submit("diagnostics.generate", body, idempotency_key=f"failover-{number}")
    return submitted.task["id"]


async def _run(info: LocalInfo, primary: FaultServer, load: Load) -> tuple[list[str], Death]:
    """Submit at one rate, have the model die and come back, and wait until every task has ended."""
    clock = SystemClock()
    async with client_of(info) as api:
        for task_id in await asyncio.gather(*(_submit(api, -number) for number in range(1, WARM_UP_TASKS + 1))):
            await api.wait(task_id, timeout_seconds=_GIVE_UP_SECONDS)
        began = time.monotonic()
        submits: list[asyncio.Task[str]] = []

        async def submit_all() -> None:
            for number in range(load.tasks):
                await asyncio.sleep(max(0.0, began + number / load.per_second - time.monotonic()))
                submits.append(asyncio.ensure_future(_submit(api, number)))

        submitting = asyncio.ensure_future(submit_all())
        await asyncio.sleep(BEFORE_SECONDS)
        dead_ms = clock.now_ms()
        primary.follow(DEAD)
        await asyncio.sleep(load.dead_seconds)
        well_ms = clock.now_ms()
        primary.follow(WELL)
        await submitting
        task_ids = await asyncio.gather(*submits)
        deadline = time.monotonic() + _GIVE_UP_SECONDS
        for task_id in task_ids:
            await api.wait(task_id, timeout_seconds=max(1.0, deadline - time.monotonic()))
    return task_ids, Death(dead_ms, well_ms)


def _ledgers(servers: Mapping[str, FaultServer]) -> dict[str, Ledger]:
    """What each server saw of the tasks that count."""
    ledgers = {}
    for name, server in servers.items():
        began_ms = SystemClock().now_ms() - server.now_seconds * 1000
        counted = [each for each in server.received if b"Say number -" not in each.body]
        ledgers[name] = Ledger(PRICES[name], began_ms, counted)
    return ledgers


def main() -> int:
    """Run, print and keep the result."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.failover", description=__doc__)
    parser.add_argument("--tasks", type=int, default=300)
    parser.add_argument("--rate", type=float, default=3.0, help="tasks a second")
    parser.add_argument("--seconds", type=float, default=40.0, help="how long the model is dead")
    options = parser.parse_args()
    load = Load(options.tasks, options.rate, options.seconds)
    progress = Progress()
    with FaultServer(WELL) as primary, FaultServer(SECOND) as second, tempfile.TemporaryDirectory() as folder:
        servers = {"primary": primary, "second": second}
        text = Path(__file__).with_name("fleet.toml").read_text(encoding="utf-8")
        for name, server in servers.items():
            text = text.replace(f"${name}", f"{server.url}/v1")
        config = Path(folder) / "fleet.toml"
        config.write_text(text, encoding="utf-8")
        instance = Instance(root=Path(folder) / "engine", port=0, config=config, owner_pid=os.getpid())
        try:
            info = up(instance, progress)
            with progress.step(f"{load.tasks} tasks, {load.dead_seconds:g} s of them without their first model"):
                task_ids, death = asyncio.run(_run(info, primary, load))
            judgement = judge(read_logs(info), task_ids, _ledgers(servers), death)
        finally:
            forget(instance, progress)
    publish(__file__, "Failover of a route", _body(load, judgement))
    return 0 if judgement.kept else 1


def _body(load: Load, found: Judgement) -> str:
    what = table(["what", "came to", "aim"], found.rows())
    when = table(
        ["tasks accepted", "tasks", "by the first model, the second", "p50 ms", "p95 ms", "most ms"], found.periods()
    )
    return (
        f"{load.tasks} tasks at {load.per_second:g} a second, each a call by a route of two models; the first is dead "
        f"for {load.dead_seconds:g} s. The breaker's cooldowns are {SCALE} times as short as by default. The first "
        f"model answers in 150 to 300 ms, the second in 80 to 150; a model has 4 s. Times are from acceptance to the "
        f"end.\n\n{what}\n\n{when}"
    )


if __name__ == "__main__":
    sys.exit(main())
