"""One try of one model: what it was given, and what follows on what came of it.

Invariant: what a try was given is settled or given back once, by exactly one of `Taken`'s methods.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from flotilla.budget_ports import Reservation, Spending
from flotilla.errors import FlotillaError, ParkedError, RetryableError, StoreUnavailableError
from flotilla.llm.declaration import Model, Route
from flotilla.llm_ports import (
    ModelMisconfiguredError,
    ModelProvider,
    ModelRefusedError,
    ModelReply,
    ModelRequest,
    ModelThrottledError,
    ModelUnavailableError,
)
from flotilla.primitives.circuit import CallOutcome
from flotilla.services.model_protection import ModelPermit, ModelProtection

logger = logging.getLogger("flotilla.models")

TIMEOUT = "model_timeout"
"""Code of what gave no answer in time."""


@dataclass(frozen=True, slots=True)
class Line:
    """What it takes to call one model."""

    provider: ModelProvider
    protection: ModelProtection


@dataclass(slots=True)
class Taken:
    """What one try was given, until it is given back or settled."""

    line: Line
    permit: ModelPermit
    spending: Spending | None
    reservation: Reservation | None = None

    async def give_back(self) -> None:
        """Nobody was asked."""
        await self.line.protection.give_back(self.permit, CallOutcome.UNKNOWN, 0)
        await self._release()

    async def cut_off(self, outcome: CallOutcome, ms: int) -> None:
        """The one who asked waits for no answer any more. The provider may charge for one all the same."""
        await self.line.protection.give_back(self.permit, outcome, ms)
        await self._pay_in_full()

    async def failed(
        self,
        outcome: CallOutcome,
        ms: int,
        *,
        tokens: int = 0,
        retry_after_ms: int | None = None,
        charged: bool = False,
    ) -> None:
        """The provider answered that it will not, or nothing; in that case it may charge for an answer all the same."""
        protection = self.line.protection
        await protection.done(self.permit, outcome, ms, tokens=tokens, retry_after_ms=retry_after_ms)
        await (self._pay_in_full() if charged else self._release())

    async def answered(self, ms: int, tokens: int, cost: int) -> None:
        """The provider served."""
        await self.line.protection.done(self.permit, CallOutcome.OK, ms, tokens=tokens)
        if self.spending is not None and self.reservation is not None:
            reservation, self.reservation = self.reservation, None
            await self.spending.commit(reservation, cost)

    async def _pay_in_full(self) -> None:
        if self.spending is not None and self.reservation is not None:
            reservation, self.reservation = self.reservation, None
            await self.spending.commit(reservation, reservation.hold.amount)

    async def _release(self) -> None:
        if self.spending is not None and self.reservation is not None:
            reservation, self.reservation = self.reservation, None
            await self.spending.release(reservation)


async def reply_of(provider: ModelProvider, model: Model, request: ModelRequest, try_ms: int) -> ModelReply:
    """Make one request, for `try_ms` at the most.

    Raises:
        ModelUnavailableError: There was no answer in time, besides all that a provider raises.
    """
    timeout = asyncio.timeout(try_ms / 1000)
    try:
        async with timeout:
            return await provider.converse(model.id, request, timeout_ms=try_ms)
    except TimeoutError as error:
        if not timeout.expired():
            raise
        message = f"it did not answer within {try_ms / 1000:g} s"
        raise ModelUnavailableError(message, code=TIMEOUT) from error


def after(
    taken: Taken, error: BaseException, route: Route, *, input_tokens: int, try_ms: int, took_ms: int
) -> Coroutine[Any, Any, None]:
    """What follows on a call that brought no answer.

    Args:
        taken: What it was given.
        error: What it brought instead.
        route: By which it was made.
        input_tokens: What was estimated of the request.
        try_ms: How long it might take.
        took_ms: How long it did.
    """
    match error:
        case ModelThrottledError():
            # It is well enough to say so.
            asked_ms = int((error.retry_after_seconds or 0) * 1000)
            return taken.failed(CallOutcome.OK, took_ms, retry_after_ms=asked_ms)
        case ModelMisconfiguredError():
            return taken.failed(CallOutcome.FAILED, took_ms)
        case ModelRefusedError():
            return taken.failed(CallOutcome.OK, took_ms)
        case StoreUnavailableError() | ParkedError():
            return taken.give_back()  # it was never asked: its key could not be had
        case RetryableError():
            outcome = of_cut(took_ms, route) if took_ms >= try_ms else CallOutcome.FAILED
            return taken.failed(outcome, took_ms, tokens=input_tokens, charged=took_ms >= try_ms)
    return taken.give_back()


def of_cut(took_ms: int, route: Route) -> CallOutcome:
    """What a call says that was given up: with little time, more about who had no more of it than about the model."""
    return CallOutcome.FAILED if took_ms >= route.timeout_ms // 2 else CallOutcome.UNKNOWN


async def told(work: Coroutine[Any, Any, None]) -> None:
    """Have it told; a store that does not answer is no reason for anybody to fail."""
    try:
        await work
    except FlotillaError as error:
        logger.warning("protection unavailable", extra={"protection": "record", "code": error.code})
