"""What the benchmark found, as a page."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from benchmarks.documents.history import Child, Parts, parts_of
from benchmarks.documents.judgement import STEPS, Judgement
from benchmarks.documents.load import CLIENT, FUNCTIONS, INVOCATIONS, REQUESTS, SOURCES, STATES, WORKERS, Load
from benchmarks.documents.probe import AIM, COLD_MS, Waits
from benchmarks.fleet import percentile
from benchmarks.report import table
from flotilla.events import Event

TARGET_PER_HOUR = 10_000
FULL = 0.9
"""What is in use by so much has nothing left to give: there is always some waiting in between."""

_SHOWN_VIOLATIONS = 50


@dataclass(frozen=True, slots=True)
class Result:
    """All that was found.

    Attributes:
        children: Step Functions' executions, one for each document.
        idle: How long probes waited before; `loaded`: meanwhile.
        tormented_seconds: How long processes were killed.
        kills: When a worker was, and of which function it was.
        concurrency: How many documents were to be at work at once.
    """

    run_id: str
    judgement: Judgement
    load: Load
    logs: Mapping[str, Sequence[Event]]
    children: Sequence[Child]
    report: str
    idle: Waits
    loaded: Waits
    workers_killed: int
    sources_killed: int
    duplicates: int
    tormented_seconds: float
    kills: Sequence[tuple[int, str]]
    concurrency: int

    @property
    def seconds(self) -> float:
        """From the acceptance of the run to its end, by its log."""
        events = self.logs.get(self.run_id, ())
        return (events[-1].at_ms - events[0].at_ms) / 1000 if len(events) > 1 else self.load.seconds

    @property
    def per_hour(self) -> float:
        """Documents."""
        return 3600 * self.judgement.done / self.seconds

    @property
    def per_hour_in_the_thick(self) -> float:
        """Documents, from when the first was done until nine tenths were."""
        ends = sorted(child.ended for child in self.children)
        most = ends[: max(2, int(FULL * len(ends)))]
        return 3_600_000 * (len(most) - 1) / (most[-1] - most[0]) if len(most) > 1 and most[-1] > most[0] else 0.0

    @property
    def calm(self) -> Waits:
        """The probes meanwhile, but for those right after a worker of their lane was killed."""
        return self.loaded.apart_from(self.kills)

    @property
    def ratio(self) -> float:
        """The probes' p95 meanwhile, in those before."""
        return self.loaded.p(95) / self.idle.p(95)


def body_of(result: Result) -> str:
    """The page, without its heading."""
    judgement = result.judgement
    parts = parts_of(result.children, result.logs, _tasks_by_document(result.report))
    found = "\n".join(f"- {violation}" for violation in judgement.violations[:_SHOWN_VIOLATIONS])
    sections = [
        table(["what", "came to", "aim"], _promises(result)),
        _bound(result, parts),
        table(["processor time", "of a core", ""], _load(result.load)),
        _where_time_goes(parts),
        table(["a task of high priority, accepted to started", "p50 ms", "p95 ms", "p99 ms"], _probes(result)),
        _ratio(result),
    ]
    return "\n\n".join(sections) + (f"\n\nViolations:\n\n{found}" if found else "")


def _ratio(result: Result) -> str:
    return (
        f"p95 ratio: {result.ratio:.2f}; aim: at most {AIM}. {len(result.idle)} tasks before, {len(result.loaded)} "
        f"meanwhile, {len(result.loaded) - len(result.calm)} of them within {COLD_MS / 1000:.0f} s after a worker of "
        "their lane was killed, so that another may have had to be started for them; without these the ratio is "
        f"{result.calm.p(95) / result.idle.p(95):.2f}. All lanes share this machine's processors, which on AWS they do "
        "not."
    )


