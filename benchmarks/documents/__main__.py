"""A thousand documents through the workflow `document-analysis` while processes are killed; then the count.

`python -m benchmarks.documents [--documents N] [--kill-every S] [--concurrency N] [--seed N]`. Exit status 1 where a
document or a step of one was lost or doubled, or a log is not whole; a rate or a ratio that misses its aim is told and
no failure. Killed are worker processes and the event sources, by their process id. All the while a probe submits tasks
of high priority, as it did before on the idle fleet.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.chaos.tally import read_logs
from benchmarks.chaos.tormentor import Tormentor
from benchmarks.documents.history import Child, children_of
from benchmarks.documents.judgement import Judgement, judge
from benchmarks.documents.load import LoadMeter
from benchmarks.documents.probe import Probe, waits
from benchmarks.documents.result import Result, body_of
from benchmarks.documents.storage import put_documents, report_of
from benchmarks.documents.variety import Varied, varied
from benchmarks.fleet import client_of
from benchmarks.report import publish
from cli.client import ApiError, FlotillaClient
from cli.workflows import ENDED, Run, Workflows
from local.engine import forget, up
from local.instance import REPOSITORY, Instance, LocalInfo
from local.progress import Progress

WORKFLOW = "document-analysis"

_KILL_SPREAD = (0.4, 1.6)
_LOOK_EVERY_SECONDS = 15.0
"""Seldom: to tell how a run goes, the API looks at all of its tasks, and this engine has one interpreter for all."""

_IN_PEACE = 0.9
"""The last tenth ends in peace, so that what is judged is recovery and not the tormentor's patience."""

_WARM_UP_PROBES = 20
_WARM_UP_SECONDS = 0.2
_GIVE_UP_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for."""

    documents: int
    kill_every: float
    concurrency: int
    seed: int
    probe_every: float
    idle_probes: int
    minutes: float


async def _probed(client: FlotillaClient, every_seconds: float, count: int) -> list[str]:
    probe = Probe(client, every_seconds)
    await probe.run(count)
    for task_id in probe.task_ids:
        await client.wait(task_id, timeout_seconds=_GIVE_UP_SECONDS)
    return probe.task_ids


async def _watch(
    workflows: Workflows, run_id: str, tormentor: Tormentor, probe: Probe, options: Options
) -> tuple[Run, float]:
    """Show how it goes until it has ended, or the time is up; the run, and how long it was tormented and probed."""
    began = time.monotonic()
    tormented = 0.0
    while True:
        try:
            run = (await workflows.find(run_id)).run
        except ApiError as error:
            print(f"  not told: {error}", flush=True)
            await asyncio.sleep(_LOOK_EVERY_SECONDS)
            continue
        elapsed = time.monotonic() - began
        done = sum(each["succeeded"] for each in run.get("maps", []))
        print(f"  {_line(run, done, elapsed, tormentor)}", flush=True)
        tormentor.aim([task_id for step in run.get("steps", []) for task_id in step["task_ids"]])
        if not tormented and (done >= _IN_PEACE * options.documents or run["status"] in ENDED):
            probe.stop()
            await asyncio.to_thread(tormentor.stop)
            tormented = elapsed
        if run["status"] in ENDED or elapsed > 60 * options.minutes:
            return run, tormented or elapsed
        await asyncio.sleep(_LOOK_EVERY_SECONDS)


def _line(run: Run, done: int, elapsed: float, tormentor: Tormentor) -> str:
    working = sum(each["running"] for each in run.get("maps", []))
    steps = ", ".join(f"{step['name']} {step['tasks']}" for step in run.get("steps", []) if step["tasks"])
    killed = f"{tormentor.workers_killed} workers and {tormentor.sources_killed} times the event sources killed"
    return f"{elapsed:5.0f} s: {run['status']}, {done} documents done, {working} at work; {steps}; {killed}"


async def _measure(
    instance: Instance, info: LocalInfo, documents: Sequence[Varied], options: Options, progress: Progress
) -> Result:
    async with client_of(info) as client:
        workflows = Workflows(client)
        with progress.step("warm up"):
            await _probed(client, _WARM_UP_SECONDS, _WARM_UP_PROBES)
        with progress.step(f"{options.idle_probes} critical tasks on the idle fleet"):
            idle = await _probed(client, options.probe_every, options.idle_probes)
        with progress.step(f"put {len(documents)} documents into the bucket"):
            manifest = put_documents(info, documents)
        probe = Probe(client, options.probe_every)
        spread = (_KILL_SPREAD[0] * options.kill_every, _KILL_SPREAD[1] * options.kill_every)
        with LoadMeter(instance) as meter, Tormentor(instance, info, options.seed, between_seconds=spread) as tormentor:
            value: dict[str, Any] = {"manifest": {"key": manifest}, "concurrency": options.concurrency}
            started = await workflows.start(WORKFLOW, value, idempotency_key=f"documents-{options.seed}")
            run_id = started.run["id"]
            probing = asyncio.ensure_future(probe.run())
            run, tormented = await _watch(workflows, run_id, tormentor, probe, options)
            probe.stop()
            await probing
        with progress.step("wait for the last probes"):
            for task_id in probe.task_ids:
                await client.wait(task_id, timeout_seconds=_GIVE_UP_SECONDS)
        with progress.step("read all logs, the report, and Step Functions' history"):
            logs = await asyncio.to_thread(read_logs, info)
            report = report_of(info, run)
            children: list[Child] = await asyncio.to_thread(children_of, info, run_id)
    histories = {child.document: len(child.told) for child in children}
    judgement: Judgement = judge(logs, run_id, documents, report, histories)
    return Result(
        run_id=run_id,
        judgement=judgement,
        load=meter.load,
        logs=logs,
        children=children,
        report=report,
        idle=waits(logs, idle),
        loaded=waits(logs, probe.task_ids),
        workers_killed=tormentor.workers_killed,
        sources_killed=tormentor.sources_killed,
        duplicates=tormentor.duplicates,
        tormented_seconds=tormented,
        kills=tormentor.kills,
        concurrency=options.concurrency,
    )


def main() -> int:
    """Run, print and keep the result; exit status 1 where a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.documents", description=__doc__)
    parser.add_argument("--documents", type=int, default=1000)
    parser.add_argument("--kill-every", type=float, default=6.0, help="seconds between two kills, on average")
    parser.add_argument("--concurrency", type=int, default=12, help="documents at work at once")
    parser.add_argument("--seed", type=int, default=1, help="of what is killed, and when")
    parser.add_argument("--probe-every", type=float, default=1.0, help="seconds between two tasks of high priority")
    parser.add_argument("--idle-probes", type=int, default=90, help="how many of them on the idle fleet")
    parser.add_argument("--minutes", type=float, default=25.0, help="how long to wait for the run")
    options = Options(**vars(parser.parse_args()))
    documents = list(varied(options.documents))
    progress = Progress()
    config = Path(__file__).with_name("fleet.toml")
    instance = Instance(root=REPOSITORY / ".flotilla-benchmark", port=0, config=config, owner_pid=os.getpid())
    try:
        info = up(instance, progress)
        result = asyncio.run(_measure(instance, info, documents, options, progress))
    finally:
        forget(instance, progress)
    publish(__file__, "A workflow over many documents, on the embedded engine", body_of(result))
    return 1 if result.judgement.violations else 0


if __name__ == "__main__":
    sys.exit(main())
