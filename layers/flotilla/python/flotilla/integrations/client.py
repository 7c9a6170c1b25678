"""What `ctx.integration(name)` is: calls to one integration, on behalf of one attempt of a task.

    may the attempt go on? ─> credentials ─> circuit, limits, cap ─> request ─> outcome told ─> answer
            ^                                                                        │
            └──────────── wait, while attempts and time are left ────────────────────┘

Invariant: a call ends within min(what is left of the attempt, the integration's total, what the caller gives it). What
it came to is told to the protection exactly once for every request, also when the call is cancelled.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Collection, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from flotilla.attempt_ports import Supervisor
from flotilla.clock import Clock
from flotilla.errors import FlotillaError, LimitedError, ParkedError, PermanentError, RetryableError
from flotilla.integration_ports import (
    CallAsk,
    CrowdedError,
    HttpAnswer,
    HttpBounds,
    HttpRequest,
    HttpTransport,
    NoAnswerError,
    NotSentError,
    Permit,
    Protection,
    UnusableAnswerError,
    protection_name,
)
from flotilla.integrations import effects
from flotilla.integrations.credentials import Credentials
from flotilla.integrations.declaration import Integration
from flotilla.integrations.outcome import Kind, Tried, may_repeat, of_answer, of_cut, of_error
from flotilla.integrations.request import ABSENT, Params, build, is_idempotent, is_safe, redirected
from flotilla.integrations.response import IntegrationRefusedError, Response
from flotilla.integrations.retrying import wait_ms
from flotilla.integrations.telling import count_call, trace_headers
from flotilla.metric_ports import Metrics, NoMetrics
from flotilla.primitives.circuit import CallOutcome
from flotilla.primitives.parking import unaided_seconds

logger = logging.getLogger("flotilla.integrations")

T = TypeVar("T")

_MOST_REDIRECTS = 3

_CROWDED_SECONDS = 1.0

_MARGIN_MS = 20
"""A call ends this much before its attempt does: it can then say why, instead of being cancelled with it."""

_LEAST_MS = 5
"""What is left of that, whatever has to be asked first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """The attempt that calls.

    Attributes:
        ends_ms: When it is stopped.
        supervisor: Says whether it may go on.
        idempotency_key: Makes a key of an effect's name, the same in every attempt of the task.
        effects: Counts the attempt's effects outside of steps.
        waits: How often its task was put aside before, at the cost of no attempt.
    """

    agent: str
    tenant: str
    ends_ms: int
    supervisor: Supervisor
    idempotency_key: Callable[[str], str]
    effects: effects.EffectScope
    waits: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CallTools:
    """What calls to one integration need, the same for every attempt.

    Attributes:
        protection: The integration's.
        told: Outcomes on their way to the protection.
        metrics: Counts requests, those that failed, and how long each took.
    """

    transport: HttpTransport
    protection: Protection
    credentials: Credentials
    clock: Clock
    random: random.Random
    told: set[asyncio.Task[None]]
    metrics: Metrics = field(default_factory=NoMetrics)


