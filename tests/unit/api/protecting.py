"""The part of the API that shows and changes what protects dependencies, over ports in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from flotilla.integrations.declaration import circuits_of, limits_of
from flotilla.primitives.circuit_policy import CircuitPolicy
from flotilla.primitives.token_bucket import Limit
from flotilla.services.circuit_desk import CircuitDesk
from flotilla.services.limit_desk import LimitDesk
from functions.api.application import Application
from functions.api.circuits import CircuitRoutes
from functions.api.gateway import Request
from functions.api.limits import LimitRoutes
from functions.api.routing import Route, Router
from tests.fakes import ManualClock
from tests.fakes.circuits import MemoryCircuits, MemoryTransitions
from tests.fakes.limits import MemoryBuckets, MemoryLimitSettings
from tests.gateway_events import Answer, http_event, identity
from tests.unit.integrations.declarations import integrations

DECLARED = """
[integrations.crm]
base_url = "https://api.crm.example"
limit = { rate_per_minute = 600, burst = 60 }
limit_per_tenant = { rate_per_minute = 60, burst = 6 }

[integrations.erp]
base_url = "https://erp.example"

[integrations.weather]
base_url = "https://weather.example"
breaker.enabled = false
"""


@dataclass
class ProtectingApi:
    """The routes about circuits and limits."""

    clock: ManualClock = field(default_factory=ManualClock)
    circuits: MemoryCircuits = field(default_factory=MemoryCircuits)
    transitions: MemoryTransitions = field(default_factory=MemoryTransitions)
    settings: MemoryLimitSettings = field(default_factory=MemoryLimitSettings)
    buckets: MemoryBuckets = field(default_factory=MemoryBuckets)

    def __post_init__(self) -> None:
        self.application = Application(self._router, self.clock)

    def _router(self) -> Router:
        declared = integrations(DECLARED)
        policies = circuits_of(declared) | {"model#haiku": CircuitPolicy(), "model#erp": CircuitPolicy()}
        limits: dict[str, Limit | None] = limits_of(declared) | {
            "client": Limit(600, 100),
            "agent#echo": Limit(60, 10),
            "model#haiku.requests": None,
        }
        circuits = CircuitRoutes(CircuitDesk(self.circuits, policies, self.clock, self.transitions))
        limits_ = LimitRoutes(LimitDesk(self.settings, self.buckets, limits, {"echo", "sleep"}, self.clock))
        return Router(
            [
                Route("GET", "/v1/circuits", "operate", circuits.list),
                Route("PUT", "/v1/circuits/{name}", "operate", circuits.put),
                Route("GET", "/v1/limits", "operate", limits_.list),
                Route("PUT", "/v1/limits/{name}", "operate", limits_.put),
                Route("DELETE", "/v1/limits/{name}", "operate", limits_.remove),
            ]
        )

    def call(self, method: str, path: str, body: Any = None, **options: Any) -> Answer:
        options.setdefault("authorizer", identity())
        request = Request.from_event(http_event(method, path, body, **options), ends_ms=self.clock.now_ms() + 28_000)
        response = asyncio.run(self.application.answer(request))
        return Answer.of(response.to_gateway(with_body=request.method != "HEAD"))

    def listed(self, path: str) -> dict[str, dict[str, Any]]:
        """The items of a list, by name; it is whole."""
        answer = self.call("GET", path)
        assert answer.status == 200, answer.text
        page = answer.json()
        assert page["next_cursor"] is None
        names = [item["name"] for item in page["items"]]
        assert names == sorted(names)
        return {item["name"]: item for item in page["items"]}

    def let(self, work: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        """Let a worker do something."""
        asyncio.run(work())
