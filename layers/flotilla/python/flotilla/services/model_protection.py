"""What stands before every call to a model: its circuit, its turn after an outage, its requests and tokens a minute.

All are shared by the whole fleet. Tokens are taken by estimate, and settled to what the answer says it used: more is
drawn into debt, less is given back. Where a later one refuses, what the earlier ones gave is given back; the same where
the caller is cancelled, while it asks or while it calls.

What the provider asks for itself (429) is kept to by this process; each learns it by itself.

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
from flotilla.errors import CircuitOpenError, LimitedError, ParkedError, PermanentError
from flotilla.llm.declaration import Model, protection_name
from flotilla.metric_ports import Metrics
from flotilla.primitives.circuit import CallOutcome, CircuitMode, CircuitRecord, CircuitState
from flotilla.services.circuit_breaker import CircuitBreaker, Passage
from flotilla.services.limits import Admission, Ask, Limiter
from flotilla.services.recovery import Recovery

_SHORTEST_WAIT_MS = 1000

_FIRST_QUIET_MS = 1000
_LONGEST_QUIET_MS = 60_000
"""However long the provider asks for, and however often: after it one call finds out whether that still holds."""

_EARLY_MS = 10
"""Timers are no more exact than this: who has waited as long as asked is not sent away again."""

_LARGEST_EXPONENT = 6


class ModelProtections:
    """Makes the protection of each model.

    Args:
        circuits: Where circuits are kept.
        limiter: The limits as this process keeps to them.
        clock: Time.
        random: Randomness, of this process's own.
        environment: Names this process; unique in the fleet.
        transitions: Told of circuits' steps made here; log lines by default.
        metrics: Counts what circuits refuse, and what their store did not answer.
    """

    def __init__(
        self,
        *,
        circuits: CircuitStore,
        limiter: Limiter,
        clock: Clock,
        random: random.Random,
        environment: str,
        transitions: Transitions | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        self._circuits = circuits
        self._limiter = limiter
        self._clock = clock
        self._random = random
        self._environment = environment
        self._transitions = transitions
        self._metrics = metrics

    def of(self, model: Model) -> ModelProtection:
        """The protection of a model; one for each process and event loop."""
        breaker = None
        if model.breaker is not None:
            breaker = CircuitBreaker(
                protection_name(model.name),
                model.breaker,
                self._circuits,
                self._clock,
                self._random,
                self._environment,
                self._transitions,
                self._metrics,
            )
        recovery = Recovery(protection_name(model.name), self._limiter, self._clock, self._random)
        return ModelProtection(model, breaker, recovery, self._limiter, self._clock, self._random)


@dataclass(slots=True)
class ModelPermit:
    """Leave to make one call. Every one is to be handed to `ModelProtection.done`, whatever became of the call."""

    passage: Passage | None
    turn: Admission | None = None
    admission: Admission | None = None


class ModelProtection:
    """Protects one model from us, and us from waiting for it."""

    def __init__(
        self,
        model: Model,
        breaker: CircuitBreaker | None,
        recovery: Recovery,
        limiter: Limiter,
        clock: Clock,
        random: random.Random,
    ) -> None:
        self._model = model
        self._name = protection_name(model.name)
        self._breaker = breaker
        self._recovery = recovery
        self._limiter = limiter
        self._clock = clock
        self._random = random
        self._quiet_until_ms = 0
        self._throttled_in_a_row = 0
        self._left_over: set[asyncio.Task[None]] = set()

    async def acquire(self, tokens: int, patience_seconds: float) -> ModelPermit:
        """Ask for leave to make one call.

        Args:
            tokens: What it uses at most, as far as is known. No more are asked for than there ever are at once.
            patience_seconds: How long to wait for tokens that are about to be there.

        Raises:
            ParkedError: Not now. Nothing was taken.
        """
        if (quiet := self._quiet()) is not None:
            raise quiet
        permit = ModelPermit(await self._passage())
        try:
            permit.turn = await self._recovery.admit(self._record, patience_seconds)
            permit.admission = await self._admitted(tokens, patience_seconds)
        except asyncio.CancelledError:
            self.later(self.give_back(permit))
            raise
        except BaseException:
            await self.give_back(permit)
            raise
        return permit

    async def done(
        self,
        permit: ModelPermit,
        outcome: CallOutcome,
        duration_ms: int,
        *,
        tokens: int = 0,
        retry_after_ms: int | None = None,
    ) -> None:
        """A call was made: tell the circuit, and settle the limits.

        Args:
            permit: The leave it was made by.
            outcome: What it says about the provider's health.
            duration_ms: How long it took.
            tokens: What it really used.
            retry_after_ms: The provider wants no request for so long; 0 where it does not say how long.
        """
        if retry_after_ms is not None:
            self._throttled(retry_after_ms)
        elif outcome is CallOutcome.OK:
            self._throttled_in_a_row = 0
        if permit.admission is not None:
            admission, permit.admission = permit.admission, None
            await self._limiter.settle(admission, {self._tokens: tokens})
        await self._tell(permit, outcome, duration_ms)

    async def give_back(self, permit: ModelPermit, outcome: CallOutcome = CallOutcome.UNKNOWN, ms: int = 0) -> None:
        """No call was made, or it was cut short by who made it.

        Args:
            permit: The leave.
            outcome: What it says about the provider's health all the same.
            ms: How long it took.
        """
        if permit.turn is not None:
            turn, permit.turn = permit.turn, None
            await self._recovery.refund(turn)
        if permit.admission is not None:
            admission, permit.admission = permit.admission, None
            await self._limiter.refund(admission)
        await self._tell(permit, outcome, ms)

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
        return self._recovery.later(record, CircuitOpenError(self._name, retry_after_seconds=wait_ms / 1000))

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
    def _tokens(self) -> str:
        return f"{self._name}.tokens"

    @property
    def _record(self) -> CircuitRecord:
        return CircuitRecord() if self._breaker is None else self._breaker.known

    async def _passage(self) -> Passage | None:
        if self._breaker is None:
            return None
        try:
            return await self._breaker.before()
        except CircuitOpenError as error:
            raise self._recovery.later(self._record, error) from error

    async def _admitted(self, tokens: int, patience_seconds: float) -> Admission:
        # Asked for even where none is declared: an operator may have set one.
        requests = Ask(f"{self._name}.requests", self._model.requests)
        used = Ask(self._tokens, self._model.tokens)
        standing = await self._limiter.standing(used)
        if standing is not None:
            used = Ask(used.name, used.limit, max(1, min(tokens, standing.limit.burst)))
        try:
            return await self._limiter.acquire(requests, used, patience_seconds=patience_seconds)
        except PermanentError as error:
            # It was changed to less at this moment.
            wait_seconds = _SHORTEST_WAIT_MS / 1000
            raise LimitedError(error.message, limit=used.name, retry_after_seconds=wait_seconds) from error

    def _throttled(self, asked_ms: int) -> None:
        backoff_ms = _FIRST_QUIET_MS * 2 ** min(self._throttled_in_a_row, _LARGEST_EXPONENT)
        self._throttled_in_a_row += 1
        spread_ms = int(backoff_ms * (0.5 + self._random.random() / 2))
        quiet_ms = min(asked_ms or spread_ms, _LONGEST_QUIET_MS)
        self._quiet_until_ms = max(self._quiet_until_ms, self._clock.now_ms() + quiet_ms)

    def _quiet(self) -> LimitedError | None:
        left_ms = self._quiet_until_ms - self._clock.now_ms()
        if left_ms <= _EARLY_MS:
            return None
        message = f"model {self._model.name} wants fewer requests"
        return LimitedError(message, limit=self._name, code="model_throttled", retry_after_seconds=left_ms / 1000)

    async def _tell(self, permit: ModelPermit, outcome: CallOutcome, duration_ms: int) -> None:
        if self._breaker is not None and permit.passage is not None:
            passage, permit.passage = permit.passage, None
            await self._breaker.record(passage, outcome, duration_ms)
