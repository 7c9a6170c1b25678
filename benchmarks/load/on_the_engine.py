"""Load on an engine of the benchmark's own, at a few rates: `python -m benchmarks.load.on_the_engine`.

Engine, functions, event sources and harness share this machine: the figures are the machine's. What carries over is
what is lost or doubled, and what a closed loop would have missed.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from benchmarks.load.ceiling import ceiling
from benchmarks.load.report import markdown
from benchmarks.load.run import Plan, run
from benchmarks.report import publish
from local.engine import forget, up
from local.instance import REPOSITORY, Instance
from local.progress import Progress

_RATES = (5.0, 10.0, 20.0)
_SECONDS = 15.0
_BODY = {"agent": "flotilla.canary", "input": {"value": 1}}
_WARMING = Plan(body=_BODY, rate=40.0, seconds=4.0, logs=0, replays=0)
"""As much at once as will ever be: the engine starts a process for each, and stands still for a minute meanwhile."""


def main() -> None:
    """Measure, print and keep the result."""
    progress = Progress()
    instance = Instance(root=Path(REPOSITORY) / ".flotilla-benchmark" / "load", port=0, owner_pid=os.getpid())
    results = []
    try:
        info = up(instance, progress)
        for plan in (_WARMING, *(Plan(body=_BODY, rate=rate, seconds=_SECONDS) for rate in _RATES)):
            with progress.step(f"{plan.rate:g} tasks a second for {plan.seconds:g} s"):
                results.append(asyncio.run(run(info.api_url, info.tenant_key, plan)))
    finally:
        forget(instance, progress)
    publish(__file__, "Load on the embedded engine", _body(markdown(results[1:])))


_OPEN = (
    "Open loop: tasks are sent at times that were fixed before, and latencies count from those times. "
    '"By service time" is the same from when a connection was free, which is all that a closed loop sees. '
    '"To finish" is from accepted to finished, by the fleet\'s own clocks.'
)
_WARM = (
    "Before it is measured everything is started once, by as many requests at a time as there will ever be: the engine "
    "starts a process for each, and stands still for a minute meanwhile. Submits that meet it time out; they are sent "
    "again with their keys, and count once. Other work on the machine shows in the tails, also in those of the harness."
)
_CEILING = (
    "To a server that does nothing, one process, 64 connections, Poisson arrivals. Late is how long after a task was "
    "due the harness had got to it."
)


def _body(measured: str) -> str:
    return f"{_OPEN}\n\n{_WARM}\n\n{measured}\n\n## What the harness can send\n\n{_CEILING}\n\n{ceiling()}"


if __name__ == "__main__":
    main()
