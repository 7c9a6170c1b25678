"""What stands before every call to a model: its circuit, its turn after an outage, its requests and tokens a minute.

All are shared by the whole fleet. Tokens are taken by estimate, and settled to what the answer says it used: more is
drawn into debt, less is given back. Where a later one refuses, what the earlier ones gave is given back; the same where
the caller is cancelled, while it asks or while it calls.

Failure policy: open, as the circuit and the limits have it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from flotilla.errors import LimitedError, ParkedError, PermanentError
from flotilla.llm.declaration import Model, protection_name
from flotilla.primitives.circuit import CallOutcome
from flotilla.services.dependency import Dependencies, Dependency, Leave
from flotilla.services.limits import Admission, Ask, Limiter

_SHORTEST_WAIT_SECONDS = 1.0
_FIRST_QUIET_MS = 1000
_LARGEST_EXPONENT = 6


class ModelProtections:
    """Makes the protection of each model.

    Args:
        dependencies: Makes what stands before each.
    """

    def __init__(self, dependencies: Dependencies) -> None:
        self._dependencies = dependencies

    def of(self, model: Model) -> ModelProtection:
        """The protection of a model; one for each process and event loop."""
        shared = self._dependencies
        dependency = shared.of(protection_name(model.name), model.breaker, throttled="model_throttled")
        return ModelProtection(model, dependency, shared.limiter, shared.random)


@dataclass(slots=True)
class ModelPermit:
    """Leave to make one call. Every one is to be handed to `ModelProtection.done`, whatever became of the call."""

    leave: Leave
    admission: Admission | None = None


class ModelProtection:
    """Protects one model from us, and us from waiting for it."""

    def __init__(self, model: Model, dependency: Dependency, limiter: Limiter, random: random.Random) -> None:
        self._model = model
        self._dependency = dependency
        self._limiter = limiter
        self._random = random
        self._throttled_in_a_row = 0

    async def acquire(self, tokens: int, patience_seconds: float) -> ModelPermit:
        """Ask for leave to make one call.

        Args:
            tokens: What it uses at most, as far as is known. No more are asked for than there ever are at once.
            patience_seconds: How long to wait for tokens that are about to be there.

        Raises:
            ParkedError: Not now. Nothing was taken.
        """
        permit = ModelPermit(await self._dependency.before())
        try:
            await self._dependency.take_turn(permit.leave, patience_seconds)
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
        await self._dependency.record(permit.leave, outcome, duration_ms)

    async def give_back(self, permit: ModelPermit, outcome: CallOutcome = CallOutcome.UNKNOWN, ms: int = 0) -> None:
        """No call was made, or it was cut short by who made it.

        Args:
            permit: The leave.
            outcome: What it says about the provider's health all the same.
            ms: How long it took.
        """
        if permit.admission is not None:
            admission, permit.admission = permit.admission, None
            await self._limiter.refund(admission)
        await self._dependency.take_back(permit.leave, outcome, ms)

    async def held(self) -> ParkedError | None:
        """See `Dependency.held`."""
        return await self._dependency.held()

    async def works(self, since_ms: int) -> bool:
        """See `Dependency.works`."""
        return await self._dependency.works(since_ms)

    def later(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """See `Dependency.later`."""
        return self._dependency.later(work)

    async def flush(self) -> None:
        """See `Dependency.flush`."""
        await self._dependency.flush()

    @property
    def _tokens(self) -> str:
        return f"{self._dependency.name}.tokens"

    async def _admitted(self, tokens: int, patience_seconds: float) -> Admission:
        # Asked for even where none is declared: an operator may have set one.
        requests = Ask(f"{self._dependency.name}.requests", self._model.requests)
        used = Ask(self._tokens, self._model.tokens)
        standing = await self._limiter.standing(used)
        if standing is not None:
            used = Ask(used.name, used.limit, max(1, min(tokens, standing.limit.burst)))
        try:
            return await self._limiter.acquire(requests, used, patience_seconds=patience_seconds)
        except PermanentError as error:
            # It was changed to less at this moment.
            raise LimitedError(error.message, limit=used.name, retry_after_seconds=_SHORTEST_WAIT_SECONDS) from error

    def _throttled(self, asked_ms: int) -> None:
        backoff_ms = _FIRST_QUIET_MS * 2 ** min(self._throttled_in_a_row, _LARGEST_EXPONENT)
        self._throttled_in_a_row += 1
        self._dependency.quieten(asked_ms or int(backoff_ms * (0.5 + self._random.random() / 2)))
