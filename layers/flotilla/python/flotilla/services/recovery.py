"""Keeps a dependency that is well again from all that waited for it (`flotilla.primitives.circuit_recovery`).

The bound is a limit of the whole fleet, named as the circuit with `.recovery` behind; the limits' failure policy is its
own. It costs nothing but in a recovery.
"""

from __future__ import annotations

import random

from flotilla.clock import Clock
from flotilla.errors import CircuitOpenError, LimitedError
from flotilla.primitives.circuit import CircuitRecord
from flotilla.primitives.circuit_recovery import eased, spread_ms
from flotilla.services.limits import Admission, Ask, Limiter


class Recovery:
    """The recovery of what the circuit `circuit` stands before, as one process keeps to it.

    Args:
        circuit: Its name.
        limiter: The limits as this process keeps to them.
        clock: Time.
        random: Spreads what is refused.
    """

    def __init__(self, circuit: str, limiter: Limiter, clock: Clock, random: random.Random) -> None:
        self._circuit = circuit
        self._limiter = limiter.exactly()
        self._clock = clock
        self._random = random

    async def admit(self, record: CircuitRecord, patience_seconds: float) -> Admission | None:
        """Let one call through, or wait up to `patience_seconds` for its turn; None where there is nothing to ease.

        Raises:
            CircuitOpenError: Others go first.
        """
        limit = eased(record, self._clock.now_ms())
        if limit is None:
            return None
        try:
            return await self._limiter.acquire(
                Ask(f"{self._circuit}.recovery", limit), patience_seconds=patience_seconds
            )
        except LimitedError as error:
            message = f"{self._circuit} is coming back, and others that waited for it go first"
            seconds = error.retry_after_seconds
            refusal = CircuitOpenError(self._circuit, retry_after_seconds=seconds, message=message)
            raise self.later(record, refusal) from error

    async def refund(self, admission: Admission) -> None:
        """The call was not made after all."""
        await self._limiter.refund(admission)

    def later(self, record: CircuitRecord, refusal: CircuitOpenError) -> CircuitOpenError:
        """A refusal, put off so that no more comes back at a time than can be done."""
        wait_ms = spread_ms(record, self._clock.now_ms(), self._random.random())
        if wait_ms <= refusal.retry_after_seconds * 1000:
            return refusal
        return CircuitOpenError(self._circuit, retry_after_seconds=wait_ms / 1000, message=refusal.message)