class IntegrationClient:
    """Calls one integration.

    Paths begin with a slash and lie below the integration's base URL. What all of them take and raise, `request` says.
    """

    def __init__(self, integration: Integration, caller: Caller, tools: CallTools) -> None:
        self._integration = integration
        self._caller = caller
        self._tools = tools
        self._clock = tools.clock

    async def get(self, path: str, **options: Any) -> Response:
        """GET; see `request`."""
        return await self.request("GET", path, **options)

    async def post(self, path: str, **options: Any) -> Response:
        """POST, with an idempotency key; see `request`."""
        return await self.request("POST", path, **options)

    async def put(self, path: str, **options: Any) -> Response:
        """PUT; see `request`."""
        return await self.request("PUT", path, **options)

    async def patch(self, path: str, **options: Any) -> Response:
        """PATCH, with an idempotency key; see `request`."""
        return await self.request("PATCH", path, **options)

    async def delete(self, path: str, **options: Any) -> Response:
        """DELETE; see `request`."""
        return await self.request("DELETE", path, **options)

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        json: Any = ABSENT,
        content: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
        effect: str | None = None,
        accept: Collection[int] = (),
        timeout_seconds: float | None = None,
    ) -> Response:
        """Make a call.

        Args:
            method: GET, HEAD, OPTIONS, PUT, DELETE, POST or PATCH.
            path: Below the integration's base URL; begins with a slash.
            params: Added to the query.
            json: A body as JSON.
            content: A body as it is.
            headers: Further headers.
            effect: Names what the call does to the world outside, unique within the task: `ctx.idempotency_key(effect)`
                is sent along. By default the step, the method, the path, and how many such calls there were before.
                Name it where calls alike are made in an order that may differ between attempts.
            accept: Statuses besides 2xx that are answers, e.g. `(404,)`.
            timeout_seconds: The call takes no longer, repetitions included.

        Raises:
            IntegrationRefusedError: The other side refuses it for good (`integration_refused`): 4xx mostly.
            PermanentError: It cannot be made (`invalid_request`, `path_not_allowed`,
                `integration_forbidden`), or its answer not be taken (`integration_answer_unusable`).
            RetryableError: It failed, and so did its repetitions, or its time was up; calls of others succeed.
            ParkedError: It cannot be made now: the circuit is open, a limit reached, nobody there, fewer calls are
                wanted, or the task is paused. Or it failed, and it is not known that any other succeeds. Let it pass:
                the attempt is not charged and comes back.
            AttemptRevokedError: The task was cancelled, or another worker owns it. Let it pass.
        """
        name = self._integration.name
        key = None if is_idempotent(method.upper()) else self._key(method.upper(), path, effect)
        request = build(
            self._integration,
            method,
            path,
            params=params,
            json=json,
            content=content,
            headers=headers,
            idempotency_key=key,
        )
        budget_ms, began_ms = self._budget_ms(timeout_seconds), self._clock.now_ms()
        timeout = asyncio.timeout(budget_ms / 1000)
        try:
            async with timeout:
                return await self._answered(request, began_ms, began_ms + budget_ms, accept)
        except TimeoutError as error:
            if not timeout.expired():
                raise
            message = f"integration {name} did not answer within {budget_ms / 1000:g} s"
            failure = RetryableError(message, code="integration_timeout")
            if budget_ms < self._telling_ms:
                raise failure from error  # it says more about who gave it so little
            raise await self._blamed(failure, began_ms) from error

    def _key(self, method: str, path: str, effect: str | None) -> str:
        if effect is None:
            scope = effects.current() or self._caller.effects
            effect = scope.next(f"{self._integration.name} {method} {path}")
        return self._caller.idempotency_key(effect)

    def _budget_ms(self, timeout_seconds: float | None) -> int:
        left_ms = self._caller.ends_ms - self._clock.now_ms() - _MARGIN_MS
        if left_ms <= 0:
            raise RetryableError("the attempt has no time left for a call", code="timeout")
        given = self._integration.total_ms if timeout_seconds is None else int(timeout_seconds * 1000)
        if given <= 0:
            raise PermanentError("a call's timeout is at least a millisecond", code="invalid_request")
        return min(left_ms, self._integration.total_ms, given)

    async def _answered(
        self, request: HttpRequest, began_ms: int, deadline_ms: int, accept: Collection[int]
    ) -> Response:
        idempotent = is_idempotent(request.method) or self._keyed(request)
        tries = redirects = 0
        while True:
            tried = await self._try(request, deadline_ms)
            answer = tried.answer
            if answer is not None and (tried.kind is Kind.ANSWERED or answer.status in accept):
                return Response.of(answer)
            if tried.kind is Kind.REDIRECTED and answer is not None:
                redirects += 1
                request = self._followed(request, answer, redirects)
                continue
            if tried.kind is Kind.UNAUTHORIZED and self._tools.credentials.renewed(self._integration.auth):
                continue
            tries += 1
            if not may_repeat(tried, idempotent=idempotent):
                raise await self._failure(tried, began_ms)
            wait = wait_ms(
                self._integration.retry,
                tries,
                left_ms=deadline_ms - self._clock.now_ms(),
                fraction=self._tools.random.random(),
                retry_after_ms=tried.retry_after_ms,
            )
            if wait is None:
                raise await self._failure(tried, began_ms)
            await self._clock.sleep(wait / 1000)

    def _keyed(self, request: HttpRequest) -> bool:
        header = self._integration.idempotency_header
        return header is not None and any(name == header.lower() for name, _ in request.headers)

    def _followed(self, request: HttpRequest, answer: HttpAnswer, redirects: int) -> HttpRequest:
        location = answer.header("location")
        followed = None
        if location is not None and redirects <= _MOST_REDIRECTS and is_safe(request.method):
            followed = redirected(self._integration, request, location)
        if followed is None:
            # Where it leads is not repeated: it may hold what is nobody's business outside.
            message = f"integration {self._integration.name} answered {answer.status}, a redirect that is not followed"
            code = "integration_redirect"
            raise IntegrationRefusedError(self._integration.name, Response.of(answer), code=code, message=message)
        return followed

    async def _try(self, request: HttpRequest, deadline_ms: int) -> Tried:
        await self._caller.supervisor.go_on()
        credentials = await self._tools.credentials.headers(self._integration.auth)
        began_ms = self._clock.now_ms()
        ask = CallAsk(self._caller.agent, self._caller.tenant, max(1, deadline_ms - began_ms))
        permit = await self._tools.protection.acquire(ask)
        began_ms = self._clock.now_ms()
        try:
            headers = (*request.headers, *trace_headers(request), *credentials)
            tried = await self._sent(replace(request, headers=headers))
        except asyncio.CancelledError:
            took_ms = self._clock.now_ms() - began_ms
            health = of_cut(took_ms, self._telling_ms)
            count_call(self._tools.metrics, self._integration.name, health, took_ms)
            self._tell(permit, health, took_ms)
            raise
        except BaseException as error:
            # An answer that is not taken is an answer; a request that is not made says nothing.
            health = CallOutcome.OK if isinstance(error, UnusableAnswerError) else CallOutcome.UNKNOWN
            self._tell(permit, health, self._clock.now_ms() - began_ms)
            raise
        took_ms = self._clock.now_ms() - began_ms
        count_call(self._tools.metrics, self._integration.name, tried.health, took_ms)
        # The next try, or whoever calls next here, is to know of it. If time runs out meanwhile, it goes on by itself.
        await asyncio.shield(self._tell(permit, tried.health, took_ms, tried.retry_after_ms))
        return tried

    @property
    def _telling_ms(self) -> int:
        """From when on a request that brought no answer tells something: half of what one is meant to take."""
        return min(self._integration.read_ms, self._integration.total_ms) // 2

    async def _sent(self, request: HttpRequest) -> Tried:
        integration = self._integration
        bounds = HttpBounds(integration.connect_ms / 1000, integration.read_ms / 1000, integration.response_bytes)
        try:
            answer = await self._tools.transport.send(request, bounds)
        except (NotSentError, NoAnswerError, CrowdedError) as error:
            return of_error(error)
        return of_answer(answer, self._clock.now_ms())

    def _tell(
        self, permit: Permit, health: CallOutcome, took_ms: int, retry_after_ms: int | None = None
    ) -> asyncio.Task[None]:
        task = asyncio.ensure_future(_recorded(permit, health, took_ms, retry_after_ms))
        self._tools.told.add(task)
        task.add_done_callback(self._tools.told.discard)
        return task

    async def _failure(self, tried: Tried, began_ms: int) -> FlotillaError:
        """What a call raises that is not made again."""
        name = self._integration.name
        if tried.kind in (Kind.REFUSED, Kind.UNAUTHORIZED) and tried.answer is not None:
            return IntegrationRefusedError(name, Response.of(tried.answer))
        if tried.kind is Kind.THROTTLED:
            wait_seconds = max(tried.retry_after_ms or self._integration.retry.cap_ms, 1) / 1000
            message = f"integration {name} wants fewer calls"
            limit = protection_name(name)
            return LimitedError(message, limit=limit, code="throttled", retry_after_seconds=wait_seconds)
        if tried.answer is not None:
            message = f"integration {name} answered {tried.answer.status}"
            return await self._blamed(RetryableError(message, code="integration_failed"), began_ms)
        error = tried.error
        assert error is not None
        failure = RetryableError(f"integration {name}: {error.message}", code=error.code)
        if isinstance(error, CrowdedError):
            return ParkedError(failure.message, code=failure.code, retry_after_seconds=_CROWDED_SECONDS)
        return await self._blamed(failure, began_ms, surely_undone=tried.surely_undone)

    async def _blamed(self, failure: RetryableError, began_ms: int, *, surely_undone: bool = False) -> FlotillaError:
        """Whether a failure is the dependency's, and costs the task nothing, or may be the task's own.

        It may be the task's where others do better: where a call is known to have succeeded since this task failed
        before, or since this call began if it did not. Else nobody could tell an outage in which few calls are made,
        too few for the circuit, from a request that is poison; and the task waits, longer each time.
        """
        try:
            async with asyncio.timeout(max(0, self._caller.ends_ms - self._clock.now_ms() - _LEAST_MS) / 1000):
                # Whose failure opened the circuit waits with the others.
                if (held := await self._tools.protection.held()) is not None:
                    return held
                # Nobody was there to be asked: then it is not the task's fault, however others do.
                if not surely_undone and await self._tools.protection.works(self._failing_since_ms(began_ms)):
                    return failure
        except TimeoutError:
            pass  # it is not known
        wait_seconds = unaided_seconds(self._caller.waits)
        return ParkedError(failure.message, code=failure.code, retry_after_seconds=wait_seconds)

    def _failing_since_ms(self, began_ms: int) -> int:
        """When the task failed before, as far as it did: no later than its last wait before this call."""
        waits = self._caller.waits
        return began_ms if waits == 0 else began_ms - int(unaided_seconds(waits - 1) * 1000)


