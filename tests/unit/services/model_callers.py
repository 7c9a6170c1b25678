"""Processes that call models in memory, on virtual time, and what they share."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from flotilla.budget_ports import Reservation, Spending
from flotilla.errors import BudgetExceededError
from flotilla.llm.served import Served
from flotilla.llm.usage import UsageMeter
from flotilla.llm_ports import Message, ModelRequest, Role
from flotilla.primitives.budget import Hold, Level
from flotilla.services.dependency import Dependencies
from flotilla.services.limit_board import LimitBoard
from flotilla.services.limits import Limiter
from flotilla.services.model_protection import ModelProtections
from flotilla.services.models import ModelCaller, ModelDesk, RouteCalls
from tests.fakes.circuits import MemoryCircuits
from tests.fakes.limits import MemoryBuckets, MemoryLimitSettings
from tests.fakes.metrics import MemoryMetrics
from tests.fakes.several_models import SeveralModels
from tests.fakes.virtual_time import VirtualClock, run_virtually
from tests.unit.llm.declarations import MODELS, routes

LARGE, MEDIUM, SMALL = "vendor.large", "vendor.medium", "vendor.small"


def request(text: str = "Say something.", max_tokens: int = 100) -> ModelRequest:
    return ModelRequest(messages=[Message(Role.USER, text)], max_tokens=max_tokens)


class GoOn:
    """A supervisor that can be told to stop."""

    def __init__(self) -> None:
        self.stop: Exception | None = None

    async def go_on(self) -> None:
        if self.stop is not None:
            raise self.stop


@dataclass
class Purse:
    """`Spending` of a number of micro-dollars."""

    level: Level = Level.OK
    refuse_from: int | None = None
    error: Exception = field(default_factory=lambda: BudgetExceededError(scope="task#t"))
    open: dict[str, int] = field(default_factory=dict)
    committed: list[int] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    async def reserve(self, call_id: str, amount_micros: int, lease_seconds: float) -> Reservation:
        await asyncio.sleep(0)
        assert call_id not in self.asked, "each call has an id of its own"
        self.asked.append(call_id)
        if self.refuse_from is not None and amount_micros >= self.refuse_from:
            raise self.error
        self.open[call_id] = amount_micros
        return Reservation(call_id, Hold(amount_micros, 0), self.level, ())

    async def commit(self, reservation: Reservation, cost_micros: int) -> None:
        assert cost_micros <= self.open.pop(reservation.id)
        self.committed.append(cost_micros)

    async def release(self, reservation: Reservation) -> None:
        del self.open[reservation.id]


class Attempt:
    """One attempt's calls, and what it was handed for them."""

    def __init__(self, desk: ModelDesk, name: str, ends_ms: int, allowed: tuple[str, ...], spending: Spending | None):
        self.supervisor = GoOn()
        self.meter = UsageMeter()
        caller = ModelCaller(
            name=name,
            agent="sample.agent",
            ends_ms=ends_ms,
            supervisor=self.supervisor,
            meter=self.meter,
            spending=spending,
        )
        self.calls: RouteCalls = desk.calls(allowed, caller)

    async def ask(self, route: str = "best", quality: str | None = None, **of_request: Any) -> Served:
        return await self.calls.converse(route, request(**of_request), quality)


class World:
    """What all processes share, and as many of them as are wanted."""

    def __init__(self, text: str = MODELS) -> None:
        self.routes = routes(text)
        self.models = SeveralModels()
        self.circuits: Any = MemoryCircuits()
        self.buckets: Any = MemoryBuckets()
        self.settings: Any = MemoryLimitSettings()
        self.metrics = MemoryMetrics()
        self._processes = 0
        self._attempts = 0

    def process(self) -> ModelDesk:
        self._processes += 1
        clock, chance = VirtualClock(), random.Random(self._processes)
        protections = ModelProtections(
            Dependencies(
                circuits=self.circuits,
                limiter=Limiter(self.buckets, clock, chance, board=LimitBoard(self.settings, clock)),
                clock=clock,
                random=chance,
                environment=f"process-{self._processes}",
            )
        )
        return ModelDesk(
            self.routes,
            provide=lambda _model: self.models,
            protect=protections.of,
            clock=clock,
            random=chance,
            metrics=self.metrics,
        )

    def attempt(
        self,
        desk: ModelDesk,
        seconds: float = 120,
        allowed: tuple[str, ...] = ("*",),
        spending: Spending | None = None,
    ) -> Attempt:
        self._attempts += 1
        ends_ms = desk.clock.now_ms() + int(seconds * 1000)
        return Attempt(desk, f"tsk_{self._attempts}/1", ends_ms, allowed, spending)


def run(world: World, work: Callable[[ModelDesk], Coroutine[Any, Any, Any]]) -> Any:
    """Run `work` with a process of the world."""

    async def all_of_it() -> Any:
        return await work(world.process())

    return run_virtually(all_of_it())
