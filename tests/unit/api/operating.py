"""The part of the API that operators use, over ports in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from flotilla.agents.catalog import Catalog
from flotilla.errors import StoreUnavailableError
from flotilla.models import Status
from flotilla.read_model import DeadFilter, Entry, EntryFilter, EntryPage, UnreadableMessage
from flotilla.services.lane_allowance import LaneAllowances
from flotilla.services.lane_status import LaneStatusService
from functions.api.agents import AgentRoutes
from functions.api.application import Application
from functions.api.gateway import Request
from functions.api.lanes import Concurrency, LaneRoutes
from functions.api.routing import Route, Router
from functions.api.states import StateRoutes
from functions.api.submissions import Lanes
from tests.agent_specs import agent_spec
from tests.fakes import ManualClock
from tests.fakes.lane_status import MemoryLaneMeter, MemoryLaneQueues
from tests.fakes.pauses import MemoryPauses
from tests.fakes.scaling import MemoryScalingMemories
from tests.gateway_events import Answer, http_event, identity

LANES = ("critical", "standard", "batch")


AGENTS = (agent_spec("echo", version="7"), agent_spec("sleep", version="7", lane="batch"))
CATALOG = Catalog({spec.name: spec for spec in AGENTS})


@dataclass
class Entries:
    """The lists of a read model, in pages of which some are empty."""

    entries: list[Entry] = field(default_factory=list)
    unreadable: list[UnreadableMessage] = field(default_factory=list)
    down: bool = False
    reads: int = 0

    async def tenants(self) -> Sequence[str]:
        self._read()
        return sorted({entry.tenant for entry in self.entries})

    async def list(self, wanted: EntryFilter, *, limit: int, cursor: str | None) -> EntryPage:
        found = [entry for entry in self.entries if (entry.tenant, entry.status) == (wanted.tenant, wanted.status)]
        return self._page(found, limit, cursor)

    async def dead(self, wanted: DeadFilter, *, limit: int, cursor: str | None) -> EntryPage:
        dead = [entry for entry in self.entries if entry.status is Status.DEAD_LETTERED]
        return self._page([*dead, *self.unreadable], limit, cursor)

    def _page(self, found: Sequence[Any], limit: int, cursor: str | None) -> EntryPage:
        self._read()
        if cursor is None:
            return EntryPage([], "0")
        start = int(cursor)
        end = start + limit
        return EntryPage(list(found[start:end]), str(end) if end < len(found) else None)

    def _read(self) -> None:
        self.reads += 1
        if self.down:
            raise StoreUnavailableError("the read model did not answer")


@dataclass
class OperatingApi:
    """The routes about lanes, agents and their states."""

    clock: ManualClock = field(default_factory=ManualClock)
    pauses: MemoryPauses = field(default_factory=MemoryPauses)
    queues: MemoryLaneQueues = field(default_factory=MemoryLaneQueues)
    meter: MemoryLaneMeter = field(default_factory=MemoryLaneMeter)
    memories: MemoryScalingMemories = field(default_factory=MemoryScalingMemories)
    entries: Entries = field(default_factory=Entries)

    def __post_init__(self) -> None:
        self.application = Application(self._router, self.clock)

    def _router(self) -> Router:
        states = StateRoutes(pauses=self.pauses, catalog=CATALOG, lanes=LANES, clock=self.clock)
        status = LaneStatusService(
            lanes=LANES,
            queues=self.queues,
            meter=self.meter,
            pauses=self.pauses,
            read_model=self.entries,
        )
        allowances = LaneAllowances(self.memories, pool=20, shares=dict.fromkeys(LANES, 5))
        lanes = LaneRoutes(status, allowances, {lane: Concurrency(2, 10) for lane in LANES})
        agents = AgentRoutes(CATALOG, Lanes(LANES, "standard"), self.pauses)
        return Router(
            [
                Route("GET", "/v1/agents", "operate", agents.list),
                Route("PUT", "/v1/agents/{name}/state", "operate", states.put_agent),
                Route("GET", "/v1/lanes", "operate", lanes.list),
                Route("PUT", "/v1/lanes/{name}/state", "operate", states.put_lane),
                Route("PUT", "/v1/fleet/state", "operate", states.put_fleet),
            ]
        )

    def call(self, method: str, path: str, body: Any = None, **options: Any) -> Answer:
        options.setdefault("authorizer", identity())
        request = Request.from_event(http_event(method, path, body, **options), ends_ms=self.clock.now_ms() + 28_000)
        response = asyncio.run(self.application.answer(request))
        return Answer.of(response.to_gateway(with_body=request.method != "HEAD"))

    def lane(self, name: str) -> dict[str, Any]:
        """One lane as the list shows it."""
        answer = self.call("GET", "/v1/lanes")
        assert answer.status == 200, answer.text
        return next(item for item in answer.json()["items"] if item["name"] == name)

    def agent(self, name: str) -> dict[str, Any]:
        """One agent as the list shows it."""
        items = self.call("GET", "/v1/agents").json()["items"]
        return next(item for item in items if item["name"] == name)
