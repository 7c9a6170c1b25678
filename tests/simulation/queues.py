"""SQS FIFO queues: order and lock of a group, deduplication, visibility, receipts, receive counts, dead letters.

Invariants: a group hands out nothing while any message of it is in flight, and then from its oldest on; a receipt is
good until the message is handed out again or becomes visible; two sends with one deduplication id within five minutes
are one message.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from flotilla.models import Delivery

DEDUPLICATION_SECONDS = 300.0
LONGEST_SECONDS = 43_200.0


@dataclass(slots=True, eq=False)
class Message:
    """One message of a queue.

    Attributes:
        visible_at: Until then it is delayed (never received) or in flight.
        receipt: Of its newest hand-out; empty before the first.
    """

    message_id: str
    body: str
    group: str
    visible_at: float
    sent_at: float
    received_at: float = 0.0
    receive_count: int = 0
    receipt: str = ""

    def in_flight(self, now: float) -> bool:
        return self.visible_at > now and bool(self.receipt)


class FifoQueue:
    """One queue.

    Args:
        visibility_seconds: How long a message that was handed out stays hidden.
        delay_seconds: How long every message is held back at first.
        max_receive_count: After so many hand-outs a message goes to `dead_letters`.
        changed: Called when something may have become receivable sooner than was known.
        buried: Told of each message that goes to `dead_letters`.
    """

    def __init__(
        self,
        name: str,
        rng: random.Random,
        *,
        visibility_seconds: float,
        delay_seconds: float = 0.0,
        max_receive_count: int = 0,
        dead_letters: FifoQueue | None = None,
    ) -> None:
        self.name = name
        self.visibility_seconds = visibility_seconds
        self.changed: Callable[[], None] = lambda: None
        self.buried: Callable[[Message], None] = lambda message: None
        self.groups: dict[str, list[Message]] = {}
        self.sends = 0
        self._delay_seconds = delay_seconds
        self._max_receive_count = max_receive_count
        self._dead_letters = dead_letters
        self._rng = rng
        self._known: dict[str, float] = {}
        self._receipts = 0

    def __len__(self) -> int:
        return sum(map(len, self.groups.values()))

    def messages(self) -> list[Message]:
        """Everything that lies in the queue, in flight or not."""
        return [message for group in self.groups.values() for message in group]

    def send(self, now: float, body: str, group: str, deduplication_id: str) -> None:
        """Put a message at the end of its group, unless it was sent in the last five minutes."""
        if now - self._known.get(deduplication_id, -DEDUPLICATION_SECONDS) < DEDUPLICATION_SECONDS:
            return
        self._known[deduplication_id] = now
        self._add(now, f"{self.name}/{self.sends}", body, group, self._delay_seconds)

    def _add(self, now: float, message_id: str, body: str, group: str, delay_seconds: float) -> None:
        self.sends += 1
        message = Message(message_id, body, group, now + delay_seconds, now)
        self.groups.setdefault(group, []).append(message)
        self.changed()

    def receivable_at(self, now: float) -> float | None:
        """When the next hand-out is possible, as things stand; None if nothing lies here."""
        soonest: float | None = None
        for group in self.groups.values():
            # Locked until the last one in flight is visible again; then the head itself must be visible.
            at = max(group[0].visible_at, *(m.visible_at for m in group if m.receipt), now)
            if soonest is None or at < soonest:
                soonest = at
        return soonest

    def receive(self, now: float, limit: int) -> list[tuple[Message, Delivery]]:
        """Hand out up to `limit` messages, of any groups, in order within each."""
        free = [group for group in self.groups.values() if not any(m.in_flight(now) for m in group)]
        self._rng.shuffle(free)
        found: list[tuple[Message, Delivery]] = []
        for group in free:
            for message in list(group):
                if message.visible_at > now or len(found) == limit:
                    break
                if self._dead_letters is not None and message.receive_count >= self._max_receive_count:
                    self._bury(now, message)
                    continue
                message.receive_count += 1
                message.received_at = now
                self._receipts += 1
                message.receipt = f"{message.message_id}#{self._receipts}"
                message.visible_at = now + self.visibility_seconds
                found.append((message, _delivery(message)))
        return found

    def _bury(self, now: float, message: Message) -> None:
        assert self._dead_letters is not None
        self._remove(message)
        self.buried(message)
        # SQS moves it as it is, whatever was sent before.
        self._dead_letters._add(now, message.message_id, message.body, message.group, 0.0)

    def set_visibility(self, now: float, receipt: str, seconds: float) -> None:
        """Hide a message that is in flight for so long from now on.

        SQS refuses what would hide it for longer than twelve hours after it was handed out.
        """
        message = self._held(now, receipt)
        if message is not None and now + seconds <= message.received_at + LONGEST_SECONDS:
            message.visible_at = now + seconds
            self.changed()

    def delete(self, now: float, receipt: str) -> Message | None:
        """Remove a message; None where the receipt is no good any more."""
        message = self._held(now, receipt)
        if message is not None:
            self._remove(message)
            self.changed()
        return message

    def expire(self, now: float, receipts: Sequence[str]) -> None:
        """End the visibility timeout of these before its time."""
        for receipt in receipts:
            self.set_visibility(now, receipt, 0.0)

    def _remove(self, message: Message) -> None:
        group = self.groups[message.group]
        group.remove(message)
        if not group:
            del self.groups[message.group]

    def _held(self, now: float, receipt: str) -> Message | None:
        for group in self.groups.values():
            for message in group:
                if message.receipt == receipt:
                    return message if message.visible_at > now else None
        return None


def _delivery(message: Message) -> Delivery:
    return Delivery(message.message_id, message.receipt, message.group, message.receive_count, message.body)
