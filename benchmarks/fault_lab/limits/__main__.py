"""Limits under test, beside others: `python -m benchmarks.fault_lab.limits`.

Writes `benchmarks/fault_lab/limits.md` and its plots. Takes six to eight minutes, half of which is a race of real
processes in real time; `--seconds` makes that shorter.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.fault_lab.limits import plots, zae
from benchmarks.fault_lab.limits.contest import Contest, Contestant, Outcome, run_contest
from benchmarks.fault_lab.limits.contestants import Flotilla, PerProcess
from benchmarks.fault_lab.limits.outage import CONTEST, PHASES, Outlived, outlive
from benchmarks.fault_lab.limits.race import (
    CAP,
    CAP_SKEW_MS,
    LEASE_SECONDS,
    PROCESSES,
    SKEW_MS,
    Bucket,
    Capped,
    Raced,
    race_buckets,
    race_slots,
)
from benchmarks.fault_lab.limits.stores import client_of, engine, make_control_table
from benchmarks.report import machine, table
from flotilla.primitives.token_bucket import Limit

RESULTS = Path(__file__).parent.parent / "limits.md"
LIMITS = (Limit(60, 10), Limit(600, 100), Limit(6000, 1000))
SIZES = (1, 10, 100, 1000)
_ZAE_CALLS = 1500
_ON_ENGINE_SIZE = 10
_ON_ENGINE_RATE = 600
_SLOT_SECONDS = 20.0
_FEW = 3
"""Where a fair share is less than that, how the slowest fares is chance."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One contest of one contestant."""

    name: str
    store: str
    outcome: Outcome


def main() -> None:
    """Measure, and write it down."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fault_lab.limits", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="of the race of processes; default 60")
    seconds = parser.parse_args().seconds
    with engine() as url:
        client = client_of(url)
        make_control_table(client)
        zae.make_table(client)
        # First what real time matters to.
        raced: list[Raced] = []
        for limit in LIMITS[1:]:
            ours = [Bucket(kind, limit, skew_ms) for kind in ("no leases", "leases") for skew_ms in (0, SKEW_MS)]
            raced += race_buckets(url, ours, seconds)
        raced += race_buckets(url, [Bucket("zae", LIMITS[1], skew_ms) for skew_ms in (0, SKEW_MS)], seconds)
        capped = race_slots(url, min(seconds, _SLOT_SECONDS))
        cells = [cell for limit in LIMITS for size in SIZES for cell in contests(Contest(limit, size), client)]
        skewed = [cell for limit in LIMITS for cell in contests(Contest(limit, PROCESSES, SKEW_MS), client)]
    outlived = [outlive(leases=leases) for leases in (False, True)]
    body = "\n\n".join([_raced(raced, seconds), _capped(capped), _simulated(cells, skewed), _outlived(outlived)])
    text = f"# Limits\n\nMeasured on: {machine()}.\n\n{body}\n"
    RESULTS.write_text(text, encoding="utf-8")
    print(text)
    plots.draw_race([one for one in raced if one.bucket.limit == LIMITS[1]])
    plots.draw_writes(SIZES, _writes(cells))
    plots.draw_outage(outlived)


def contests(contest: Contest, client: Any) -> list[Cell]:
    """One contest, of everybody, with the same seed."""
    on_engine = contest.size <= _ON_ENGINE_SIZE and contest.limit.rate_per_minute <= _ON_ENGINE_RATE
    ours, where = (client, "engine") if on_engine else (None, "memory")
    entrants: list[tuple[Contestant, str]] = [
        (Flotilla(leases=False, client=ours), where),
        (Flotilla(leases=True, client=ours), where),
        (PerProcess(shared=True), "none"),
        (PerProcess(shared=False), "none"),
    ]
    found = [Cell(one.name, store, run_contest(contest, one)) for one, store in entrants]
    bounded = Contest(contest.limit, contest.size, contest.skew_ms, contest.seed, contest.seconds, _ZAE_CALLS)
    return [*found, Cell("zae-limiter 0.17", "engine", run_contest(bounded, zae.ZaeLimiter(client)))]


def _writes(cells: Sequence[Cell]) -> dict[str, Sequence[float]]:
    series: dict[str, list[float]] = {}
    for cell in cells:
        total, admitted = cell.outcome.meter.total.writes, len(cell.outcome.admitted)
        if cell.outcome.contest.limit == LIMITS[1] and total and admitted:
            series.setdefault(cell.name, []).append(total / admitted)
    return dict(series)


def _row(cell: Cell) -> list[str]:
    outcome, contest = cell.outcome, cell.outcome.contest
    admitted, total, costs = len(outcome.admitted), outcome.meter.total, outcome.refusals_cost
    waited = sorted(outcome.waited)

    def waiting(percent: int) -> str:
        return f"{waited[min(len(waited) - 1, len(waited) * percent // 100)]:.1f} s" if waited else "-"

    def each(amount: float, of: int) -> str:
        return "-" if of == 0 or cell.store == "none" else f"{amount / of:.3f}"

    few = admitted < _FEW * contest.size
    return [
        f"{contest.limit.rate_per_minute} + {contest.limit.burst}",
        str(contest.size),
        cell.name,
        cell.store if outcome.seconds >= contest.seconds else f"{cell.store}, first {outcome.seconds:.0f} s",
        str(admitted),
        f"{outcome.most_over():.0f}",
        f"{100 * outcome.over_share():.0f} %",
        "-" if few else f"{outcome.slowest():.2f}",
        each(total.writes, admitted),
        each(total.reads, admitted),
        each(costs.writes + costs.reads / 5, outcome.refused),
        waiting(50),
        waiting(99),
    ]


_HEADING = [
    *("limit a minute + burst", "N", "limiter", "store", "admitted", "over the bound", "over-admission", "slowest"),
    *("writes each", "reads each", "a refusal costs", "waited p50", "waited p99"),
]


def _simulated(cells: Sequence[Cell], skewed: Sequence[Cell]) -> str:
    return f"""## Simulated fleets

