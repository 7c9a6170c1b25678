"""Moves messages down the delay ladder and, when their time has come, onto their lanes.

Invariant: a message is reported as done only when it surely lies on its lane, in the next tier or
among the dead letters. Whatever dies in between leaves it where it was; it is handed out again, and
what it had become already is the same message by its deduplication id, or one more that finds the
log ahead of it. Nothing is let through before its time by this machine's clock, and the worker asks
its own clock again.

Reads no log: whether a task was cancelled meanwhile is found where it would start. The messages of a
batch have nothing to do with each other, and none holds up another.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from flotilla import trace_context
from flotilla.clock import Clock
from flotilla.errors import RetryableError, UnreadableMessageError
from flotilla.models import Delivery, TaskMessage
from flotilla.ports import Delays, LaneReceipts, Lanes
from flotilla.primitives.ladder import Hold, Ladder, Tier, ToLane

logger = logging.getLogger("flotilla.relay")

_FIRST_RETRY_SECONDS = 5
_SLOWEST_RETRY_SECONDS = 60
_FAR_MS = 10**15


@dataclass(slots=True)
class RelayResult:
    """What became of the messages.

    Attributes:
        done: To be deleted.
        again: To be kept; their visibility is set.
    """

    done: list[Delivery] = field(default_factory=list)
    again: list[Delivery] = field(default_factory=list)


@dataclass(slots=True)
class _Sorted:
    """A batch, by what is to be done with each message."""

    due: list[tuple[Delivery, TaskMessage]] = field(default_factory=list)
    onward: list[tuple[Delivery, TaskMessage, int]] = field(default_factory=list)
    held: list[tuple[Delivery, int]] = field(default_factory=list)
    aside: list[tuple[Delivery, str]] = field(default_factory=list)


class Relay:
    """Passes on what comes out of the tiers.

    Args:
        lanes: Where what is due goes.
        lane_names: The lanes there are. A deployment may have removed one that a task was accepted for.
        delays: The ladder's queues.
        ladder: The rule.
        clock: Tells what is due.
    """

    def __init__(
        self, *, lanes: Lanes, lane_names: Collection[str], delays: Delays, ladder: Ladder, clock: Clock
    ) -> None:
        self._lanes = lanes
        self._lane_names = lane_names
        self._delays = delays
        self._ladder = ladder
        self._clock = clock

    async def run(self, deliveries: Sequence[Delivery], receipts: LaneReceipts) -> RelayResult:
        """Do for each message what its time asks for.

        Args:
            deliveries: What one tier's queue handed out.
            receipts: For that queue, and the ladder's dead letter queue.
        """
        found = self._sort(deliveries)
        moves = [
            *(self._send_onward(message, tier) for _, message, tier in found.onward),
            *(self._put_aside(receipts, delivery, reason) for delivery, reason in found.aside),
        ]
        _, sent, moved = await asyncio.gather(
            self._hold(receipts, found.held),
            self._send_due([message for _, message in found.due]),
            asyncio.gather(*moves),
        )
        handled = [
            *(delivery for delivery, _ in found.due),
            *(delivery for delivery, _, _ in found.onward),
            *(delivery for delivery, _ in found.aside),
        ]
        result = RelayResult()
        for delivery, durable in zip(handled, (*sent, *moved), strict=True):
            (result.done if durable else result.again).append(delivery)
        await self._hold(receipts, [(delivery, _retry_seconds(delivery)) for delivery in result.again])
        logger.info(
            "relayed",
            extra={
                "due": len(found.due),
                "onward": len(found.onward),
                "held": len(found.held),
                "aside": len(found.aside),
                "failed": len(result.again),
            },
        )
        result.again += [delivery for delivery, _ in found.held]
        return result

    def _sort(self, deliveries: Sequence[Delivery]) -> _Sorted:
        found = _Sorted()
        for delivery in deliveries:
            try:
                message = TaskMessage.from_body(delivery.body)
            except UnreadableMessageError as error:
                found.aside.append((delivery, error.message))
                continue
            match self._ladder.on_arrival(self._remaining_seconds(message), message.hops):
                case Hold(seconds):
                    found.held.append((delivery, seconds))
                case Tier(seconds):
                    found.onward.append((delivery, replace(message, hops=message.hops + 1), seconds))
                case ToLane() if message.lane in self._lane_names:
                    found.due.append((delivery, message))
                case ToLane():
                    found.aside.append((delivery, "there is no such lane"))
        return found

    def _remaining_seconds(self, message: TaskMessage) -> float:
        if message.not_before_ms is None:
            return 0.0
        remaining_ms = message.not_before_ms - self._clock.now_ms()
        return max(-_FAR_MS, min(remaining_ms, _FAR_MS)) / 1000  # what no clock can hold would not divide

    async def _hold(self, receipts: LaneReceipts, timeouts: Sequence[tuple[Delivery, int]]) -> None:
        if timeouts:
            await receipts.set_visibility(timeouts)

    async def _send_due(self, messages: Sequence[TaskMessage]) -> Sequence[bool]:
        if not messages:
            return []
        try:
            return await self._lanes.send_batch(messages)
        except Exception:
            # A fault of our own. It must not take the results of the rest of the batch with it.
            logger.exception("sending broke off", extra={"messages": len(messages)})
            return [False] * len(messages)

    async def _send_onward(self, message: TaskMessage, tier_seconds: int) -> bool:
        try:
            await self._delays.send(message, tier_seconds)
        except RetryableError as error:
            with trace_context.carried(message.trace):
                logger.warning("not passed on", extra={"task_id": message.task_id, "error": error.message})
            return False
        return True

    async def _put_aside(self, receipts: LaneReceipts, delivery: Delivery, reason: str) -> bool:
        try:
            await receipts.put_aside(delivery, reason)
        except RetryableError as error:
            logger.warning("not put aside", extra={"message_id": delivery.message_id, "error": error.message})
            return False
        logger.error("message put aside", extra={"message_id": delivery.message_id, "reason": reason})
        return True


def _retry_seconds(delivery: Delivery) -> int:
    """The longer a queue does not answer, the less often it is asked."""
    return min(_FIRST_RETRY_SECONDS * max(delivery.receive_count, 1), _SLOWEST_RETRY_SECONDS)
