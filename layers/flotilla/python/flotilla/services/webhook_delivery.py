"""Delivering webhooks: one attempt for each message that is due, and what becomes of the message.

Invariant: a message leaves the queue only when its endpoint took it, wants no more of it, or when it was copied to the
dead letter queue. A process that dies after the endpoint took it leaves the message, and the endpoint is told again
under the same `webhook-id`.

Failure policy: without the endpoint's record there is no secret to sign with, so nothing is sent while the store is
down. A breaker whose change cannot be stored is passed over: it spares calls and guards no promise.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from flotilla import trace_context
from flotilla.broadcast import Breaker, Endpoint, EndpointState, WebhookMessage
from flotilla.broadcast_ports import Endpoints, WebhookReceipts, WebhookSender
from flotilla.clock import Clock
from flotilla.errors import RetryableError, UnreadableMessageError
from flotilla.models import Delivery
from flotilla.primitives import webhook_breaker, webhook_retry
from flotilla.primitives.webhook_breaker import Hold, Probe
from flotilla.primitives.webhook_signature import headers_for
from flotilla.services.destinations import Destinations, ForbiddenDestinationError
from flotilla.services.endpoints import valid

logger = logging.getLogger("flotilla.webhook")

ATTEMPT_SECONDS = 10.0
"""Resolving, connecting, sending and the answer, all in all."""

_RECORDING_SECONDS = 5.0
_STORE_RETRY_SECONDS = 30
_TRIES = 3
_GONE = 410


@dataclass(frozen=True, slots=True)
class _Attempt:
    """How an attempt ended.

    Attributes:
        status: The HTTP status; None where there was no answer.
        why: Why it failed; None where it did not.
        pause_seconds: What the endpoint asked for.
    """

    status: int | None
    why: str | None
    pause_seconds: float | None = None


class WebhookDeliveries:
    """Works on what the webhooks' queue hands out.

    Args:
        endpoints: Where endpoints are kept.
        destinations: Decides where webhooks may go.
        sender: Makes the requests.
        receipts: Holds messages, or puts them aside.
        clock: Tells the time.
        dice: Draws jitter.
        attempt_seconds: Longest attempt.
    """

    def __init__(
        self,
        *,
        endpoints: Endpoints,
        destinations: Destinations,
        sender: WebhookSender,
        receipts: WebhookReceipts,
        clock: Clock,
        dice: random.Random,
        attempt_seconds: float = ATTEMPT_SECONDS,
    ) -> None:
        self._endpoints = endpoints
        self._destinations = destinations
        self._sender = sender
        self._receipts = receipts
        self._clock = clock
        self._dice = dice
        self._attempt_seconds = attempt_seconds

    async def run(self, deliveries: Sequence[Delivery], ends_ms: int) -> list[Delivery]:
        """Work on a batch, all of it at once.

        Args:
            deliveries: The messages.
            ends_ms: When Lambda will kill this invocation.

        Returns:
            Those that must stay on the queue; their visibility is set.
        """
        stays = await asyncio.gather(*(self._stays(delivery, ends_ms) for delivery in deliveries))
        return [delivery for delivery, again in zip(deliveries, stays, strict=True) if again]

    async def _stays(self, delivery: Delivery, ends_ms: int) -> bool:
        try:
            message = WebhookMessage.from_body(delivery.body)
        except UnreadableMessageError as error:
            return await self._give_up(delivery, error.message, {"message_id": delivery.message_id})
        with trace_context.carried(message.trace):
            return await self._worked_on(delivery, message, ends_ms)

    async def _worked_on(self, delivery: Delivery, message: WebhookMessage, ends_ms: int) -> bool:
        keys = {"webhook_id": message.id, "endpoint_id": message.endpoint_id, "task_id": message.task_id}
        try:
            endpoint = await self._endpoints.get(message.tenant, message.endpoint_id)
            if endpoint is None or endpoint.state is not EndpointState.ACTIVE:
                logger.info("endpoint wants no more", extra={**keys, "registered": endpoint is not None})
                return False
            if (ends_ms - self._clock.now_ms()) / 1000 < self._attempt_seconds + _RECORDING_SECONDS:
                return await self._hold(delivery, 0)
            match webhook_breaker.look(endpoint.breaker, self._clock.now_ms()):
                case Hold(seconds):
                    return await self._wait_for_breaker(delivery, message, seconds, keys)
                case Probe(claimed):
                    endpoint = replace(endpoint, breaker=claimed)
                    if not await self._endpoints.change(endpoint):
                        # Another message is the probe; its answer comes within the lease.
                        lease = webhook_breaker.PROBE_LEASE_SECONDS
                        return await self._wait_for_breaker(delivery, message, lease, keys)
                    probing = replace(endpoint, version=endpoint.version + 1)
                    return await self._deliver(delivery, message, probing, keys, probe=True)
                case _:
                    return await self._deliver(delivery, message, endpoint, keys, probe=False)
        except RetryableError as error:
            logger.warning("endpoints unknown", extra={**keys, "error": error.message})
            return await self._hold(delivery, _STORE_RETRY_SECONDS * (1 + self._dice.random()))

    async def _deliver(
        self, delivery: Delivery, message: WebhookMessage, endpoint: Endpoint, keys: dict[str, Any], *, probe: bool
    ) -> bool:
        began_ms = self._clock.now_ms()
        attempt = await self._attempt(message, endpoint)
        now_ms = self._clock.now_ms()
        keys = {**keys, "status": attempt.status, "ms": now_ms - began_ms, "error": attempt.why, "probe": probe}
        if attempt.why is None:
            logger.info("webhook delivered", extra=keys)
            await self._record(endpoint, _healed)
            return False
        if attempt.status == _GONE:
            logger.warning("endpoint is gone and was disabled", extra=keys)
            await self._record(endpoint, _disabled)
            return False
        fraction = self._dice.random()

        def failed(current: Endpoint) -> Endpoint:
            breaker = webhook_breaker.failed(
                current.breaker, now_ms, probe=probe, fraction=fraction, pause_seconds=attempt.pause_seconds
            )
            return replace(current, breaker=breaker)

        await self._record(endpoint, failed)
        wait = webhook_retry.next_wait_seconds(
            (now_ms - message.queued_at_ms) / 1000,
            fraction=self._dice.random(),
            at_least_seconds=attempt.pause_seconds,
        )
        if wait is None:
            return await self._give_up(delivery, f"no attempt is left; the last one failed: {attempt.why}", keys)
        logger.info("webhook failed", extra={**keys, "again_in_seconds": math.ceil(wait)})
        return await self._hold(delivery, wait)

    async def _attempt(self, message: WebhookMessage, endpoint: Endpoint) -> _Attempt:
        body = message.payload.encode()
        try:
            target = self._destinations.target(endpoint.url)
            async with asyncio.timeout(self._attempt_seconds):
                addresses = await self._destinations.addresses(target)
                now_ms = self._clock.now_ms()
                secrets = [secret.text for secret in valid(endpoint.secrets, now_ms)]
                headers = headers_for(message.id, body, secrets=secrets, now_ms=now_ms)
                headers |= dict(trace_context.headers())
                answer = await self._sender.post(target, addresses, headers, body, self._attempt_seconds)
        except TimeoutError:
            return _Attempt(None, "no answer in time")
        except (ForbiddenDestinationError, RetryableError) as error:
            return _Attempt(None, error.message)
        if 200 <= answer.status <= 299:
            return _Attempt(answer.status, None)
        pause = webhook_retry.retry_after_seconds(answer.retry_after, self._clock.now_ms())
        return _Attempt(answer.status, f"it answered {answer.status}", pause if answer.status in (429, 503) else None)

    async def _record(self, endpoint: Endpoint, change: Callable[[Endpoint], Endpoint]) -> None:
        """Store what an attempt makes of its endpoint, over whatever has changed meanwhile."""
        current: Endpoint | None = endpoint
        try:
            for _ in range(_TRIES):
                if current is None or (changed := change(current)) == current:
                    return
                if await self._endpoints.change(changed):
                    return
                current = await self._endpoints.get(endpoint.tenant, endpoint.id)
        except RetryableError as error:
            logger.warning("endpoint not updated", extra={"endpoint_id": endpoint.id, "error": error.message})

    async def _wait_for_breaker(
        self, delivery: Delivery, message: WebhookMessage, seconds: float, keys: dict[str, Any]
    ) -> bool:
        if self._clock.now_ms() - message.queued_at_ms > webhook_retry.LONGEST_HOLD_SECONDS * 1000:
            return await self._give_up(delivery, "its endpoint was down for too long", keys)
        return await self._hold(delivery, webhook_retry.hold_seconds(seconds, fraction=self._dice.random()))

    async def _hold(self, delivery: Delivery, seconds: float) -> bool:
        await self._receipts.hold(delivery, math.ceil(seconds))
        return True

    async def _give_up(self, delivery: Delivery, reason: str, keys: dict[str, Any]) -> bool:
        try:
            await self._receipts.put_aside(delivery, reason)
        except RetryableError as error:
            logger.warning("webhook not put aside", extra={**keys, "error": error.message})
            return await self._hold(delivery, _STORE_RETRY_SECONDS)
        logger.error("webhook given up", extra={**keys, "reason": reason})
        return False


def _healed(current: Endpoint) -> Endpoint:
    return current if current.breaker == Breaker() else replace(current, breaker=Breaker())


def _disabled(current: Endpoint) -> Endpoint:
    return replace(current, state=EndpointState.DISABLED)
