"""Many histories, on all cores.

A history is the same wherever and in whatever company it is run, so how the seeds are spread over processes changes
nothing but the time it takes.
"""

from __future__ import annotations

import gc
import logging
import multiprocessing
import os
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from typing import TextIO

from tests.simulation.planted import FAULTS
from tests.simulation.rules.case import Violation
from tests.simulation.run import run_seed

_AT_ONCE = 250
_REPORT_SECONDS = 15.0
_BETWEEN_COLLECTIONS = 50
_SHOWN = 20


@dataclass
class Found:
    """What came of many histories.

    Attributes:
        tally: In how many histories each thing occurred.
        violations: By seed.
    """

    histories: int = 0
    tasks: int = 0
    tally: Counter[str] = field(default_factory=Counter)
    violations: dict[int, list[Violation]] = field(default_factory=dict)

    def add(self, other: Found) -> None:
        """Take in what came of others."""
        self.histories += other.histories
        self.tasks += other.tasks
        self.tally += other.tally
        self.violations.update(other.violations)

    def report(self) -> str:
        """Each history that broke a rule, and how to see it again."""
        lines = []
        for seed, violations in sorted(self.violations.items())[:_SHOWN]:
            lines += [f"seed {seed}: [{violation.rule}] {violation.what}" for violation in violations]
            lines.append(f"    {replay(seed)}")
        if len(self.violations) > _SHOWN:
            lines.append(f"and {len(self.violations) - _SHOWN} more")
        return "\n".join(lines)


def replay(seed: int) -> str:
    """The command that tells a history."""
    return f"PYTHONPATH=layers/flotilla/python .venv/bin/python -m tests.simulation --seed {seed}"


def run_some(first: int, count: int, fault: str | None = None) -> Found:
    """Run histories one after the other, in this process."""
    logging.disable(logging.CRITICAL)
    roles = FAULTS[fault].roles if fault else None
    found = Found()
    # A history leaves cycles behind; looking for them while it runs costs a tenth of its time.
    collects = gc.isenabled()
    gc.disable()
    try:
        for seed in range(first, first + count):
            outcome = run_seed(seed, roles=roles)
            found.histories += 1
            found.tasks += len(outcome.workload.tasks)
            found.tally.update(outcome.tally.keys())
            if outcome.violations:
                found.violations[seed] = outcome.violations
            if seed % _BETWEEN_COLLECTIONS == 0:
                gc.collect()
    finally:
        logging.disable(logging.NOTSET)
        if collects:
            gc.enable()
    return found


def in_parallel(first: int, count: int, seconds: float | None = None, fault: str | None = None) -> Iterator[Found]:
    """Run histories on all cores.

    Args:
        first: The first seed.
        count: How many.
        seconds: Begin none after so long.
        fault: A planted fault.

    Yields:
        What came of some of them, as it comes.
    """
    began = time.monotonic()
    starts = iter(range(first, first + count, _AT_ONCE))
    cores = os.cpu_count() or 1
    with ProcessPoolExecutor(cores, multiprocessing.get_context("spawn")) as pool:
        running: set[Future[Found]] = set()
        while True:
            while len(running) < 2 * cores and (seconds is None or time.monotonic() - began < seconds):
                start = next(starts, None)
                if start is None:
                    break
                running.add(pool.submit(run_some, start, min(_AT_ONCE, first + count - start), fault))
            if not running:
                return
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for some in done:
                yield some.result()


def soak(count: int, first: int, minutes: float | None, fault: str | None, out: TextIO) -> bool:
    """Run histories and say how it goes; True if no rule was broken."""
    began = reported = time.monotonic()
    found = Found()
    for some in in_parallel(first, count, None if minutes is None else minutes * 60, fault):
        found.add(some)
        if some.violations:
            print(some.report(), file=out, flush=True)
        now = time.monotonic()
        if now - reported >= _REPORT_SECONDS:
            reported = now
            rate = found.histories / (now - began)
            so_far = f"{now - began:6.0f} s  {found.histories:9,} histories  {rate:5.0f}/s"
            print(f"{so_far}  {len(found.violations)} broke a rule", file=out, flush=True)
    seconds = time.monotonic() - began
    print(
        f"{found.histories:,} histories of {found.tasks:,} tasks in {seconds:.0f} s, from seed {first}: "
        f"{len(found.violations) or 'none'} broke a rule",
        file=out,
    )
    width = max(map(len, found.tally), default=0)
    for what, times in sorted(found.tally.items()):
        print(f"  {what:<{width}}  {times:9,}", file=out)
    return not found.violations
