"""A triage beside a fleet in memory, and messages for it."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from flotilla.events import Event, Kind, chain
from flotilla.models import Delivery, TaskMessage
from flotilla.read_model import UNREADABLE, DeadFilter, UnreadableMessage
from flotilla.services.bridge import Bridge
from flotilla.services.triage import DeadMessage, Orders, TriageResult, TriageService
from tests.fakes import MemoryReceipts
from tests.fakes.views import MemoryReadModel
from tests.unit.services import sample_agents
from tests.unit.services.crashes import Calls
from tests.unit.services.fleet import Fleet, run


@dataclass
class Desk:
    """A triage beside a fleet.

    Attributes:
        calls: Its ports' calls, where they are to be counted or to fail.
    """

    fleet: Fleet = field(default_factory=lambda: Fleet(sample_agents.ALL))
    views: MemoryReadModel = field(default_factory=MemoryReadModel)
    receipts: MemoryReceipts = field(default_factory=MemoryReceipts)
    log: Any = None
    lanes: tuple[str, ...] = ("standard",)

    def service(self, calls: Calls | None = None) -> TriageService:
        log, views, payloads = self.log or self.fleet.log, self.views, self.fleet.payloads
        dispatch: Any = self.fleet.dispatch
        if calls is not None:
            sender = calls.through(_Sender(dispatch))
            log, views, payloads = (calls.through(port) for port in (log, views, payloads))
            dispatch = sender.send
        return TriageService(
            log=log,
            read_model=views,
            dispatch=dispatch,
            payloads=payloads,
            lanes=self.lanes,
            clock=self.fleet.clock,
            random=random.Random(1),
            actor="triage:fleet-triage/1",
            orders=Orders(self._bridge, lambda: self.fleet.catalog),
        )

    def _bridge(self, lane: str) -> Bridge:
        return self.fleet.bridge(self.log or self.fleet.log, self.fleet.tokens, self.fleet.dispatch, lane)

    def triage(self, *dead: DeadMessage, calls: Calls | None = None) -> TriageResult:
        result: TriageResult = run(self.service(calls).run(dead, self.receipts))
        return result

    def unreadable(self) -> list[UnreadableMessage]:
        page = run(self.views.dead(DeadFilter(agent=UNREADABLE), limit=100, cursor=None))
        return [item for item in page.items if isinstance(item, UnreadableMessage)]

    def submitted(self, agent: str = "sample.echo", **options: Any) -> str:
        return str(run(self.fleet.submit(agent, {"value": 1}, **options)).state.task_id)

    def newest(self, task: str) -> TaskMessage:
        """The newest message of the task that is anywhere."""
        delayed = [message for tier in self.fleet.delays.tiers.values() for message in tier.values()]
        scheduled = [message for message, _ in self.fleet.schedules.waiting.values()]
        messages = [*self.fleet.lanes.sent.values(), *delayed, *scheduled]
        return max((each for each in messages if each.task_id == task), key=lambda each: each.seq)

    def kinds(self, task: str) -> list[str]:
        return self.fleet.kinds(task)


class _Sender:
    """A dispatch as a port with one method."""

    def __init__(self, dispatch: Any) -> None:
        self._dispatch = dispatch

    async def send(self, message: Any) -> None:
        await self._dispatch(message)


def dead(body: str, *, group: str = "g", message_id: str = "m1", reason: str | None = None) -> DeadMessage:
    return DeadMessage(Delivery(message_id, f"receipt-{message_id}", group, 1, body), "standard", reason)


def dead_of(message: TaskMessage, message_id: str = "m1") -> DeadMessage:
    return dead(message.to_body(), group=message.group, message_id=message_id)


def ids(deliveries: list[Delivery]) -> list[str]:
    return [delivery.message_id for delivery in deliveries]


def follow(head: Event, kind: Kind, body: dict[str, Any], attempt: int = 1) -> Event:
    return chain(
        task_id=head.task_id,
        seq=head.seq + 1,
        kind=kind,
        at_ms=head.at_ms,
        actor="worker:w/1",
        attempt=attempt,
        body=body,
        prev_hash=head.hash,
    )