N environments on one virtual clock race for one limit for 60 s, with the same seeds for everybody. Each makes one call
after the other; together they want three times what is allowed; who is refused comes back when it was told to. Every
call to a store takes 2 to 8 ms. *store*: the embedded engine's DynamoDB, or the memory of the contract suite where
there would be too many real calls; zae-limiter always uses the engine, and is stopped after {_ZAE_CALLS} calls. *over
the bound*: admissions beyond burst + rate * (t + skew), at the worst moment. *slowest*: what the environment that got
least has of an equal share (- where that is less than {_FEW} calls). *writes* and *reads*: units for each admission,
refusals included; half a unit for a read that may be a moment old. *a refusal costs*: write units (a read unit is a
fifth of one in price); a refusal that takes a place in the queue has paid for the admission that follows.

{table(_HEADING, [_row(cell) for cell in cells])}

Clocks that are up to ± {SKEW_MS // 1000} s wrong, {PROCESSES} environments:

{table(_HEADING, [_row(cell) for cell in skewed])}

![writes an admission](plots/limits_writes.svg)

- What is written at 60 a minute is for the most part places in the queue that are not due when the minute is over: one
  for each environment. Without leases it is N writes in all, whatever the length of the race.
- With many environments that each need little, leases hold tokens where nobody needs them just then: fewer are used
  within the minute. A limit of which each process uses a call now and then is better served without.
- A limiter in each process costs nothing, and is either over the limit N times, or as unfair as its N is wrong: with
  rate / N each has at least a burst of 1 to itself, so that many processes are over the bound with it too."""


def _raced(raced: Sequence[Raced], seconds: float) -> str:
    rows = []
    for one in raced:
        admitted, limit = len(one.admitted), one.bucket.limit
        rows.append(
            [
                one.bucket.name,
                f"{limit.rate_per_minute} + {limit.burst}",
                f"± {one.bucket.skew_ms / 1000:g} s",
                str(admitted),
                f"{one.bound(one.seconds):.0f}",
                f"{one.most_over():.0f}",
                f"{one.writes / max(1, admitted):.3f}",
                f"{one.reads / max(1, admitted):.3f}",
                f"{one.slowest():.2f}",
                str(one.unanswered),
            ]
        )
    heading = ["limiter", "limit a minute + burst", "clocks", "admitted", "bound", "over it", "writes each"]
    heading += ["reads each", "slowest", "unanswered"]
    return f"""## Race of processes

{PROCESSES} processes of the operating system, {seconds:g} s of real time, one bucket in each row, on the DynamoDB of
the embedded engine; the rows of one limiter and limit at the same time, the others after. All ask for as much as they
can get. The bucket is there beforehand, and full. *unanswered*: asks that the engine kept waiting for
more than a second, at which a process goes on by itself (fails open): what it admits then is not bounded by the bucket,
and counts here.

{table(heading, rows)}

At 600 a minute a process gets 44 calls in all: what it draws in the crowd of the start, and the place that it has in
the queue at the end, are a good part of its writes, all the more where a call to the store takes long.

![admitted so far](plots/limits_race.svg)"""


def _capped(capped: Capped) -> str:
    back = "never" if capped.back_after is None else f"{capped.back_after:.1f} s"
    rows = [
        ["inside at once, at most", f"{capped.most} of {CAP}"],
        ["entries, refusals", f"{capped.entries}, {capped.refused}"],
        ["processes killed while inside", str(len(capped.killed))],
        ["after that the cap was filled again within", back],
        ["write units an entry", f"{capped.writes / max(1, capped.entries):.2f}"],
        ["read units an entry, refusals included", f"{capped.reads / max(1, capped.entries):.2f}"],
    ]
    return f"""## Cap on calls at once

{PROCESSES} processes go in and out of a section for {CAP}; leases of {LEASE_SECONDS:g} s, clocks wrong by up to
± {CAP_SKEW_MS / 1000:g} s. Holders are killed by process id; their slots count as in use until their leases end.

{table(["", "measured"], rows)}"""


def _outlived(outlived: Sequence[Outlived]) -> str:
    rows = []
    for one in outlived:
        over = one.outcome.most_over()
        phases = [f"{one.a_minute(since, until):.0f}" for _, since, until in PHASES]
        rows.append([one.name, *phases, f"{over:.0f}", str(one.metrics.counted["ProtectionUnavailable"])])
    heading = ["limiter", *(f"store {name}" for name, _, _ in PHASES), "over the bound", "`ProtectionUnavailable`"]
    return f"""## The store fails

Simulated: {CONTEST.size} environments, {CONTEST.limit.rate_per_minute} a minute + {CONTEST.limit.burst}. From second
40 on the store refuses four calls in five, from 55 to 75 all. Admissions a minute:

{table(heading, rows)}

![admissions through the outage](plots/limits_outage.svg)

No call failed for it. While the store does not answer each process keeps to its share of the limit, by as many others
as it last saw draw, from a bucket of its own that begins full: what is lost meanwhile is the one bound for all
(*over the bound* counts it), and what was drawn in calls whose answers were lost. Where a process had not met the
others yet it takes itself to be alone, and its share is the whole limit."""


if __name__ == "__main__":
    main()
