"""What stands before every call to an integration or a model: its circuit, its turn after an outage, quiet if it asks.

The circuit and the turns are shared by the whole fleet. What the other side asks for (429) is kept to by this process;
each learns it by itself. Whoever is let in and does not call gives back what it was given: a refusal leaves no trace,
and neither does a caller that is cancelled while it asks.

Failure policy: open, as the circuit and the limits have it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from flotilla.circuit_ports import CircuitStore, Transitions
from flotilla.clock import Clock
from flotilla.errors import CircuitOpenError, LimitedError, ParkedError
from flotilla.metric_ports import Metrics
from flotilla.primitives.circuit import CallOutcome, CircuitMode, CircuitRecord, CircuitState
from flotilla.primitives.circuit_policy import CircuitPolicy
from flotilla.services.circuit_breaker import CircuitBreaker, Passage
from flotilla.services.limits import Admission, Limiter
from flotilla.services.recovery import Recovery

_SHORTEST_WAIT_MS = 1000

LONGEST_QUIET_MS = 60_000
"""However long the other side asks for: after it one call finds out whether that still holds."""

_EARLY_MS = 10
"""Timers are no more exact than this: who has waited as long as asked is not sent away again."""


@dataclass(slots=True)
class Leave:
    """What one call was given, until it is given back.

    Attributes:
        passage: By the circuit.
        turn: While the dependency recovers.
    """

    passage: Passage | None
    turn: Admission | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependencies:
    """Makes what stands before each dependency; one of each for a process and its event loop.

    Attributes:
        circuits: Where circuits are kept.
        limiter: The limits as this process keeps to them.
        clock: Time.
        random: Randomness, of this process's own.
        environment: Names this process; unique in the fleet.
        transitions: Told of circuits' steps made here; log lines by default.
        metrics: Counts what circuits refuse, and what their store did not answer.
    """

    circuits: CircuitStore
    limiter: Limiter
    clock: Clock
    random: random.Random
    environment: str
    transitions: Transitions | None = None
    metrics: Metrics | None = None

    def of(self, name: str, policy: CircuitPolicy | None, *, throttled: str) -> Dependency:
        """What stands before the dependency of that circuit.

        Args:
            name: Of the circuit.
            policy: Its settings; None for no circuit.
            throttled: The code of a refusal while the other side wants to be left alone.
        """
        breaker = None
        if policy is not None:
            breaker = CircuitBreaker(
                name,
                policy,
                self.circuits,
                self.clock,
                self.random,
                self.environment,
                self.transitions,
                self.metrics,
            )
        recovery = Recovery(name, self.limiter, self.clock, self.random)
        return Dependency(name, breaker, recovery, self.clock, throttled=throttled)


class Dependency:
    """One dependency, as one process calls it."""

    def __init__(
        self, name: str, breaker: CircuitBreaker | None, recovery: Recovery, clock: Clock, *, throttled: str
    ) -> None:
        self.name = name
        self._breaker = breaker
        self._recovery = recovery
        self._clock = clock
        self._throttled = throttled
        self._quiet_until_ms = 0
        self._left_over: set[asyncio.Task[None]] = set()

    async def before(self) -> Leave:
        """Ask its circuit for leave to make one call.

        Raises:
            ParkedError: Not now. Nothing was taken.
        """
        if (quiet := self._quiet()) is not None:
            raise quiet
        if self._breaker is None:
            return Leave(None)
        try:
            return Leave(await self._breaker.before())
        except CircuitOpenError as error:
            raise self._recovery.later(self._record, error) from error

    async def take_turn(self, leave: Leave, patience_seconds: float) -> None:
        """Wait up to `patience_seconds` for the call's turn, where others wait for the same.

        Raises:
            CircuitOpenError: Others go first.
        """
        leave.turn = await self._recovery.admit(self._record, patience_seconds)

    async def record(self, leave: Leave, outcome: CallOutcome, duration_ms: int) -> None:
        """A call was made: tell the circuit."""
        if self._breaker is not None and leave.passage is not None:
            passage, leave.passage = leave.passage, None
            await self._breaker.record(passage, outcome, duration_ms)

    async def take_back(self, leave: Leave, outcome: CallOutcome = CallOutcome.UNKNOWN, duration_ms: int = 0) -> None:
        """No call was made, or it was cut short by who made it.

        Args:
            leave: The leave.
            outcome: What it says about the other side's health all the same.
            duration_ms: How long it took.
        """
        if leave.turn is not None:
            turn, leave.turn = leave.turn, None
            await self._recovery.refund(turn)
        await self.record(leave, outcome, duration_ms)

    def quieten(self, for_ms: int) -> None:
        """The other side wants no call for so long."""
        quiet_ms = min(for_ms, LONGEST_QUIET_MS)
        self._quiet_until_ms = max(self._quiet_until_ms, self._clock.now_ms() + quiet_ms)

    async def held(self) -> ParkedError | None:
        """What holds calls back by now, if anything does; takes nothing."""
        if (quiet := self._quiet()) is not None:
            return quiet
        if self._breaker is None:
            return None
        record = await self._breaker.state()
        forced_closed = record.mode is CircuitMode.CLOSED
        if forced_closed or (record.mode is CircuitMode.AUTO and record.state is not CircuitState.OPEN):
            return None
        wait_ms = max(record.until_ms - self._clock.now_ms(), _SHORTEST_WAIT_MS)
        return self._recovery.later(record, CircuitOpenError(self.name, retry_after_seconds=wait_ms / 1000))

    async def works(self, since_ms: int) -> bool:
        """Whether a call is known to have succeeded that ended since then; False where nobody knows of one.

        True where nothing watches what calls come to: who fails there cannot be told from what it calls.
        """
        return self._breaker is None or await self._breaker.succeeded_since(since_ms)

    def later(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Do what must be done though nobody waits for it; `flush` does."""
        task = asyncio.ensure_future(work)
        self._left_over.add(task)
        task.add_done_callback(self._left_over.discard)
        return task

    async def flush(self) -> None:
        """Send what is due to be told to others, before the process stands still."""
        if self._left_over:
            await asyncio.wait(self._left_over)
        if self._breaker is not None:
            await self._breaker.flush()

    @property
    def _record(self) -> CircuitRecord:
        return CircuitRecord() if self._breaker is None else self._breaker.known

    def _quiet(self) -> LimitedError | None:
        left_ms = self._quiet_until_ms - self._clock.now_ms()
        if left_ms <= _EARLY_MS:
            return None
        message = f"{self.name} wants fewer calls"
        return LimitedError(message, limit=self.name, code=self._throttled, retry_after_seconds=left_ms / 1000)
