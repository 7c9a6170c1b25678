"""An attempt that calls one integration, on virtual time."""

from __future__ import annotations

import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from benchmarks.fault_lab.script import Reply, Script
from flotilla.agents.context import idempotency_key
from flotilla.integrations.client import Caller, IntegrationClient
from flotilla.integrations.declaration import Integration
from flotilla.integrations.desk import IntegrationDesk
from flotilla.integrations.effects import EffectScope
from tests.fakes.integrations import MemoryProtection, MemorySecrets, MemoryTransport
from tests.fakes.metrics import MemoryMetrics
from tests.fakes.virtual_time import EPOCH_MS, VirtualClock, run_virtually
from tests.unit.integrations.declarations import crm


@dataclass
class Supervised:
    """An attempt that may go on until it is told otherwise; counts how often it was asked."""

    refusal: Exception | None = None
    asked: int = 0

    async def go_on(self) -> None:
        self.asked += 1
        if self.refusal is not None:
            raise self.refusal


@dataclass
class Calling:
    """Everything a call meets."""

    script: Script = field(default_factory=Script.steady)
    integration: Integration = field(default_factory=crm)
    attempt_seconds: float = 60.0
    secrets: MemorySecrets = field(default_factory=MemorySecrets)
    protection: MemoryProtection = field(default_factory=MemoryProtection)
    supervised: Supervised = field(default_factory=Supervised)
    allowed: tuple[str, ...] = ("crm",)
    task_id: str = "tsk_1"
    waits: int = 0

    def __post_init__(self) -> None:
        self.transport = MemoryTransport(self.script)
        self.metrics = MemoryMetrics()
        self.desk = IntegrationDesk(
            {self.integration.name: self.integration},
            transport=self.transport,
            secrets=self.secrets,
            protect=lambda _integration: self.protection,
            clock=VirtualClock(),
            random=random.Random(7),
            metrics=self.metrics,
        )

    def client(self, name: str = "crm") -> IntegrationClient:
        caller = Caller(
            agent="document.analyze",
            tenant="acme",
            ends_ms=EPOCH_MS + int(self.attempt_seconds * 1000),
            supervisor=self.supervised,
            idempotency_key=partial(idempotency_key, self.task_id),
            effects=EffectScope(),
            waits=self.waits,
        )
        return self.desk.client(name, self.allowed, caller)

    def run(self, work: Callable[[IntegrationClient], Coroutine[Any, Any, Any]]) -> Any:
        """Run `work` from second 0."""

        async def all_of_it() -> Any:
            try:
                return await work(self.client())
            finally:
                await self.desk.flush()

        return run_virtually(all_of_it())

    @property
    def sent_at(self) -> list[float]:
        """When requests got through, in seconds."""
        return [at for at, _ in self.transport.sent]

    def keys(self) -> list[str | None]:
        """The idempotency keys that were sent, in order."""
        return [dict(request.headers).get("idempotency-key") for _, request in self.transport.sent]


def replies(*each: Reply) -> Script:
    """One after the other; the last goes on."""
    return Script.one_after_the_other(*each)
