"""Policies that scale lanes, side by side in simulation: what tasks wait, what it costs, how often it turns round.

PYTHONPATH=layers/flotilla/python python -m benchmarks.scaling
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor

from benchmarks.report import publish, table
from benchmarks.scaling import plots
from benchmarks.scaling.contest import SAME_MISSES, SAME_WAIT, Run, contest
from benchmarks.scaling.loads import SCENARIOS, Scenario
from capacity.simulation import LaneResult

_THRASHING = 60 / 3
"""Turns an hour: a raise and a lower in every six minutes, which is what the cooldown leaves room for."""

_ABOUT = """Each lane is a FIFO queue, an event source mapping and a function of 1 GB in a discrete-event model of AWS's
scaling rules (`capacity/simulation`; the assumptions where AWS says nothing are in its `Rules`). Tasks arrive at random
and take 6 s on average where nothing else is said, the logarithms with a standard deviation of 0.3; a batch takes as
long as its longest task. All policies get the same tasks at the same moments. Scalers are asked every minute and see
queue attributes that are 5 s old and metrics that are a minute older; a mapping keeps to a new maximum after 20 s.

*Flotilla* is `flotilla.primitives.scaling` with its default settings; it begins with the minimum. *Static* lanes have
one size for all the time. *Cheapest as fast* is the smallest size, found by search, whose p95 is not above Flotilla's,
*as punctual* the one that misses the objective no more often: what somebody would set who knew the whole load
beforehand. *Target tracking* follows Application Auto Scaling: two alarms (3 minutes above the target, 15 minutes below
nine tenths of it), then capacity times metric over target, at most every 300 s. Tracked are the share of the allowed
workers that is at work, or the messages that wait for each of them.

Dollars: duration with initialisation, invocations, and the queue calls that come with a batch; what a task costs
besides does not depend on its lane's size. *Turns*: changes of direction of a mapping's maximum. *Missed*: tasks that
waited longer than the objective (300 s; critical 30 s, batch an hour); with a star, the lane is more than a minute's
work behind at the end."""


def main() -> int:
    """Run everything; 0."""
    began = time.monotonic()
    with ProcessPoolExecutor(max_workers=len(SCENARIOS)) as pool:
        contests = list(pool.map(_contest, range(len(SCENARIOS))))
    all_runs = list(zip(SCENARIOS, contests, strict=True))
    parts = [_ABOUT, _findings(all_runs), plots.costs([(scenario.name, runs) for scenario, runs in all_runs])]
    for scenario, runs in all_runs:
        parts += [f"## {scenario.name.capitalize()}", f"{scenario.about.capitalize()}.", _table(scenario, runs)]
        if len(scenario.bounds) > 1:
            parts.append(plots.lending(scenario.name, runs))
        else:
            parts.append(plots.over_time(scenario.name, scenario.about, runs))
    parts.append(f"The whole run took {time.monotonic() - began:.0f} s.")
    publish(__file__, "Scaling policies in simulation", "\n\n".join(parts))
    return 0


def _contest(number: int) -> list[Run]:
    runs = contest(SCENARIOS[number])
    print(f"{SCENARIOS[number].name}: done", file=sys.stderr, flush=True)
    return runs


def _table(scenario: Scenario, runs: Sequence[Run]) -> str:
    ours = runs[0].result.dollars
    lanes = list(scenario.bounds)
    rows = [
        [
            run.policy + (f": {run.sizes[lane]}" if run.sizes and run.policy in (SAME_WAIT, SAME_MISSES) else ""),
            *([lane] if len(lanes) > 1 else []),
            _seconds(result.wait_p50),
            _seconds(result.wait_p95),
            _seconds(result.wait_max),
            f"{result.late / max(1, result.tasks + result.left):.1%}" + (" *" if _behind(result) else ""),
            f"{result.dollars:.2f}",
            f"{run.result.dollars / ours:.2f}",
            f"{result.tasks / max(1, result.invocations):.1f}",
            f"{result.turns / scenario.hours:.1f}",
            str(result.throttles),
        ]
        for run in runs
        for lane, result in run.result.lanes.items()
    ]
    heading = [
        "policy",
        "p50, s",
        "p95, s",
        "longest, s",
        "missed",
        "$",
        "all / ours",
        "a batch",
        "turns/h",
        "throttled",
    ]
    if len(lanes) > 1:
        heading.insert(1, "lane")
    return table(heading, rows)


def _findings(all_runs: Sequence[tuple[Scenario, Sequence[Run]]]) -> str:
    """What the tables come to, said from the figures."""
    cheaper: list[str] = []
    dearer: list[str] = []
    for scenario, runs in all_runs:
        ours, fast, punctual = runs[0].result.dollars, runs[1].result.dollars, runs[2].result.dollars
        words = f"{scenario.name} ({1 - ours / fast:+.0%}, {1 - ours / punctual:+.0%})".replace("+", "")
        (cheaper if ours < fast else dearer).append(words)
    turns = max(
        (result.turns / scenario.hours, scenario.name)
        for scenario, runs in all_runs
        for result in runs[0].result.lanes.values()
    )
    tracked = max(
        (result.turns / scenario.hours, scenario.name)
        for scenario, runs in all_runs
        for run in runs[-2:]
        for result in run.result.lanes.values()
    )
    missed = [
        f"{scenario.name}, {lane}: {result.late / max(1, result.tasks + result.left):.1%}"
        for scenario, runs in all_runs
        for lane, result in runs[0].result.lanes.items()
        if result.late
    ]
    throttled = sum(result.throttles for _, runs in all_runs for result in runs[0].result.lanes.values())
    owed = max((run.owed or {}).get(lane, 0) for _, runs in all_runs for run in runs[:1] for lane in run.owed or {})
    bound = f"The cooldown bounds them to {_THRASHING:.0f} where nobody asks for what was lent."
    lines = [
        "What it comes to; in brackets what is saved against the cheapest static size as fast, and as punctual:",
        "",
        f"- Cheaper than any static size that is as fast: {'; '.join(cheaper) or 'none'}.",
        f"- Not cheaper: {'; '.join(dearer) or 'none'}.",
        f"- Most turns an hour: {turns[0]:.1f} ({turns[1]}); target tracking {tracked[0]:.1f} ({tracked[1]}). {bound}",
        f"- Batches throttled: {throttled}. What lanes called for of their share they had after {owed + 1} periods.",
        f"- Objectives missed: {'; '.join(missed) or 'none'}.",
    ]
    return "\n".join(lines)


def _behind(result: LaneResult) -> bool:
    return result.left > 60 * result.tasks / (len(result.series) * 60)


def _seconds(wait: float) -> str:
    return f"{wait:.2f}" if wait < 10 else f"{wait:,.0f}"


if __name__ == "__main__":
    sys.exit(main())
