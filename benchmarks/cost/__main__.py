"""What a happy task costs: AWS calls and write units by kind, and dollars for a million at list prices.

Everything of the framework is in it, logs too; not in it are the agent's own time and what is broadcast. Tasks are
submitted singly and in batches, and worked off by tens, as on a lane that is never idle.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.cost.bill import bill, compared, way_of
from benchmarks.fleet import fleet
from benchmarks.report import publish, table
from capacity import prices
from capacity.task_units import WAIT_MS, Line, Way, dollars_per_million
from flotilla.primitives.retention import MARGIN_DAYS
from local.clients import client
from local.environment import dummy_credentials
from local.event_sources_process import stop_event_sources
from local.instance import REPOSITORY, Instance, LocalInfo
from local.progress import Progress
from local.synthesis import synthesize

_TASKS = 1000
_INPUT_CHARACTERS = 100
_KEPT_DAYS = 30
"""`retention.days` in fleet.toml."""

_HEADINGS = ["what", "a task", "$ for a million", "$ for a million tasks", "by the plan"]
_FUNCTIONS = ("authorizer", "api", "worker-standard", "projector")
_AIMS = {"submitted singly": 5.50, "submitted in batches": 3.50}
_SUBMITTED = {"submitted singly": 1, "submitted in batches": 100}
_LOG_WRITES_AIM = 3.0
_VIEW_WRITES_AIM = 2.0
_APART = 0.03
"""How far the plan's model may be from what was counted, in what calls cost."""


def _count(info: LocalInfo, layer: Path, environments: dict[str, Any], *, batched: bool) -> dict[str, Any]:
    request = {
        "engine_url": info.engine_url,
        "key": info.tenant_key,
        "outputs": info.outputs,
        "environments": environments,
        "tasks": _TASKS,
        "batched": batched,
        "input_characters": _INPUT_CHARACTERS,
        "stream_batches": _stream_batches(info),
    }
    environment = {
        **os.environ,
        **dummy_credentials(),
        "AWS_ENDPOINT_URL": info.engine_url,
        "PYTHONPATH": f"{layer}{os.pathsep}{REPOSITORY}",
    }
    command = [sys.executable, "-m", "benchmarks.cost.pipeline", json.dumps(request)]
    process = subprocess.run(command, env=environment, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, check=True)
    count: dict[str, Any] = json.loads(process.stdout)
    return count


def _stream_batches(info: LocalInfo) -> dict[str, int]:
    """How the deployed projector's records are gathered."""
    fleet_name = info.outputs["EventsTable"].removesuffix("-events")
    answer = client("lambda", info.engine_url).list_event_source_mappings(FunctionName=f"{fleet_name}-projector")
    (mapping,) = answer["EventSourceMappings"]
    return {"window_ms": mapping["MaximumBatchingWindowInSeconds"] * 1000, "most": mapping["BatchSize"]}


def _deployed(info: LocalInfo, instance: Instance, progress: Progress) -> tuple[Path, dict[str, Any], dict[str, int]]:
    """Where the deployed library lies, and each function's environment and memory."""
    with progress.step("find what is deployed") as step:
        assembly = synthesize(instance, step)
    layer = next(assembly.glob("asset.*/python/flotilla/agents/manifest.json")).parents[2]
    functions = client("lambda", info.engine_url)
    environments, memory_mb = {}, {}
    fleet_name = info.outputs["EventsTable"].removesuffix("-events")
    for function in _FUNCTIONS:
        found = functions.get_function_configuration(FunctionName=f"{fleet_name}-{function}")
        environments[function] = found["Environment"]["Variables"]
        memory_mb[function.partition("-")[0]] = found["MemorySize"]
    return layer, environments, memory_mb


def main() -> int:
    """Measure, print and keep the result; exit status 1 where an aim is missed."""
    progress = Progress()
    with fleet(progress) as (instance, info):
        stop_event_sources(instance)
        layer, environments, memory_mb = _deployed(info, instance, progress)
        counts = {}
        for name, batched in (("submitted singly", False), ("submitted in batches", True)):
            with progress.step(f"{_TASKS} tasks {name}"):
                counts[name] = _count(info, layer, environments, batched=batched)
    bills = {name: list(bill(count, _TASKS, memory_mb)) for name, count in counts.items()}
    ways = {
        name: way_of(count, _TASKS, memory_mb, submit_batch=_SUBMITTED[name], batch=10)
        for name, count in counts.items()
    }
    sections = [_section(name, lines, counts[name], ways[name]) for name, lines in bills.items()]
    publish(__file__, "What a task costs", "\n\n".join(sections))
    missed = [name for name, lines in bills.items() if _total(lines) > _AIMS[name]]
    apart = [name for name, lines in bills.items() if compared(lines, ways[name])[1] > _APART]
    return 1 if missed or apart else 0


def _total(lines: list[Line]) -> float:
    return sum(line.dollars for line in lines)


def _section(name: str, lines: list[Line], count: dict[str, Any], way: Way) -> str:
    reckoned, apart = compared(lines, way)
    rows = [
        [
            line.what,
            f"{line.per_task:.4f}",
            f"{line.price:.4g}",
            f"{line.dollars:.3f}",
            f"{reckoned.get(line.what, 0.0):.4f}",
        ]
        for line in lines
    ]
    rows.append(["**total**", "", "", f"**{_total(lines):.2f}**", f"**${dollars_per_million(way):.2f}**"])
    kept_gb = count["stored_bytes"] / _TASKS * 1_000_000 / 1e9
    kept = kept_gb * prices.TABLE_GB_MONTHS * (_KEPT_DAYS + MARGIN_DAYS) / 30
    calls = [[key, f"{number / _TASKS:.3f}"] for key, number in sorted(count["calls"].items())]
    waits = ", ".join(f"{function} {wait}" for function, wait in WAIT_MS.items())
    return (
        f"## A task {name}\n\n"
        f"{table(_HEADINGS, rows)}\n\n"
        f"Aim: at most ${_AIMS[name]:.2f}; {_LOG_WRITES_AIM:.0f} write units on the log, at most "
        f"{_VIEW_WRITES_AIM:.0f} on the views. Counted over {_TASKS:,} tasks with inputs of {_INPUT_CHARACTERS} "
        f"characters. Lambda's time is processor time measured here, as much longer as the function has less than one "
        f"processor, and an assumed wait for AWS calls ({waits} ms an invocation).\n\n"
        f"The last column is what `flotilla plan` reckons with (`capacity/task_units.py`) for tasks that take "
        f"{count['span_seconds']:.2f} s from their first event to their last, as these did: {apart:.1%} off in what "
        "the calls cost.\n\n"
        f"Beyond the total, which is for doing it: keeping a million of these logs in the table takes "
        f"{kept_gb:.2f} GB, ${kept:.2f} until they expire {_KEPT_DAYS} + {MARGIN_DAYS} days later.\n\n"
        f"{table(['call', 'a task'], calls)}"
    )


if __name__ == "__main__":
    sys.exit(main())
