"""How the findings are written down."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.peers.environment import APT
from benchmarks.peers.measuring import Findings, Sizes
from benchmarks.peers.programs.work import IO, NOTE
from benchmarks.peers.sink import TAKES_SECONDS
from benchmarks.peers.subject import AT_ONCE, DEAD_AFTER_SECONDS, TASKS_EACH, WORKERS
from benchmarks.report import table

_NONE = "—"

_SHORT = "**A short run: it shows that everything works; its figures are no measurement.**\n"

_COMPARABLE = f"""\
## What can be compared, and what cannot

Every subject does the same work on the same machine, one after the other in one run: at most {WORKERS * TASKS_EACH}
tasks at once, a submit for each task, {AT_ONCE} submits at a time. A task of I/O waits
{TAKES_SECONDS * 1000:.0f} ms for a server on this machine, so nothing can do more than
{WORKERS * TASKS_EACH / TAKES_SECONDS * 60:,.0f} of them a minute.

- **Flotilla's rate and processor time are mostly the emulator's.** An API gateway, an authorizer, functions, queues,
  tables and streams are one Python process here and a few others beside it, on the cores that the work needs too. On
  AWS they are services: what limits a lane there is its concurrency, and what a task takes of them has a
  [price](../cost/results.md) instead of processor time. Beside Celery + SQS, which has the same emulator under it, the
  difference is what the fleet does besides: a log of every task, a read model, an archive, notices.
- **Its latency likewise**: a submit is a request through gateway, authorizer and function, each of them emulated.
- **Durability differs.** Redis and PostgreSQL have a task on this machine's disk before they accept it. The engine has
  what it accepted in memory, where AWS has it on disks in three places.
- **What a killed worker costs can be compared**: what is lost and what is done twice is the subject's own doing. How
  soon its tasks are done again is a matter of settings: {DEAD_AFTER_SECONDS:.0f} s of silence where there is such a
  setting, for most far below its default. DBOS has none: an executor that starts again takes up what it had, here one
  second after the kill.
- **Nobody here does an effect exactly once.** A task that is killed after its effect has it again, so what receives it
  must know the task by a key. The same is true of a task that was done, and killed before that was written down: these
  are the ones that are double though done. Any beyond what one worker holds were given out twice.
- **Celery can lose a task on Redis**, though not in every run: it pops a message (`BRPOP`) before it notes it as
  unacknowledged, and of one whose worker was killed in between nothing is left in Redis.
"""


def body(findings: Sequence[Findings], sizes: Sizes, *, short: bool) -> str:
    """The whole result, in Markdown.

    Args:
        findings: Of each subject; the first is what the others are compared with.
        sizes: How many tasks there were.
        short: It was a run to see that everything works.
    """
    load = (
        f"\n{sizes.notes:,} no-op tasks and {sizes.io:,} of I/O, submitted as fast as they are taken; from "
        "the first submit to the end of the last. CPU: of the submitter, the workers and all that they run on, "
        f"until all of it is at rest again. Latency: {sizes.paced} no-op tasks, one every 50 ms; end to end is from "
        f"before the submit to the end of the task's function. Ratios: to {findings[0].name}.\n"
    )
    kill = (
        f"\n{sizes.kills} kills of each kind, each under {sizes.killed:,} tasks of I/O, when a third is done; what was "
        "killed is started again a second later. Cut off: at work in what was killed. Lost: never done to the end. "
        "Double: the effect, counted by the server that the tasks call, happened more than once. Times: from the kill, "
        "the longest; none where something was lost.\n"
    )
    parts = [
        *([_SHORT] if short else []),
        _rates(findings),
        load,
        "## kill -9 of a worker under load\n",
        _tolls(findings),
        kill,
        "## How each is set up\n",
        *(f"- **{each.name}**: {each.how}." for each in findings),
        "",
        _COMPARABLE,
        f"`make bench-peers` measures all of it again, in some ten minutes; it needs `{APT}`.\n",
        *_failures(findings),
    ]
    return "\n".join(parts).strip()


def _rates(findings: Sequence[Findings]) -> str:
    heading = ["what"]
    for workload in ("no-op", "I/O"):
        heading += [f"{workload} tasks/min", "ratio", "CPU ms/task"]
    heading += ["submit p50/p95 ms", "end to end p50/p95 ms", "idle CPU ms/s"]
    rows = []
    for each in findings:
        row = [each.name]
        for workload in (NOTE, IO):
            load, base = each.loads.get(workload), findings[0].loads.get(workload)
            if load is None:
                row += [_NONE, _NONE, _NONE]
                continue
            ratio = _NONE if base is None else f"{load.per_minute / base.per_minute:.2f}"
            row += [f"{load.per_minute:,.0f}", ratio, f"{load.processor_ms:.1f}"]
        idle = _NONE if each.idle_ms_per_second is None else f"{each.idle_ms_per_second:.0f}"
        rows.append([*row, _pair(each.submit_ms), _pair(each.end_to_end_ms), idle])
    return table(heading, rows)


def _tolls(findings: Sequence[Findings]) -> str:
    heading = ["what", "killed", "tasks", "cut off", "lost", "double", "double though done"]
    heading += ["cut off done after s", "all done after s"]
    rows = []
    for each in findings:
        if not each.tolls:
            rows.append([each.name, *[_NONE] * (len(heading) - 1)])
        for what, toll in each.tolls.items():
            counts = [toll.tasks, toll.cut_off, toll.lost, toll.double, toll.double_though_done]
            times = [_seconds(toll.recovered_seconds), _seconds(toll.finished_seconds)]
            rows.append([each.name, what, *map(str, counts), *times])
    return table(heading, rows)


def _failures(findings: Sequence[Findings]) -> list[str]:
    found = [f"- {each.name}: {failure}" for each in findings for failure in each.failures]
    return ["## What could not be measured\n", *found] if found else []


def _pair(values: tuple[float, float] | None) -> str:
    return _NONE if values is None else f"{values[0]:.1f} / {values[1]:.1f}"


def _seconds(value: float | None) -> str:
    return _NONE if value is None else f"{value:.1f}"