async def _recorded(permit: Permit, health: CallOutcome, took_ms: int, retry_after_ms: int | None) -> None:
    try:
        await permit.record(health, took_ms, retry_after_ms)
    except FlotillaError as error:
        logger.warning("protection unavailable", extra={"protection": "record", "code": error.code})


class SyncIntegrationClient:
    """`IntegrationClient` without `await`, for plain agents.

    Args:
        client: Makes the calls.
        call: Runs a coroutine on the event loop, and waits for it on the agent's own thread.
    """

    def __init__(self, client: IntegrationClient, call: Callable[[Coroutine[Any, Any, Response]], Response]) -> None:
        self._client = client
        self._call = call

    def get(self, path: str, **options: Any) -> Response:
        """See `IntegrationClient.get`."""
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> Response:
        """See `IntegrationClient.post`."""
        return self.request("POST", path, **options)

    def put(self, path: str, **options: Any) -> Response:
        """See `IntegrationClient.put`."""
        return self.request("PUT", path, **options)

    def patch(self, path: str, **options: Any) -> Response:
        """See `IntegrationClient.patch`."""
        return self.request("PATCH", path, **options)

    def delete(self, path: str, **options: Any) -> Response:
        """See `IntegrationClient.delete`."""
        return self.request("DELETE", path, **options)

    def request(self, method: str, path: str, **options: Any) -> Response:
        """See `IntegrationClient.request`."""
        return self._call(self._client.request(method, path, **options))
