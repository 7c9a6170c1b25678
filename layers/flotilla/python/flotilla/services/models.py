"""Calls to models by route: the first that may be called and answers serves.

    may the attempt go on? ─> circuit, limits ─> budgets ─> request ─> settled, counted ─> answer
            ^                        │              │           │
            └─── the next model of the route, in the time that is left

Invariants: every call that is made is told to its model's circuit, limits and budgets exactly once, also when it is
cancelled. A call ends before its attempt does. What is paused or revoked calls nobody.

A request that is refused is refused at once: it is wrong, and no other model makes it right. One that is only too long
for a model goes on to those that take longer ones.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flotilla.attempt_ports import Supervisor
from flotilla.budget_ports import Spending
from flotilla.clock import Clock
from flotilla.errors import (
    BudgetExceededError,
    BudgetParkedError,
    FlotillaError,
    ParkedError,
    PermanentError,
    RetryableError,
)
from flotilla.llm.declaration import ANY, Model, Route
from flotilla.llm.routes import (
    FRUGAL,
    Miss,
    cheapest_first,
    cost_micros,
    counted,
    eligible,
    estimated_input_tokens,
    failed,
    larger,
    most_cost_micros,
    most_input_tokens,
    none_served,
    worth_another_round,
)
from flotilla.llm.served import Served
from flotilla.llm.usage import UsageMeter
from flotilla.llm_ports import (
    CONTEXT_TOO_LONG,
    ModelProvider,
    ModelRefusedError,
    ModelRequest,
    ModelThrottledError,
    ModelUnavailableError,
)
from flotilla.metric_ports import Metrics, NoMetrics
from flotilla.primitives.budget import Level
from flotilla.primitives.circuit import CallOutcome
from flotilla.primitives.parking import unaided_seconds
from flotilla.services.model_protection import ModelProtection
from flotilla.services.model_telling import tell_call
from flotilla.services.model_try import TIMEOUT, Line, Taken, after, of_cut, reply_of, told

logger = logging.getLogger("flotilla.models")

_FLUSH_SECONDS = 1.0

_MARGIN_MS = 20
"""A call ends this much before its attempt does: it can then say why, instead of being cancelled with it."""

_LEAST_MS = 5
"""What is left of that, whatever has to be asked first."""

_WORTH_TRYING_MS = 500
"""With less time than this left no further model is asked."""

_PATIENCE_SECONDS = 0.25
_LAST_PATIENCE_SECONDS = 1.0
"""How long a call waits for tokens that are about to be there: where there is another model, where there is none."""

_PATIENT_PART = 4
_BETWEEN_ROUNDS_SECONDS = 0.5
_LEASE_MARGIN_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCaller:
    """The attempt that calls.

    Attributes:
        name: Of the attempt, unique: what it spends is told apart by it.
        agent: Its agent.
        ends_ms: When it is stopped.
        supervisor: Says whether it may go on.
        meter: Counts what it uses.
        spending: Its budgets; None where there are none.
        waits: How often its task was put aside before, at the cost of no attempt.
    """

    name: str
    agent: str
    ends_ms: int
    supervisor: Supervisor
    meter: UsageMeter
    spending: Spending | None = None
    waits: int = 0


class ModelDesk:
    """The models of one process. What all attempts share is made when a model is first called.

    Args:
        routes: All that there are, by name.
        provide: Makes (or returns) what serves a model.
        protect: Makes a model's protection.
        clock: Time.
        random: Draws jitter.
        metrics: Counts calls, and how often another model served.
    """

    def __init__(
        self,
        routes: Mapping[str, Route],
        *,
        provide: Callable[[Model], ModelProvider],
        protect: Callable[[Model], ModelProtection],
        clock: Clock,
        random: random.Random,
        metrics: Metrics | None = None,
    ) -> None:
        self._routes = routes
        self._provide = provide
        self._protect = protect
        self._lines: dict[str, Line] = {}
        self.clock = clock
        self.random = random
        self.metrics = NoMetrics() if metrics is None else metrics

    def calls(self, allowed: Collection[str], caller: ModelCaller) -> RouteCalls:
        """What makes the calls of one attempt.

        Args:
            allowed: The routes that the attempt's agent declares.
            caller: The attempt.
        """
        return RouteCalls(self, allowed, caller)

    def route(self, name: str, allowed: Collection[str], agent: str) -> Route:
        """The route of that name.

        Raises:
            PermanentError: The agent does not declare it, or the fleet has none (`route_not_declared`).
        """
        if name not in allowed and ANY not in allowed:
            raise PermanentError(f"agent {agent} does not declare the route {name!r}", code="route_not_declared")
        route = self._routes.get(name)
        if route is None:
            raise PermanentError(f"the fleet has no route {name!r}", code="route_not_declared")
        return route

    def line(self, model: Model) -> Line:
        """What it takes to call a model."""
        found = self._lines.get(model.name)
        if found is None:
            found = self._lines[model.name] = Line(self._provide(model), self._protect(model))
        return found

    async def flush(self) -> None:
        """Tell what is still to be told of calls, before the process stands still; takes about a second at the most."""
        try:
            async with asyncio.timeout(_FLUSH_SECONDS):
                for line in self._lines.values():
                    await line.protection.flush()
        except (TimeoutError, FlotillaError) as error:
            extra = {"protection": "flush", "code": getattr(error, "code", "slow")}
            logger.warning("protection unavailable", extra=extra)


@dataclass(slots=True)
class _Call:
    """One call by a route, over all models that it asks.

    Attributes:
        input_tokens: What is asked of limits.
        most_tokens: What money is reserved by.
    """

    route: Route
    request: ModelRequest
    models: list[Model]
    input_tokens: int
    most_tokens: int
    misses: dict[str, Miss] = field(default_factory=dict)
    whys: dict[str, str] = field(default_factory=dict)

    def most(self, model: Model) -> int:
        """What it costs with a model at most."""
        return most_cost_micros(model.price, self.most_tokens, self.request.max_tokens)

    def cheaper(self, models: Sequence[Model], than: Model) -> list[Model]:
        """Those of `models` with which it costs less."""
        return [model for model in models if self.most(model) < self.most(than)]

    def cheapest_first(self, models: Sequence[Model]) -> list[Model]:
        """See `routes.cheapest_first`."""
        return cheapest_first(models, self.input_tokens, self.request.max_tokens)


class _NearlySpentError(Exception):
    """The budget would rather have a cheaper model. Nothing was called, and everything is given back."""


class RouteCalls:
    """Makes the calls of one attempt."""

    def __init__(self, desk: ModelDesk, allowed: Collection[str], caller: ModelCaller) -> None:
        self._desk = desk
        self._allowed = allowed
        self._caller = caller
        self._clock = desk.clock
        self._numbers = itertools.count(1)
        self._frugal = False

    def shared(self, parties: Sequence[RouteCalls], weights: Sequence[int]) -> RouteCalls:
        """See `micro_batching.SharableCalls`."""
        from flotilla.services.shared_caller import shared_caller

        caller = shared_caller([party._caller for party in parties], weights)  # noqa: SLF001 - of its own class
        calls = RouteCalls(self._desk, self._allowed, caller)
        calls._frugal = any(party._frugal for party in parties)  # noqa: SLF001 - of its own class
        return calls

    async def converse(self, route: str, request: ModelRequest, quality: str | None = None) -> Served:
        """See `Llm.converse`."""
        found = self._desk.route(route, self._allowed, self._caller.agent)
        models = eligible(found, quality)
        if not models:
            raise PermanentError(f"route {route} has no model of quality {quality}", code="quality_not_available")
        if request.max_tokens < 1:
            raise PermanentError("max_tokens is at least 1", code="invalid_request")
        call = _Call(found, request, models, estimated_input_tokens(request), most_input_tokens(request))
        began_ms = self._clock.now_ms()
        for number in range(found.rounds):
            if number:
                await self._clock.sleep(_BETWEEN_ROUNDS_SECONDS * (0.5 + self._desk.random.random() / 2))
            call.misses.clear()
            served = await self._round(call)
            if served is not None:
                self._note(call, served)
                return served
            again = worth_another_round(list(call.misses.values()))
            if not again or self._left_ms() < _WORTH_TRYING_MS + _BETWEEN_ROUNDS_SECONDS * 1000:
                break
        raise await self._failure(call, began_ms)

    async def _round(self, call: _Call) -> Served | None:
        """Ask each model in turn until one serves."""
        waiting = call.cheapest_first(call.models) if self._frugal else list(call.models)
        while waiting:
            left_ms = self._left_ms()
            if not call.misses and left_ms <= 0:
                raise RetryableError("the attempt has no time left for a call", code="timeout")
            if call.misses and left_ms < _WORTH_TRYING_MS:
                return None
            await self._caller.supervisor.go_on()
            model, try_ms = waiting.pop(0), max(1, min(left_ms, call.route.timeout_ms))
            try:
                return await self._try(call, model, waiting, try_ms)
            except _NearlySpentError:
                self._frugal = True
                waiting = call.cheapest_first([model, *waiting])
            except (BudgetExceededError, BudgetParkedError):
                waiting = call.cheapest_first(call.cheaper(waiting, model))
                if not waiting:
                    raise
                self._frugal = True
                call.whys[model.name] = FRUGAL
            except ModelRefusedError as error:
                waiting = larger(waiting, model) if error.code == CONTEXT_TOO_LONG else []
                if not waiting:
                    raise
                call.whys[model.name] = error.code
            except (ParkedError, RetryableError) as error:
                hurried = error.code == TIMEOUT and of_cut(try_ms, call.route) is CallOutcome.UNKNOWN
                call.misses[model.name] = Miss(model.name, error, hurried)
                call.whys[model.name] = error.code
        return None

    async def _try(self, call: _Call, model: Model, others: Sequence[Model], try_ms: int) -> Served:
        """Ask one model, for `try_ms` at the most."""
        line = self._desk.line(model)
        taken = await self._take(call, model, others, line, try_ms)
        began_ms = self._clock.now_ms()
        try:
            reply = await reply_of(line.provider, model, call.request, try_ms)
        except asyncio.CancelledError as error:
            took_ms = self._clock.now_ms() - began_ms
            tell_call(self._desk.metrics, model, took_ms, error)
            line.protection.later(told(taken.cut_off(of_cut(took_ms, call.route), took_ms)))
            raise
        except BaseException as error:
            took_ms = self._clock.now_ms() - began_ms
            tell_call(self._desk.metrics, model, took_ms, error)
            what_follows = after(
                taken, error, call.route, input_tokens=call.input_tokens, try_ms=try_ms, took_ms=took_ms
            )
            await self._tell(line, what_follows)
            raise
        took_ms = self._clock.now_ms() - began_ms
        reply = counted(reply, call.input_tokens)
        cost = cost_micros(model.price, reply)
        served = Served(reply, call.models[0].name, model.name, cost, took_ms)
        self._caller.meter.count(served)
        tell_call(self._desk.metrics, model, took_ms, reply, cost)
        await self._tell(line, taken.answered(took_ms, reply.input_tokens + reply.output_tokens, cost))
        return served

    async def _take(self, call: _Call, model: Model, others: Sequence[Model], line: Line, try_ms: int) -> Taken:
        longest = _PATIENCE_SECONDS if others else _LAST_PATIENCE_SECONDS
        tokens = call.input_tokens + call.request.max_tokens
        permit = await line.protection.acquire(tokens, min(longest, try_ms / 1000 / _PATIENT_PART))
        taken = Taken(line, permit, self._caller.spending)
        try:
            if taken.spending is not None:
                call_id = f"{self._caller.name}/{next(self._numbers)}"
                lease_seconds = try_ms / 1000 + _LEASE_MARGIN_SECONDS
                taken.reservation = await taken.spending.reserve(call_id, call.most(model), lease_seconds)
                frugal = taken.reservation.level is Level.FRUGAL
                if frugal and not self._frugal and call.cheaper(others, model):
                    raise _NearlySpentError
        except asyncio.CancelledError:
            line.protection.later(told(taken.give_back()))
            raise
        except BaseException:
            await self._tell(line, taken.give_back())
            raise
        return taken

    async def _tell(self, line: Line, work: Coroutine[Any, Any, None]) -> None:
        """Have it told what a call came to, to its end even if this attempt is cancelled meanwhile."""
        await asyncio.shield(line.protection.later(told(work)))

    async def _failure(self, call: _Call, began_ms: int) -> FlotillaError:
        """What a call raises that nobody served."""
        route, misses, better = call.route.name, list(call.misses.values()), False
        try:
            async with asyncio.timeout(max(0, self._left_ms() + _MARGIN_MS - _LEAST_MS) / 1000):
                misses = [await self._seen_now(call, miss) for miss in misses]
                for miss in failed(misses):
                    better = better or await self._protection(call, miss).works(self._failing_since_ms(began_ms))
        except TimeoutError:
            pass  # it is not known
        return none_served(route, misses, others_do_better=better, waits=self._caller.waits)

    async def _seen_now(self, call: _Call, miss: Miss) -> Miss:
        """Whose failure opened the circuit waits with the others, and who was throttled until that is over."""
        if not isinstance(miss.error, ModelUnavailableError | ModelThrottledError):
            return miss
        held = await self._protection(call, miss).held()
        return miss if held is None else Miss(miss.model, held)

    def _protection(self, call: _Call, miss: Miss) -> ModelProtection:
        return self._desk.line(next(each for each in call.models if each.name == miss.model)).protection

    def _failing_since_ms(self, began_ms: int) -> int:
        """When the task failed before, as far as it did: no later than its last wait before this call."""
        waits = self._caller.waits
        return began_ms if waits == 0 else began_ms - int(unaided_seconds(waits - 1) * 1000)

    def _note(self, call: _Call, served: Served) -> None:
        if served.served == served.requested:
            return
        route, why = call.route.name, call.whys.get(served.requested, FRUGAL)
        self._caller.meter.failed_over(route, served, why)
        self._desk.metrics.count("ModelFailovers", route=route)
        extra = {"route": route, "requested": served.requested, "served": served.served, "why": why}
        logger.warning("another model served", extra={**extra, "attempt": self._caller.name})

    def _left_ms(self) -> int:
        return self._caller.ends_ms - self._clock.now_ms() - _MARGIN_MS
