"""Sixteen real processes in real time, on the embedded engine: at buckets side by side, and at the slots of a cap."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from random import Random
from typing import Any

from benchmarks.fault_lab.limits.racer import make_bucket
from benchmarks.fault_lab.limits.stores import client_of
from flotilla.clock import SystemClock
from flotilla.primitives.token_bucket import Limit
from local.instance import REPOSITORY

PROCESSES = 16
SKEW_MS = 5000
CAP = 5
LEASE_SECONDS = 4.0
CAP_SKEW_MS = 500
_DOOMED = (3, 11)
_DIE_AT = 2.0
_RACES = count(1)
_LIBRARY = REPOSITORY / "layers" / "flotilla" / "python"


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket to race for: `kind` is `leases`, `no leases` or `zae`."""

    kind: str
    limit: Limit
    skew_ms: int

    @property
    def name(self) -> str:
        """As the table has it."""
        return "zae-limiter 0.17" if self.kind == "zae" else f"Flotilla, {self.kind}"


@dataclass(frozen=True, slots=True)
class Raced:
    """What came of it.

    Attributes:
        admitted: Seconds after the start, of all processes, in order.
        counts: Admissions of each process.
        unanswered: Asks that the store did not answer in time.
    """

    bucket: Bucket
    seconds: float
    admitted: list[float]
    counts: list[int]
    writes: float
    reads: float
    unanswered: int

    def bound(self, at: float) -> float:
        """The declared one."""
        return self.bucket.limit.burst + self.bucket.limit.rate_per_minute / 60 * (at + self.bucket.skew_ms / 1000)

    def most_over(self) -> float:
        """By how many it was exceeded at most; 0 where it held."""
        return max(0.0, max((k - self.bound(at) for k, at in enumerate(self.admitted, 1)), default=0.0))

    def slowest(self) -> float:
        """Of an equal share."""
        return min(self.counts) * len(self.counts) / max(1, len(self.admitted))


def race_buckets(url: str, buckets: Sequence[Bucket], seconds: float) -> list[Raced]:
    """Race for all of them in the same minute."""
    contests = []
    for number, bucket in enumerate(buckets):
        skews = [bucket.skew_ms, -bucket.skew_ms]
        skews += [Random(number).randint(-bucket.skew_ms, bucket.skew_ms) for _ in range(PROCESSES - 2)]
        contests.append(
            {
                "kind": bucket.kind,
                "bucket": f"race-{next(_RACES)}",
                "rate": bucket.limit.rate_per_minute,
                "burst": bucket.limit.burst,
                "skew_ms": bucket.skew_ms,
                "skews_ms": skews,
            }
        )
    told = [{"number": one, "url": url, "seconds": seconds, "contests": contests} for one in range(PROCESSES)]
    client = client_of(url)
    for contest in contests:
        make_bucket(contest, client)
    with _processes(told) as racers:
        results = [_read(racer) for racer in racers]
    return [
        Raced(
            bucket,
            seconds,
            sorted(at for result in results for at in result[number]["admitted"]),
            [len(result[number]["admitted"]) for result in results],
            sum(result[number]["writes"] for result in results),
            sum(result[number]["reads"] for result in results),
            sum(result[number]["unanswered"] for result in results),
        )
        for number, bucket in enumerate(buckets)
    ]


@dataclass(frozen=True, slots=True)
class Capped:
    """What came of the race for slots.

    Attributes:
        most: Inside at once, dead holders counted until their leases end.
        killed: When holders died.
        back_after: How long after the first death as many were inside again as the cap allows; None for never.
    """

    entries: int
    refused: int
    most: int
    killed: list[float]
    back_after: float | None
    writes: float
    reads: float


def race_slots(url: str, seconds: float) -> Capped:
    """Go in and out of a capped section, two of the processes killed while they are in it."""
    told = [
        {
            "number": one,
            "url": url,
            "seconds": seconds,
            "slots": {
                "cap": CAP,
                "lease_seconds": LEASE_SECONDS,
                "skew_ms": CAP_SKEW_MS,
                "dies_at": _DIE_AT if one in _DOOMED else None,
            },
        }
        for one in range(PROCESSES)
    ]
    inside: list[tuple[float, float]] = []
    dead: list[float] = []
    entries = refused = 0
    writes = reads = 0.0
    with _processes(told) as racers:
        # Those that are to die first: the others end by themselves, later.
        for number in sorted(range(PROCESSES), key=lambda one: one not in _DOOMED):
            result = _read(racers[number])
            inside += [(*span,) for span in result["inside"]]
            if "holds_since" in result:
                os.kill(racers[number].pid, signal.SIGKILL)
                dead.append(result["holds_since"])
                continue
            refused += result["refused"]
            writes += result["writes"]
            reads += result["reads"]
            entries += len(result["inside"])
    alive = sorted([(since, 1) for since, _ in inside] + [(until, -1) for _, until in inside])
    held = sorted(alive + [(at, 1) for at in dead] + [(at + LEASE_SECONDS, -1) for at in dead])
    last_death = max(dead, default=seconds)
    back = next((at - last_death for at, now in _levels(alive) if at > last_death and now >= CAP), None)
    return Capped(entries, refused, max(now for _, now in _levels(held)), sorted(dead), back, writes, reads)


def _levels(changes: Sequence[tuple[float, int]]) -> Iterator[tuple[float, int]]:
    now = 0
    for at, change in sorted(changes, key=lambda one: (one[0], one[1])):
        now += change
        yield at, now


@contextmanager
def _processes(told: Sequence[dict[str, Any]]) -> Iterator[list[subprocess.Popen[str]]]:
    """Racers that have just been started together; those still there in the end are ended, each by its id."""
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join([str(REPOSITORY), str(_LIBRARY)]))
    racers: list[subprocess.Popen[str]] = []
    try:
        for one in told:
            racer = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.fault_lab.limits.racer"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=environment,
            )
            racers.append(racer)
            _say(racer, json.dumps(one))
        for racer in racers:
            assert racer.stdout is not None
            if racer.stdout.readline().strip() != "ready":
                raise RuntimeError("a racer did not start")
        start_ms = SystemClock().now_ms() + 1000
        for racer in racers:
            _say(racer, str(start_ms))
        yield racers
    finally:
        for racer in racers:
            if racer.poll() is None:
                racer.kill()
            racer.wait()
            for pipe in (racer.stdin, racer.stdout):
                if pipe is not None:
                    pipe.close()


def _say(racer: subprocess.Popen[str], line: str) -> None:
    assert racer.stdin is not None
    racer.stdin.write(line + "\n")
    racer.stdin.flush()


def _read(racer: subprocess.Popen[str]) -> Any:
    assert racer.stdout is not None
    line = racer.stdout.readline()
    if not line:
        raise RuntimeError(f"racer {racer.pid} ended early")
    return json.loads(line)
