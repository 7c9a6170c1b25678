"""No-op tasks a minute and their latency over the embedded engine, beside a bare function on a queue of its own.

Rates: the queue is filled while nothing reads it, then the event sources are started and the queue is drained; rounds
of the subjects alternate. Latency: one task at a time at a steady pace, from before the submit to the stored
result. The engine, the event sources, the clients and the functions all share this machine's cores, so the rates are
the machine's; what carries over to AWS is the ratio.
"""

from __future__ import annotations

import os
import statistics
import time
from pathlib import Path

from benchmarks.report import publish, table
from benchmarks.throughput.subjects import BareFunction, Flotilla, Subject, now_ms, wait_until_drained
from local.engine import forget, up
from local.event_sources_process import start_event_sources, stop_event_sources
from local.instance import REPOSITORY, Instance, LocalInfo
from local.progress import Progress

_ROUNDS = 5
_TASKS = 600
_PACED_TASKS = 100
_PACE_SECONDS = 0.1
_GIVE_UP_SECONDS = 180.0
_AIM = 0.8


def _drain(instance: Instance, info: LocalInfo, subject: Subject, progress: Progress) -> float:
    """Tasks a minute from the first start to the last stored result."""
    with progress.step(f"drain {_TASKS} tasks: {subject.name}") as step:
        task_ids = subject.fill(_TASKS)
        start_event_sources(instance, info.engine_url, step)
        wait_until_drained(info, subject.queue_url, give_up_seconds=_GIVE_UP_SECONDS)
        stop_event_sources(instance)
        ends = subject.ends(task_ids)
    first = min(began for began, _ in ends.values())
    last = max(ended for _, ended in ends.values())
    return len(ends) / (last - first) * 60_000


def _latencies(info: LocalInfo, subject: Subject, progress: Progress) -> list[float]:
    """Milliseconds from before the submit to the stored result, task by task."""
    with progress.step(f"{_PACED_TASKS} tasks, one every {_PACE_SECONDS * 1000:.0f} ms: {subject.name}"):
        began: dict[str, int] = {}
        next_at = time.monotonic()
        for _ in range(_PACED_TASKS):
            submitted_ms = now_ms()
            began[subject.submit()] = submitted_ms
            next_at += _PACE_SECONDS
            time.sleep(max(0.0, next_at - time.monotonic()))
        wait_until_drained(info, subject.queue_url, give_up_seconds=_GIVE_UP_SECONDS)
        return [ended - began[task_id] for task_id, (_, ended) in subject.ends(list(began)).items()]


def main() -> None:
    """Measure, print and keep the result."""
    progress = Progress()
    instance = Instance(root=Path(REPOSITORY) / ".flotilla-benchmark", port=0, owner_pid=os.getpid())
    try:
        info = up(instance, progress)
        stop_event_sources(instance)
        bare, twice = BareFunction(info, writes=1), BareFunction(info, writes=2)
        direct, over_http = Flotilla(info, over_http=False), Flotilla(info, over_http=True)
        drained: tuple[Subject, ...] = (bare, twice, direct)
        for subject in drained:  # warm: environments, connections, compiled files
            _drain(instance, info, subject, progress)
        rates: dict[str, list[float]] = {subject.name: [] for subject in drained}
        for _ in range(_ROUNDS):
            for subject in drained:
                rates[subject.name].append(_drain(instance, info, subject, progress))
        with progress.step("start the event sources") as step:
            start_event_sources(instance, info.engine_url, step)
        latencies = {each.name: _latencies(info, each, progress) for each in (*drained, over_http)}
    finally:
        forget(instance, progress)
    publish(__file__, "Throughput of no-op tasks", _body(rates, latencies, bare.name))


def _body(rates: dict[str, list[float]], latencies: dict[str, list[float]], base: str) -> str:
    rows = []
    for name, found in latencies.items():
        cuts = statistics.quantiles(found, n=20)
        rate = statistics.median(rates[name]) if name in rates else None
        rows.append(
            [
                name,
                "" if rate is None else f"{rate:,.0f}",
                "" if rate is None else f"{rate / statistics.median(rates[base]):.2f}",
                f"{statistics.median(found):.0f}",
                f"{cuts[18]:.0f}",
            ]
        )
    heading = ["what", "tasks/min", "ratio", "p50 ms", "p95 ms"]
    note = (
        f"Rates: median of {_ROUNDS} alternating rounds of {_TASKS} tasks. Latencies: {_PACED_TASKS} tasks, one every "
        f"{_PACE_SECONDS * 1000:.0f} ms. Flotilla writes two events a task: when it started and how it ended. "
        f"Aim: a ratio of at least {_AIM}."
    )
    return f"{table(heading, rows)}\n\n{note}"


if __name__ == "__main__":
    main()
