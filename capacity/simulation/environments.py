"""The environments of one function: which are warm, and how fast new ones may start."""

from __future__ import annotations

from collections import deque
from enum import Enum

from capacity.simulation.model import Rules

_BURST_SECONDS = 10.0


class Start(Enum):
    """How an invocation finds its environment."""

    PROVISIONED = "provisioned"
    WARM = "warm"
    COLD = "cold"


class Environments:
    """Who is idle since when. What was used last is used first, so that those not needed grow cold."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._idle: deque[float] = deque()
        self._new: deque[float] = deque()
        self._provisioned = 0

    def start(self, now: float, provisioned: int) -> Start | None:
        """Take one; None: none is there, and no other may be started yet."""
        if self._provisioned < provisioned:
            self._provisioned += 1
            return Start.PROVISIONED
        idle = self._idle
        while idle and idle[0] <= now - self._rules.keep_warm_seconds:
            idle.popleft()
        if idle:
            idle.pop()
            return Start.WARM
        new = self._new
        while new and new[0] <= now - _BURST_SECONDS:
            new.popleft()
        if len(new) >= self._rules.environments_burst:
            return None
        new.append(now)
        return Start.COLD

    def give_back(self, now: float, start: Start) -> None:
        """An invocation has ended."""
        if start is Start.PROVISIONED:
            self._provisioned -= 1
        else:
            self._idle.append(now)
