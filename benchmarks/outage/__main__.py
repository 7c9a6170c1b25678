"""An integration is dead for five minutes, scaled down by four, while tasks keep coming that need it; then it is back.

`python -m benchmarks.outage [--tasks N] [--seconds OUTAGE]`. Exit status 1 where a task was lost or dead-lettered, an
effect made twice, or an attempt charged for waiting. Tasks are submitted at one rate from before the outage until after
it; each makes one POST through the integration, whose server is the fault lab's. Peaks are those of any
`PEAK_SECONDS`, by the server's clock.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.chaos.tally import read_logs
from benchmarks.fault_lab.script import Reply, Script
from benchmarks.fault_lab.server import FaultServer
from benchmarks.fleet import client_of
from benchmarks.outage.judgement import PEAK_SECONDS, Judgement, Outage, judge
from benchmarks.report import publish, table
from cli.client import FlotillaClient
from local.clients import client
from local.engine import forget, up
from local.instance import REPOSITORY, Instance, LocalInfo
from local.progress import Progress

TOKEN = "a-token-of-the-lab"
SCALE = 4
BEFORE_SECONDS = 25.0
WARM_UP_TASKS = 30

_LOOK_EVERY_SECONDS = 2.0
_GIVE_UP_SECONDS = 600.0

WELL = Script.steady(Reply(latency_ms=(5, 20)))
DEAD = Script.steady(
    Reply(weight=60, status=503, latency_ms=(1, 5)),
    Reply(weight=30, fault="reset"),
    Reply(weight=10, status=500),
    seed=2,
)


@dataclass(frozen=True, slots=True)
class Load:
    """How many tasks come, and how long.

    Attributes:
        tasks: In all.
        outage_seconds: How long the integration is dead.
        after_seconds: How long tasks keep coming afterwards.
    """

    tasks: int
    outage_seconds: float
    after_seconds: float

    @property
    def per_second(self) -> float:
        """The rate of the tasks, all the time."""
        return self.tasks / (BEFORE_SECONDS + self.outage_seconds + self.after_seconds)


def configuration(folder: Path, server: FaultServer) -> Path:
    """The fleet's configuration, with the server as its integration."""
    text = Path(__file__).with_name("fleet.toml").read_text(encoding="utf-8")
    file = folder / "fleet.toml"
    file.write_text(text.replace("$lab", f"{server.url}/lab"), encoding="utf-8")
    return file


async def _submit(api: FlotillaClient, number: int) -> str:
    body = {"integration": "lab", "method": "POST", "path": f"/effects/{number}", "body": {"number": number}}
    submitted = await api.submit("diagnostics.call", body, idempotency_key=f"outage-{number}")
    return submitted.task["id"]


async def _run(info: LocalInfo, server: FaultServer, load: Load) -> tuple[list[str], Outage]:
    """Submit at one rate, break the server in the middle, and wait until every task has ended."""
    async with client_of(info) as api:
        for task_id in await asyncio.gather(*(_submit(api, -number) for number in range(1, WARM_UP_TASKS + 1))):
            await api.wait(task_id, timeout_seconds=_GIVE_UP_SECONDS)
        first = len(server.received)
        began = time.monotonic()
        submits: list[asyncio.Task[str]] = []

        async def submit_all() -> None:
            for number in range(load.tasks):
                await asyncio.sleep(max(0.0, began + number / load.per_second - time.monotonic()))
                submits.append(asyncio.ensure_future(_submit(api, number)))

        submitting = asyncio.ensure_future(submit_all())
        await asyncio.sleep(BEFORE_SECONDS)
        dead_at = server.now_seconds
        server.follow(DEAD)
        await asyncio.sleep(load.outage_seconds)
        well_at = server.now_seconds
        server.follow(WELL)
        await submitting
        task_ids = await asyncio.gather(*submits)
        deadline = time.monotonic() + _GIVE_UP_SECONDS
        for task_id in task_ids:
            left = deadline - time.monotonic()
            await api.wait(task_id, timeout_seconds=max(1.0, left))
    return task_ids, Outage(first, dead_at, well_at, load.per_second)


def main() -> int:
    """Run, print and keep the result."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.outage", description=__doc__)
    parser.add_argument("--tasks", type=int, default=600)
    parser.add_argument("--seconds", type=float, default=75.0, help="how long the integration is dead")
    parser.add_argument("--after", type=float, default=100.0, help="how long tasks keep coming afterwards")
    options = parser.parse_args()
    load = Load(options.tasks, options.seconds, options.after)
    progress = Progress()
    with FaultServer(WELL) as server, tempfile.TemporaryDirectory() as folder:
        config = configuration(Path(folder), server)
        instance = Instance(root=REPOSITORY / ".flotilla-benchmark", port=0, config=config, owner_pid=os.getpid())
        try:
            info = up(instance, progress)
            client("secretsmanager", info.engine_url).create_secret(Name="lab/token", SecretString=TOKEN)
            with progress.step(f"{load.tasks} tasks, {load.outage_seconds:g} s of them without their integration"):
                task_ids, outage = asyncio.run(_run(info, server, load))
            judgement = judge(read_logs(info), task_ids, server.received, outage)
        finally:
            forget(instance, progress)
    publish(__file__, "Outage of an integration", _body(load, judgement))
    return 0 if judgement.kept else 1


def _body(load: Load, found: Judgement) -> str:
    heading = ["what", "came to", "aim"]
    return (
        f"{load.tasks} tasks at {load.per_second:.1f} a second; dead for {load.outage_seconds:g} s, which stand for "
        f"{load.outage_seconds * SCALE / 60:g} minutes: the breaker's cooldowns are {SCALE} times as short as by "
        f"default. Peaks and rates over {PEAK_SECONDS} s.\n\n{table(heading, found.rows())}"
    )


if __name__ == "__main__":
    sys.exit(main())
