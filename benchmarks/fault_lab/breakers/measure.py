"""Puts every scenario to every kind of protection, and says what came of it."""

from __future__ import annotations

import logging
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

from benchmarks.fault_lab.breakers import plots, scenarios
from benchmarks.fault_lab.breakers.fleets import FlotillaFleet, LiteLlmFleet, OpenFleet
from benchmarks.fault_lab.breakers.overhead import overhead
from benchmarks.fault_lab.breakers.packages import PowertoolsFleet, PybreakerFleet, on_the_virtual_clock
from benchmarks.fault_lab.breakers.scenarios import Maker, Outage
from benchmarks.fault_lab.breakers.stores import Stores, engine_stores
from benchmarks.fault_lab.record import record
from benchmarks.report import table

_BUSY_SECONDS = 8.0
"""How long the outage lasts under ten calls a second: what it costs is spent within the first."""

_SEEDS = {1: 3, 10: 3, 100: 3, 1000: 1}
_SHORT = ("Flotilla", "Powertools", "LiteLLM", "pybreaker")
_AFTER_A_COOLDOWN = (0.5, 1.5, 3.0, 5.0)
_WORKERS = 2
_MEMORY = Stores(None)


def kinds(stores: Stores, **flotilla: Any) -> dict[str, Maker]:
    """What is compared, ours first and no protection last."""
    return {
        "Flotilla": lambda seed: FlotillaFleet(stores, seed, **flotilla),
        "Powertools 3.37": lambda seed: PowertoolsFleet(stores, seed),
        "LiteLLM's rules": lambda _: LiteLlmFleet(),
        "pybreaker 1.4.1": lambda _: PybreakerFleet(),
        "no breaker": lambda _: OpenFleet(),
    }


@dataclass(frozen=True, slots=True)
class Lab:
    """What is run, and on which stores.

    Attributes:
        sizes: Of the fleets.
        engine: Stores on an embedded engine.
        engine_up_to: The largest fleet that uses them; larger ones use those in memory.
    """

    sizes: Sequence[int]
    engine: Stores
    engine_up_to: int

    def stores(self, size: int) -> Stores:
        """Those for a fleet of that size."""
        return self.engine if size <= self.engine_up_to else _MEMORY

    def named(self, size: int) -> str:
        """A fleet's size in a table; with a star where its stores are in memory."""
        return f"{size:,}" + ("" if size <= self.engine_up_to else "*")


def breakers(sizes: Sequence[int], engine_up_to: int) -> None:
    """Measure and write down the breakers' part of the results."""
    began = time.perf_counter()
    with ProcessPoolExecutor(_WORKERS, get_context("spawn")) as workers:
        order = sorted(_MEASURES, key=lambda name: name not in _LONGEST_FIRST)
        parts = {name: workers.submit(_measured, name, tuple(sizes), engine_up_to) for name in order}
        sections = [parts[name].result() for name in _MEASURES]
    taken = f"The whole run took {(time.perf_counter() - began) / 60:.0f} minutes."
    record("Circuit breakers", "\n\n".join([_intro(), *sections, taken]))


