"""Several attempts as the one caller of a call that they share.

Invariant: what the call used and cost is divided among them to the last token and millionth of a dollar, and each one's
budgets carry its part. All of them may go on and can pay, or the call is not made and it is said who stays out.
Who does asks alone, where its own task and its own budgets decide.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Collection, Sequence
from dataclasses import dataclass, replace

from flotilla.attempt_ports import Supervisor
from flotilla.budget_ports import Reservation, Spending
from flotilla.errors import FlotillaError
from flotilla.llm.served import Served
from flotilla.llm.together import shares
from flotilla.llm.usage import UsageMeter
from flotilla.primitives.budget import Hold, Level
from flotilla.services.models import ModelCaller

_numbers = itertools.count(1)


class LeftOutError(FlotillaError):
    """Not all can share the call, so it was not made.

    Args:
        places: Who cannot.
    """

    default_code = "left_out"

    def __init__(self, places: Collection[int]) -> None:
        super().__init__("not all attempts can share the call")
        self.places = frozenset(places)


def shared_caller(callers: Sequence[ModelCaller], weights: Sequence[int]) -> ModelCaller:
    """All of them as one.

    Args:
        callers: Attempts of one agent, for one tenant.
        weights: What part each bears.
    """
    first = callers[0]
    return ModelCaller(
        # What is reserved is told apart by it, and one attempt may share several calls.
        name=f"{first.name}/shared-{next(_numbers)}",
        agent=first.agent,
        # Whose attempt ends earlier stops waiting; the others go on.
        ends_ms=max(caller.ends_ms for caller in callers),
        supervisor=_SharedSupervisor([caller.supervisor for caller in callers]),
        meter=_SharedMeter([caller.meter for caller in callers], weights),
        spending=_shared_spending([caller.spending for caller in callers], weights),
        # Nobody waits longer because another has waited often.
        waits=min(caller.waits for caller in callers),
    )


class _SharedSupervisor:
    """`Supervisor` of several attempts."""

    def __init__(self, supervisors: Sequence[Supervisor]) -> None:
        self._supervisors = supervisors

    async def go_on(self) -> None:
        """See `Supervisor.go_on`.

        Raises:
            LeftOutError: Some may not.
        """
        found = await _all([supervisor.go_on() for supervisor in self._supervisors])
        out = {place for place, error in enumerate(found) if error is not None}
        if out:
            raise LeftOutError(out)


class _SharedMeter(UsageMeter):
    """Counts each attempt's part where that attempt counts. The call is one of each."""

    def __init__(self, meters: Sequence[UsageMeter], weights: Sequence[int]) -> None:
        super().__init__()
        self._meters = meters
        self._weights = weights

    def count(self, served: Served) -> None:
        """See `UsageMeter.count`."""
        for meter, part in zip(self._meters, parts_of(served, self._weights), strict=True):
            meter.count(part)

    def failed_over(self, route: str, served: Served, why: str) -> None:
        """See `UsageMeter.failed_over`."""
        for meter in self._meters:
            meter.failed_over(route, served, why)


def parts_of(served: Served, weights: Sequence[int]) -> list[Served]:
    """An answer as each of several attempts counts it; what they count sums to what it was."""
    reply = served.reply
    # Some of the tokens asked were cached. Dividing those and the rest keeps them a part of each part, however rounded.
    kept = min(reply.cached_input_tokens, reply.input_tokens)
    cached = shares(kept, weights)
    rest = shares(reply.input_tokens - kept, weights)
    output = shares(reply.output_tokens, weights)
    cost = shares(served.cost_micros, weights)
    latency = shares(served.latency_ms, weights)
    return [
        replace(
            served,
            reply=replace(
                reply,
                input_tokens=cached[place] + rest[place],
                cached_input_tokens=cached[place],
                output_tokens=output[place],
            ),
            cost_micros=cost[place],
            latency_ms=latency[place],
        )
        for place in range(len(weights))
    ]


@dataclass(frozen=True, slots=True)
class _Part:
    """One attempt's part of a reservation."""

    spending: Spending
    reservation: Reservation
    place: int


def _shared_spending(spendings: Sequence[Spending | None], weights: Sequence[int]) -> Spending | None:
    return _SharedSpending(spendings, weights) if any(spending is not None for spending in spendings) else None


class _SharedSpending:
    """`Spending` of several attempts: each reserves and pays its part on its own budgets."""

    def __init__(self, spendings: Sequence[Spending | None], weights: Sequence[int]) -> None:
        self._spendings = spendings
        self._weights = weights
        self._parts: dict[str, list[_Part]] = {}

    async def reserve(self, call_id: str, amount_micros: int, lease_seconds: float) -> Reservation:
        """See `Spending.reserve`. Where one budget would have the cheaper way, all take it.

        Raises:
            LeftOutError: Some cannot pay. Nothing stays reserved.
        """
        amounts = shares(amount_micros, self._weights)
        parts: list[_Part] = []

        async def reserve(place: int, spending: Spending) -> None:
            # Budgets may have a scope in common, so each part has an id of its own.
            reservation = await spending.reserve(f"{call_id}/{place}", amounts[place], lease_seconds)
            parts.append(_Part(spending, reservation, place))

        asked = [(place, each) for place, each in enumerate(self._spendings) if each is not None]
        try:
            found = await _all([reserve(place, spending) for place, spending in asked])
        except BaseException:
            await _released(parts)
            raise
        out = {place for (place, _), error in zip(asked, found, strict=True) if error is not None}
        if out:
            await _released(parts)
            raise LeftOutError(out)
        self._parts[call_id] = parts
        level = Level.FRUGAL if any(part.reservation.level is Level.FRUGAL for part in parts) else Level.OK
        until_ms = min(part.reservation.hold.until_ms for part in parts)
        return Reservation(call_id, Hold(amount_micros, until_ms), level, scopes=())

    async def commit(self, reservation: Reservation, cost_micros: int) -> None:
        """See `Spending.commit`."""
        costs = shares(cost_micros, self._weights)
        parts = self._parts.pop(reservation.id, [])
        _raise_first(await _all([part.spending.commit(part.reservation, costs[part.place]) for part in parts]))

    async def release(self, reservation: Reservation) -> None:
        """See `Spending.release`."""
        await _released(self._parts.pop(reservation.id, []))


async def _released(parts: Sequence[_Part]) -> None:
    _raise_first(await _all([part.spending.release(part.reservation) for part in parts]))


async def _all(work: Sequence[Awaitable[None]]) -> list[FlotillaError | None]:
    """What each came to, whatever the others do."""
    found = await asyncio.gather(*work, return_exceptions=True)
    for each in found:
        if isinstance(each, BaseException) and not isinstance(each, FlotillaError):
            raise each
    return [each if isinstance(each, FlotillaError) else None for each in found]


def _raise_first(found: Sequence[FlotillaError | None]) -> None:
    error = next((each for each in found if each is not None), None)
    if error is not None:
        raise error
