"""The broadcast's ports in memory."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from flotilla.broadcast import Answer, Endpoint, Notice, Target, WebhookMessage
from flotilla.errors import RetryableError, StoreUnavailableError
from flotilla.models import Delivery, Status


class MemoryEndpoints:
    """`Endpoints` in a dictionary; while `down`, it does not answer."""

    def __init__(self) -> None:
        self.endpoints: dict[tuple[str, str], Endpoint] = {}
        self.statuses: set[Status] = set()
        self.down = False
        self.calls: list[str] = []

    async def _answer(self, call: str) -> None:
        self.calls.append(call)
        await asyncio.sleep(0)
        if self.down:
            raise StoreUnavailableError("the endpoints did not answer")

    async def add(self, endpoint: Endpoint) -> bool:
        await self._answer("add")
        key = (endpoint.tenant, endpoint.id)
        if key in self.endpoints:
            return False
        self.endpoints[key] = endpoint
        return True

    async def get(self, tenant: str, endpoint_id: str) -> Endpoint | None:
        await self._answer("get")
        return self.endpoints.get((tenant, endpoint_id))

    async def of(self, tenant: str) -> list[Endpoint]:
        await self._answer("of")
        found = [endpoint for (owner, _), endpoint in self.endpoints.items() if owner == tenant]
        return sorted(found, key=lambda endpoint: (endpoint.created_at_ms, endpoint.id))

    async def change(self, endpoint: Endpoint) -> bool:
        await self._answer("change")
        key = (endpoint.tenant, endpoint.id)
        if key not in self.endpoints or self.endpoints[key].version != endpoint.version:
            return False
        self.endpoints[key] = replace(endpoint, version=endpoint.version + 1)
        return True

    async def remove(self, tenant: str, endpoint_id: str) -> bool:
        await self._answer("remove")
        return self.endpoints.pop((tenant, endpoint_id), None) is not None

    async def ask_for(self, statuses: Iterable[Status]) -> None:
        await self._answer("ask_for")
        self.statuses |= set(statuses)

    async def asked_for(self) -> frozenset[Status]:
        await self._answer("asked_for")
        return frozenset(self.statuses)


class MemoryPublisher:
    """`Publisher` in a list. `refusals` says, call by call, which positions do not get through; then all do."""

    def __init__(self, *refusals: Sequence[int]) -> None:
        self.published: list[Notice] = []
        self.calls: list[list[str]] = []
        self._refusals = deque(refusals)

    async def publish(self, notices: Sequence[Notice]) -> list[bool]:
        await asyncio.sleep(0)
        self.calls.append([notice.id for notice in notices])
        refused = self._refusals.popleft() if self._refusals else ()
        through = [position not in refused for position in range(len(notices))]
        self.published += [notice for notice, done in zip(notices, through, strict=True) if done]
        return through


class MemoryWebhookQueue:
    """`WebhookQueue` in a list; while `down`, nothing gets through."""

    def __init__(self) -> None:
        self.sent: list[WebhookMessage] = []
        self.down = False

    async def send_batch(self, messages: Sequence[WebhookMessage]) -> list[bool]:
        await asyncio.sleep(0)
        if not self.down:
            self.sent += [WebhookMessage.from_body(message.to_body()) for message in messages]
        return [not self.down] * len(messages)


@dataclass
class MemoryWebhookReceipts:
    """`WebhookReceipts` that keep what was asked for, in order; while `down`, nothing can be put aside."""

    held: list[tuple[str, int]] = field(default_factory=list)
    aside: list[tuple[str, str]] = field(default_factory=list)
    down: bool = False

    async def hold(self, delivery: Delivery, seconds: int) -> None:
        self.held.append((delivery.message_id, seconds))

    async def put_aside(self, delivery: Delivery, reason: str) -> None:
        if self.down:
            raise StoreUnavailableError("the dead letter queue did not answer")
        self.aside.append((delivery.message_id, reason))


class MemoryResolver:
    """`Resolver` that gives one answer after the other, the last one for ever; an empty one is a failure."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self._answers = deque(answers)
        self.asked: list[str] = []

    async def addresses(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        await asyncio.sleep(0)
        answer = self._answers.popleft() if len(self._answers) > 1 else self._answers[0]
        if not answer:
            raise RetryableError("its host name does not resolve", code="unresolved")
        return list(answer)


@dataclass(frozen=True)
class Posted:
    """One request of a `MemorySender`."""

    target: Target
    addresses: tuple[str, ...]
    headers: Mapping[str, str]
    body: bytes


class MemorySender:
    """`WebhookSender` to an endpoint that is a function; None is no answer."""

    def __init__(self, endpoint: Callable[[Posted], Answer | None] = lambda _posted: Answer(204)) -> None:
        self.endpoint = endpoint
        self.posted: list[Posted] = []

    async def post(
        self, target: Target, addresses: Sequence[str], headers: Mapping[str, str], body: bytes, timeout_seconds: float
    ) -> Answer:
        posted = Posted(target, tuple(addresses), headers, body)
        self.posted.append(posted)
        await asyncio.sleep(0)
        answer = self.endpoint(posted)
        if answer is None:
            raise RetryableError("no answer in time", code="webhook_timeout")
        return answer