def _measured(name: str, sizes: Sequence[int], engine_up_to: int) -> str:
    """One part, in a process of its own."""
    logging.disable(logging.ERROR)  # each kind has something to say about every fault, and of what a run leaves undone
    began = time.perf_counter()
    with nullcontext() if name in _IN_REAL_TIME else on_the_virtual_clock(), engine_stores() as engine:
        section = _MEASURES[name](Lab(sizes, engine, engine_up_to))
    print(f"{name}: {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    return section


def _intro() -> str:
    return (
        "Fleets of execution environments on one virtual clock. Calls arrive at random, at the same moments and in the "
        "same environments for every kind, and the n-th that reaches the dependency meets what the script and the seed "
        "say. *Flotilla* is the service with its default policy over its DynamoDB adapter, *Powertools* its package "
        "with its DynamoDB persistence, *pybreaker* its package in each environment, each with its defaults; "
        "*LiteLLM's "
        "rules* are its router's documented ones, for one of two deployments. The store is the embedded engine, and "
        "for sizes with a star one in memory that passes the same tests; either answers after 2 to 8 ms of virtual "
        "time."
    )


def _wasted(lab: Lab) -> str:
    lone = {name: scenarios.lone(make) for name, make in kinds(lab.engine).items()}
    lone["LiteLLM's rules"] = scenarios.lone(lambda _: LiteLlmFleet(alone=True))
    return (
        f"### A hard outage\n\n{_wasted_at(lab, 10, _BUSY_SECONDS)}\n\nLiteLLM's issue 40405, where a deployment "
        "that is its model's only one is never left alone: 11 requests, each tried up to three times. "
        + ", ".join(f"{name}: {calls} calls" for name, calls in lone.items())
        + "."
    )


def _wasted_slowly(lab: Lab) -> str:
    return _wasted_at(lab, 1, scenarios.OUTAGE_SECONDS)


def _wasted_at(lab: Lab, rate: int, seconds: float) -> str:
    runs: dict[str, list[list[Outage]]] = {name: [] for name in kinds(_MEMORY)}
    rows = []
    for size in lab.sizes:
        for name, make in kinds(lab.stores(size)).items():
            runs[name].append(_outages(make, size, rate, seconds))
        wasted = {name: statistics.median(run.wasted for run in found[-1]) for name, found in runs.items()}
        best = min(count for name, count in wasted.items() if name != "Flotilla")
        held = [[run.held_after for run in found[-1] if run.held_after is not None] for found in runs.values()]
        rows.append(
            [
                lab.named(size),
                *(f"{count:,.0f}" for count in wasted.values()),
                f"{wasted['Flotilla'] / best:.3f}",
                *(f"{statistics.median(each):.2f}" if each else "never" for each in held[:4]),
            ]
        )
    heading = ["environments", *(f"wasted: {name}" for name in [*_SHORT, "none"]), "ours / best peer"]
    text = (
        f"{rate} call{'s' if rate > 1 else ''} a second in each environment, dead for {seconds:.0f} s: calls made in "
        "vain, and seconds until the median environment was first held back. Medians over "
        f"{_SEEDS[lab.sizes[0]]} seeds, {_SEEDS[1000]} for 1,000 environments.\n\n"
        + table([*heading, *(f"held after: {name}" for name in _SHORT)], rows)
    )
    if rate == 1:
        return text
    place = min(2, len(lab.sizes) - 1)
    costly = {name: found[place][0].costly for name, found in runs.items()}
    return "\n\n".join(
        [
            text,
            plots.wasted_by_size(lab.sizes, _medians(runs), rate),
            plots.wasted_over_time(costly, lab.sizes[place], rate, seconds),
        ]
    )


def _outages(make: Maker, size: int, rate: float, seconds: float) -> list[Outage]:
    return [
        scenarios.outage(make, size, rate, seed, seconds=seconds, recovery=False) for seed in range(1, _SEEDS[size] + 1)
    ]


def _medians(runs: dict[str, list[list[Outage]]]) -> dict[str, list[float]]:
    return {name: [statistics.median(run.wasted for run in each) for each in found] for name, found in runs.items()}


def _recovery(lab: Lab) -> str:
    rows = []
    for size in [one for one in lab.sizes if one >= 10]:
        for name, make in list(kinds(lab.stores(size)).items())[: 4 if size <= 100 else 1]:
            cooldown = make(0).cooldown_seconds
            lengths = (cooldown + more for more in _AFTER_A_COOLDOWN)
            runs = [scenarios.outage(make, size, 1, 1, seconds=seconds, recovery=True) for seconds in lengths]
            worst = max(runs, key=lambda run: (run.recovered_after or 0.0) / run.cooldown_seconds)
            usual = scenarios.outage(make, size, 1, 2, recovery=True)
            multiple = None if worst.recovered_after is None else worst.recovered_after / worst.cooldown_seconds
            rows.append(
                [
                    lab.named(size),
                    name,
                    _seconds(usual.recovered_after),
                    _seconds(worst.recovered_after),
                    f"{worst.cooldown_seconds:.0f}",
                    "-" if multiple is None else f"{multiple:.2f}",
                    f"{usual.late:.1f}",
                    str(usual.most_probes or "-"),
                ]
            )
    heading = ["environments", "", "recovered, s", "worst, s", "cooldown, s", "worst / cooldown", "tries", "at once"]
    return (
        "### Recovery\n\nOne call a second in each environment. *Recovered*: after 30 s of outage, from the "
        "dependency's return until 19 of 20 calls went through. *Worst*: the same where it returns soon after the "
        "first cooldown (0.5, 1.5, 3 and 5 s), and in multiples of the cooldown held then. *Tries*: calls on the dead "
        "dependency from the third second on, for each cooldown that ended. *At once*: the most probes under way "
        "(three may be).\n\n" + table(heading, rows)
    )


def _dying(lab: Lab) -> str:
    rows = []
    for size in [one for one in lab.sizes if one >= 10]:
        for name, make in list(kinds(lab.stores(size)).items())[: 2 if size <= 100 else 1]:
            run = scenarios.outage(make, size, 1, 3, recovery=True, dying=3)
            rows.append(
                [lab.named(size), name, str(run.most_probes or 1), _seconds(run.recovered_after), f"{run.late:.1f}"]
            )
    heading = ["environments", "", "most probes leased at once", "recovered, s", "tries"]
    return (
        "Where the first three environments that try again die in the middle of it, so that nothing is ever heard of "
        "their calls:\n\n" + table(heading, rows)
    )


def _errors(lab: Lab) -> str:
    runs = [(0.1, size, 10 / size, 3600, "an hour") for size in lab.sizes]
    runs += [(0.05, min(100, lab.sizes[-1]), 10 / min(100, lab.sizes[-1]), 3600, "an hour")]
    runs += [(0.1, lab.sizes[-1], 1000 / lab.sizes[-1], 60, "a minute")]
    rows = []
    for share, size, rate, seconds, span in runs:
        found = [scenarios.background(make, size, rate, share, seconds) for make in list(kinds(_MEMORY).values())[:4]]
        trips = [f"{one.trips} ({one.held:,})" for one in found]
        rows.append([f"{share:.0%}", f"{size:,}", f"{rate:g}", span, f"{found[0].calls:,}", *trips])
    heading = ["errors", "environments", "calls/s each", "for", "calls", *(f"trips: {name}" for name in _SHORT)]
    return (
        "### Background errors\n\nHow often anything opened, and in brackets the calls held back by it, though at most "
        "one call in ten failed. Stores in memory, which pass the same tests as the adapters.\n\n"
        + table(heading, rows)
    )


def _slow(lab: Lab) -> str:
    rows = []
    for size in lab.sizes:
        rate = 10 if size <= 100 else 1
        slow_kinds = list(kinds(lab.stores(size), policy=scenarios.SLOW_POLICY).values())[: 4 if size <= 10 else 1]
        found = [scenarios.slow(make, size, rate, 60 if place == 0 else 30) for place, make in enumerate(slow_kinds)]
        slow = ["never" if each is None else f"{each:.1f}" for each in found]
        few = [scenarios.few(make, size) for make in list(kinds(lab.stores(size)).values())[:4]]
        rows.append(
            [
                lab.named(size),
                str(rate),
                *slow,
                *["-"] * (4 - len(slow)),
                *("opened" if each else "no" for each in few),
            ]
        )
    heading = ["environments", "calls/s each", *_SHORT, *(f"nine: {name}" for name in _SHORT)]
    return (
        "### Slow without errors, and few calls\n\nFive calls in a hundred take 0.9 to 1.5 s instead of 5 to 20 "
        "ms, and "
        "none fails: seconds until that was noticed (ours with p99 at most 500 ms; the others have no such thing, and "
        "were watched for half a minute). *Nine*: whether nine failing calls, one fewer than the minimum volume, "
        "opened "
        "anything.\n\n" + table(heading, rows)
    )


def _flapping(lab: Lab) -> str:
    rows = []
    for size in lab.sizes:
        found = [scenarios.flapping(make, size, 1) for make in kinds(lab.stores(size)).values()]
        cells = (f"{one.wasted:,} · {one.while_flapping:.0%} · {one.afterwards:.0%}" for one in found)
        rows.append([lab.named(size), *cells])
    return (
        "### Flapping\n\nDown for three seconds out of six, three times, at one call a second in each "
        "environment: calls "
        "wasted · of the calls that came in between while it was up, the share that went through · the same of "
        "the half "
        "minute afterwards.\n\n" + table(["environments", *_SHORT, "no breaker"], rows)
    )


def _cost(lab: Lab) -> str:
    rows = []
    for size in [one for one in lab.sizes if one <= 100]:
        for name, make in list(kinds(lab.engine).items())[:2]:
            cost = scenarios.healthy(make, size, 10, 60 if size <= 10 else 10)
            figures = (cost.reads, cost.read_units, cost.writes, cost.write_units)
            rows.append([f"{size:,}", name, *(f"{figure:.4f}" for figure in figures)])
    return (
        "### What it costs while all is well\n\nFor each protected call, at ten calls a second in each environment; "
        "units as the engine bills them.\n\n"
        + table(["environments", "", "reads", "read units", "writes", "write units"], rows)
    )


def _overhead(lab: Lab) -> str:
    added = [[name, f"{median:.4f}", f"{p99:.4f}"] for name, (median, p99) in overhead(lab.engine).items()]
    return "Real time that a call takes longer while the state is cached, over 5,000 calls:\n\n" + table(
        ["", "p50, ms", "p99, ms"], added
    )


def _storeless(lab: Lab) -> str:
    rows = []
    for label, throttled in (("down", 0.0), ("half its calls throttled", 0.5)):
        for size, rate in ((10, 10), (100, 1)):
            for name, make in list(kinds(lab.stores(size)).items())[:2]:
                run = scenarios.storeless(make, size, rate, throttled=throttled)
                figures = [f"{run.held_while_well:.1%}", f"{run.wasted:,}", f"{run.of:,}", f"{run.wasted / run.of:.1%}"]
                rows.append([label, lab.named(size), name, *figures])
    heading = ["store", "environments", "", "held back while well", "wasted in a minute", "of calls", "share"]
    return (
        "### Without the store\n\nThe store is lost first, and twenty seconds later the dependency for a minute: calls "
        "go on while it is well, and each environment's own guard leaves it alone when it is not (10 calls/s "
        "each in 10 "
        "environments, 1 in 100).\n\n" + table(heading, rows)
    )


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


_IN_REAL_TIME = ("overhead",)
_LONGEST_FIRST = ("errors", "wasted")

_MEASURES: dict[str, Callable[[Lab], str]] = {
    "wasted": _wasted,
    "wasted slowly": _wasted_slowly,
    "recovery": _recovery,
    "dying": _dying,
    "errors": _errors,
    "slow": _slow,
    "flapping": _flapping,
    "cost": _cost,
    "overhead": _overhead,
    "storeless": _storeless,
}
