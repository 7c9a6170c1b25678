"""What goes wrong in a history, and how often.

Each history enables some of the faults and leaves others out (swarm testing): histories in which everything fails a
little find less than histories in which a few things fail much. A history has a budget of faults and a time after which
there are none, so that whether everything comes to its end can be judged.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from enum import Enum

MAX_SKEW_SECONDS = 1.0
"""How far apart the clocks of two processes may be. The services trust clocks that far."""


class Fault(Enum):
    """What can happen to one call of a port."""

    NONE = "none"
    CRASH_BEFORE = "crash before"
    CRASH_AFTER = "crash after"
    LOST_ANSWER = "lost answer"
    FAILED = "failed"
    LATE_EFFECT = "late effect"
    SLOW = "slow"


_CRASHES = (Fault.CRASH_BEFORE, Fault.CRASH_AFTER)
KINDS = tuple(fault for fault in Fault if fault is not Fault.NONE)
RATES = (0.0, 0.0, 0.01, 0.03, 0.1, 0.3)
SLOWEST_SECONDS = 12.0


@dataclass(frozen=True)
class FaultPlan:
    """The faults of one history.

    Attributes:
        rates: Probability of each fault for a call.
        budget: Faults of calls at the most.
        until: Virtual seconds after which there are none.
        outages: (port, from, until): the port answers nothing then.
        skew_seconds: Clocks are up to half of this ahead or behind.
        expire: Probability that a delivery's visibility ends early, and the message is handed out twice.
        twice: Probability that a batch is handed to two workers at once, or a stream record or schedule comes twice.
        shuffle: Probability that the records of a stream batch are out of order.
        undeleted: Probability that what a worker reported as done is not deleted.
        recycle: Probability that an environment is not used for another invocation.
        slow_threads: Probability that a call on a thread takes seconds.
        stream_lag: Seconds at the most before the stream's records are handed out.
    """

    rates: dict[Fault, float] = field(default_factory=dict)
    budget: int = 0
    until: float = 0.0
    outages: tuple[tuple[str, float, float], ...] = ()
    skew_seconds: float = 0.0
    expire: float = 0.0
    twice: float = 0.0
    shuffle: float = 0.0
    undeleted: float = 0.0
    recycle: float = 0.3
    slow_threads: float = 0.0
    stream_lag: float = 1.0

    @classmethod
    def drawn(cls, rng: random.Random) -> FaultPlan:
        """A plan for one history; one in eight is free of faults."""
        if rng.random() < 0.125:
            return cls()
        until = rng.choice((20.0, 60.0, 200.0, 700.0))
        outages = []
        while rng.random() < 0.15:
            begins = rng.random() * until
            outages.append((rng.choice(PORTS), begins, begins + rng.choice((1.0, 5.0, 20.0, 60.0))))
        return cls(
            rates={fault: rng.choice(RATES) for fault in KINDS if rng.random() < 0.6},
            budget=rng.choice((1, 3, 10, 30)),
            until=until,
            outages=tuple(outages),
            skew_seconds=rng.choice((0.0, 0.2, MAX_SKEW_SECONDS)),
            expire=rng.choice((0.0, 0.0, 0.1, 0.4)),
            twice=rng.choice((0.0, 0.0, 0.1, 0.4)),
            shuffle=rng.choice((0.0, 0.3, 1.0)),
            undeleted=rng.choice((0.0, 0.1, 0.5)),
            recycle=rng.choice((0.0, 0.3, 1.0)),
            slow_threads=rng.choice((0.0, 0.0, 0.2)),
            stream_lag=rng.choice((0.2, 4.0, 20.0, 60.0)),
        )


PORTS = (
    "log",
    "states",
    "payloads",
    "lanes",
    "receipts",
    "delays",
    "schedules",
    "pauses",
    "flights",
    "turns",
    "views",
    "archive",
)


class Faults:
    """Deals the faults of a plan, in the order of one random sequence.

    Attributes:
        dealt: When, to which port, what.
        happened: How often each of the other faults.
    """

    def __init__(self, plan: FaultPlan, rng: random.Random) -> None:
        self.plan = plan
        self.left = plan.budget
        self.dealt: list[tuple[float, str, Fault]] = []
        self.happened: Counter[str] = Counter()
        self._rng = rng
        self._ladder: list[tuple[float, Fault]] = []
        total = 0.0
        for fault, rate in plan.rates.items():
            total += rate
            self._ladder.append((total, fault))
        self._total = total

    def deal(self, port: str, now: float) -> Fault:
        """The fault of the next call."""
        if now >= self.plan.until:
            return Fault.NONE
        for name, begins, ends in self.plan.outages:
            if name == port and begins <= now < ends:
                self.dealt.append((now, port, Fault.FAILED))
                self.happened["outage"] += 1
                return Fault.FAILED
        if self.left <= 0 or not self._ladder:
            return Fault.NONE
        drawn = self._rng.random() * max(1.0, self._total)
        if drawn >= self._total:
            return Fault.NONE
        self.left -= 1
        fault = next(fault for bound, fault in self._ladder if drawn < bound)
        self.dealt.append((now, port, fault))
        return fault

    def trouble(self, ports: tuple[str, ...], since: float, until: float) -> bool:
        """Whether any of these ports failed or was slow within a time."""
        return any(since <= at <= until and port in ports and fault not in _CRASHES for at, port, fault in self.dealt)

    def happens(self, name: str, now: float) -> bool:
        """Whether something else goes wrong, that has the probability which the plan gives it under this name."""
        probability: float = getattr(self.plan, name)
        if probability and now < self.plan.until and self._rng.random() < probability:
            self.happened[name] += 1
            return True
        return False

    def skew(self) -> float:
        """Seconds by which a new process's clock is ahead (or behind)."""
        half = self.plan.skew_seconds / 2
        if not half:
            return 0.0
        drawn = self._rng.random()
        # The ends of the range are where a comparison goes wrong.
        return -half if drawn < 0.25 else half if drawn < 0.5 else (drawn - 0.75) * 4 * half

    def latency(self) -> float:
        """Seconds that one way of a call takes."""
        return 0.001 + 0.009 * self._rng.random()

    def slowness(self) -> float:
        """Seconds that a slow call takes."""
        return SLOWEST_SECONDS * self._rng.random() ** 2

    def choice(self, upto: int) -> int:
        """A number below `upto`."""
        return int(self._rng.random() * upto)

    def fraction(self) -> float:
        """A number in [0, 1)."""
        return self._rng.random()