def _promises(result: Result) -> list[list[str]]:
    judgement, total = result.judgement, len(result.children)
    return [
        ["documents in the report, each once", f"{judgement.lines:,}", f"{judgement.histories:,}"],
        ["… done", f"{judgement.done:,}", f"{judgement.histories:,}"],
        ["… of the class that their original has", f"{judgement.right:,} of {judgement.judged:,}", ""],
        *[[f"tasks of {step}, each with one success", f"{judgement.tasks[step]:,}", f"{total:,}"] for step in STEPS],
        ["violations, over all logs, the report and the history", f"{len(judgement.violations)}", "0"],
        ["logs verified", f"{judgement.logs:,} of {judgement.events:,} events", ""],
        ["worker processes killed", f"{result.workers_killed:,} in {result.tormented_seconds:.0f} s", ""],
        ["event sources killed", f"{result.sources_killed:,}", ""],
        ["messages sent again", f"{result.duplicates:,}", ""],
        ["attempts started", f"{judgement.attempts:,}", ""],
        ["… after a task's first", f"{judgement.retried:,}, {judgement.taken_over:,} of a lost worker", ""],
        ["seconds from the run's acceptance to its end", f"{result.seconds:.0f}", ""],
        ["documents an hour", f"{result.per_hour:,.0f}", f"{TARGET_PER_HOUR:,}"],
        ["… from the first until nine tenths were done", f"{result.per_hour_in_the_thick:,.0f}", ""],
        ["tasks a minute", f"{60 * sum(judgement.tasks.values()) / result.seconds:,.0f}", ""],
    ]


def _bound(result: Result, parts: Parts) -> str:
    """What has nothing left to give; told by what was measured."""
    load = result.load
    working = sum(parts.whole) / 1000 / result.seconds if result.seconds else 0.0
    measured = (
        f"the machine was {load.machine:.0%} in use; the engine's one interpreter {load.engine:.0%} of a core, "
        f"{load.of_a_core(STATES):.0%} of it Step Functions; workers {load.of_a_core(WORKERS):.0%}; strangers "
        f"{load.others:.0%}; {working:.0f} of {result.concurrency} documents at work on average"
    )
    if load.machine >= FULL:
        bound = f"this machine's {load.cores} processors"
    elif load.engine >= FULL:
        bound = "the engine, which is one interpreter: every service's calls go through it"
    elif working >= FULL * result.concurrency:
        bound = "how many documents may be at work at once, and how long each takes"
    else:
        bound = "no processor and no limit all of the time: what was waited for is in the table of a document's time"
    return f"What bounds the rate: {bound}. Measured from start to end: {measured}."


def _load(load: Load) -> list[list[str]]:
    rows = [[part, f"{load.of_a_core(part):.0%}", ""] for part in (REQUESTS, STATES, INVOCATIONS, WORKERS)]
    functions = sorted(load.functions.items(), key=lambda item: -item[1])
    named = ", ".join(
        f"{name} {used / load.seconds:.0%}" for name, used in functions if "-worker-" not in name and used > 0
    )
    rows += [[FUNCTIONS, f"{load.of_a_core(FUNCTIONS):.0%}", named]]
    rows += [[part, f"{load.of_a_core(part):.0%}", ""] for part in (SOURCES, CLIENT)]
    known = sum(load.parts.values())
    rows.append(
        ["other processes, and those that were killed", f"{max(0.0, load.busy - known) / load.seconds:.0%}", ""]
    )
    return [*rows, ["all of it", f"{load.busy / load.seconds:.0%}", f"of {load.cores} cores"]]


def _where_time_goes(parts: Parts) -> str:
    named = {
        "on the lane, until a worker accepts it": parts.lane,
        "at the worker: accepted to its end, lost workers included": parts.work,
        "until Step Functions is told": parts.answer,
        "in Step Functions, between its states": parts.states,
        "a document, all in all": parts.whole,
    }
    rows = [
        [name, f"{fmean(found):,.0f}", f"{percentile(found, 50):,.0f}", f"{percentile(found, 95):,.0f}"]
        for name, found in named.items()
        if found
    ]
    return table(["a document's time, its three tasks together", "mean ms", "p50 ms", "p95 ms"], rows)


def _probes(result: Result) -> list[list[str]]:
    return [
        [name, *(f"{found.p(percent):.0f}" for percent in (50, 95, 99))]
        for name, found in (
            ("on the idle fleet", result.idle),
            ("while documents are at work and workers are killed", result.loaded),
            ("… but for those right after a worker of their lane was", result.calm),
        )
    ]


def _tasks_by_document(report: str) -> dict[str, list[str]]:
    """The tasks of each document, in the order of its steps."""
    tasks = {}
    for line in report.splitlines():
        value = json.loads(line)
        if "tasks" in value:
            tasks[value["id"]] = [value["tasks"].get(step.lower(), "") for step in STEPS]
    return tasks
