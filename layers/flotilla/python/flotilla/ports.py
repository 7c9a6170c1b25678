"""What services need from the world, as small protocols.

Every AWS call of the runtime goes through one of these, so a simulator can stand in for AWS
and crash, delay, duplicate or lose at every single one. All are async: the AWS adapters run
their blocking calls on threads, the simulator on its own scheduler.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from flotilla.events import Event
from flotilla.models import Delivery, TaskMessage

T = TypeVar("T")


class EventLog(Protocol):
    """The append-only log of every task."""

    async def append(self, event: Event) -> Event | None:
        """Append `event` at its sequence number, if nothing is there yet.

        Returns:
            None when `event` is in the log (also when an earlier send of the very same event put
            it there and only its answer was lost); else the other event that holds the place.

        Raises:
            RetryableError: The store did not answer. The event may or may not be in the log.
        """
        ...

    async def read(self, task_id: str) -> list[Event]:
        """The whole log of a task in order, strongly consistent; empty when there is none."""
        ...


class PayloadStore(Protocol):
    """Where values too large for an event lie. Writing the same value twice is one object."""

    async def put(self, key: str, content: bytes) -> None:
        """Store `content`; durable when this returns."""
        ...

    async def get(self, key: str) -> bytes:
        """Read what lies at `key`.

        Raises:
            RetryableError: It is not there (yet) or the store did not answer.
        """
        ...


class Lanes(Protocol):
    """The sending side of the priority lanes."""

    async def send(self, message: TaskMessage) -> None:
        """Put `message` on its lane; durable when this returns.

        Raises:
            RetryableError: The queue did not answer. The message may or may not be on the lane.
        """
        ...


class LaneReceipts(Protocol):
    """What a worker does with the messages it was handed."""

    async def set_visibility(self, timeouts: Sequence[tuple[Delivery, int]]) -> None:
        """Make each delivery visible again after that many whole seconds.

        Best effort: a message that is no longer this receiver's is passed over, and a failure
        costs only time, because the queue's own visibility timeout stands behind it.
        """
        ...

    async def delete(self, deliveries: Sequence[Delivery]) -> None:
        """Remove messages that are done. Best effort: a message that stays is recognised as done."""
        ...

    async def put_aside(self, delivery: Delivery, reason: str) -> None:
        """Move a message that can never be read to the lane's dead letter queue.

        Raises:
            RetryableError: The queue did not answer; the message is still on the lane.
        """
        ...


class RunSync(Protocol):
    """Runs blocking code off the event loop."""

    async def __call__(self, function: Callable[..., T], *args: Any) -> T:
        """Call `function(*args)` on a thread and return or raise what it does."""
        ...
