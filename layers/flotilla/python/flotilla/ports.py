"""What services need from the world, as small protocols.

Every AWS call of the runtime goes through one of these, so a simulator can stand in for AWS
and crash, delay, duplicate or lose at every single one. All are async: the AWS adapters run
their blocking calls on threads, the simulator on its own scheduler.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from flotilla.coordination import Pause, PauseScope, Turn
from flotilla.events import Event
from flotilla.models import Delivery, LaneCounts, LaneReading, TaskMessage
from flotilla.read_model import (
    DeadFilter,
    Entry,
    EntryFilter,
    EntryPage,
    RunFilter,
    RunsFilter,
    SweepMark,
    UnreadableMessage,
    Watched,
)

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

    async def head(self, task_id: str) -> Event | None:
        """The newest event of a task, strongly consistent; None when there is none."""
        ...


class PayloadStore(Protocol):
    """Where values too large for an event lie. Writing the same value twice is one object."""

    async def put(self, key: str, content: bytes) -> None:
        """Store `content`; durable when this returns."""
        ...

    async def get(self, key: str) -> bytes:
        """Read what lies at `key`.

        Raises:
            RetryableError: It is not there (yet) (`payload_missing`) or the store did not answer.
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

    async def send_batch(self, messages: Sequence[TaskMessage]) -> list[bool]:
        """Put any number of messages on their lanes; those of one group arrive in the order given.

        Returns:
            For each message whether it is surely durable. Where one of a group is not, none after it is sent.
        """
        ...


class Delays(Protocol):
    """The sending side of the delay ladder: queues that hold every message for their own time."""

    async def send(self, message: TaskMessage, tier_seconds: int) -> None:
        """Put `message` into the tier; the relay is handed it after that many seconds.

        Raises:
            RetryableError: The queue did not answer. The message may or may not be there.
        """
        ...


class Schedules(Protocol):
    """One-time schedules, for what lies beyond the ladder."""

    async def put(self, message: TaskMessage, at_ms: int) -> None:
        """Have the relay handed `message` at about `at_ms`; twice for the same state of the same task is once.

        Raises:
            RetryableError: The scheduler did not answer. The schedule may or may not be there.
        """
        ...

    async def remove(self, task_id: str, seq: int) -> None:
        """Forget the schedule made for the task's event `seq`. Best effort: what fires all the same finds the log."""
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


class Pauses(Protocol):
    """What an operator has paused."""

    async def read(self) -> list[Pause]:
        """Every pause in force, strongly consistent.

        Raises:
            RetryableError: The store did not answer.
        """
        ...

    async def put(self, pause: Pause) -> None:
        """Bring a pause into force; one that is in force for the same scope and name is replaced.

        Raises:
            RetryableError: The store did not answer.
        """
        ...

    async def remove(self, scope: PauseScope, name: str) -> None:
        """End a pause; nothing happens where there is none.

        Raises:
            RetryableError: The store did not answer.
        """
        ...


class Flights(Protocol):
    """Who works on a cache key: the leader, whose log holds the result once there is one."""

    async def lead(self, key: str, task_id: str, *, instead_of: str | None, expires_at: int) -> str:
        """Make `task_id` the leader of `key`, if nobody is or the leader is `instead_of`.

        Args:
            key: The cache key.
            task_id: Who asks.
            instead_of: A leader that is known to have failed, or whose result is too old.
            expires_at: Epoch seconds after which the store may forget the key.

        Returns:
            The leader's task id after this call: `task_id` itself, or the other that leads.

        Raises:
            RetryableError: The store did not answer.
        """
        ...


class SessionTurns(Protocol):
    """The turns of sessions, each written once."""

    async def read(self, tenant: str, session: str) -> list[Turn]:
        """The session's turns in order, strongly consistent.

        Raises:
            RetryableError: The store did not answer.
        """
        ...

    async def put(self, tenant: str, session: str, turns: Sequence[Turn]) -> None:
        """Store turns; those that are there already stay as they are.

        Raises:
            RetryableError: The store did not answer; some may be stored.
        """
        ...


class ReadModel(Protocol):
    """One entry for each task, to be listed and filtered by. Follows the log; never ahead of it."""

    async def put(self, entry: Entry) -> bool:
        """Store `entry`, unless one of a newer head is there, or of the same and this one adds no `archive_key`.

        Returns:
            Whether it was stored.

        Raises:
            RetryableError: The store did not answer.
        """
        ...

    async def get(self, tenant: str, task_id: str, created_at_ms: int) -> Entry | None:
        """The task's entry.

        Raises:
            RetryableError: The store did not answer.
        """
        ...

    async def find(self, tenant: str, task_id: str, *, created_before_ms: int) -> Entry | None:
        """The entry of a task of which only the id is known, if it is among the newest of those created before then.

        Looks through a bounded number of the tenant's entries: `get` finds any, and costs less.

        Raises:
            RetryableError: The store did not answer.
        """
        ...

    async def list(self, wanted: EntryFilter, *, limit: int, cursor: str | None) -> EntryPage:
        """A tenant's entries, newest first.

        Raises:
            ValueError: The cursor is none of this filter's.
            RetryableError: The store did not answer.
        """
        ...

    async def dead(self, wanted: DeadFilter, *, limit: int, cursor: str | None) -> EntryPage:
        """Entries of dead-lettered tasks of the whole fleet, newest first, and messages nobody can read.

        Raises:
            ValueError: The cursor is none of this filter's.
            RetryableError: The store did not answer.
        """
        ...

    async def tasks_of_run(self, wanted: RunFilter, *, limit: int, cursor: str | None) -> EntryPage:
        """Entries of the tasks of a workflow's run.

        Raises:
            ValueError: The cursor is none of this filter's.
            RetryableError: The store did not answer.
        """
        ...

    async def runs(self, wanted: RunsFilter, *, limit: int, cursor: str | None) -> EntryPage:
        """Entries of a tenant's runs of workflows, newest first.

        Raises:
            ValueError: The cursor is none of this filter's.
            RetryableError: The store did not answer.
        """
        ...

    async def put_unreadable(self, message: UnreadableMessage) -> None:
        """Keep a message that nobody can read; twice for the same message is once. A long body is cut.

        Raises:
            RetryableError: The store did not answer; it may be kept or not.
        """
        ...

    async def tenants(self) -> Sequence[str]:
        """Every tenant that has an entry.

        Raises:
            RetryableError: The store did not answer.
        """
        ...


class Watchlist(Protocol):
    """The entries of the whole fleet that the reconciler will look after, by the time when it does.

    `ReadModel.put` puts an entry on it that has a `look_at_ms`, and takes it off where it has none: the attributes
    `watch_pk` (`WATCH#{shard}`, the shard as in the entry's own key) and `watch_sk` (`{look_at_ms:013d}#{task_id}`)
    are the keys of the sparse index `watch`. A put starts again with no looks.
    """

    async def overdue(self, now_ms: int, *, limit: int) -> Sequence[Watched]:
        """What should have been looked after by now: up to `limit` of each shard, the longest overdue first.

        Raises:
            RetryableError: The store did not answer.
        """
        ...

    async def look_again(self, watched: Watched, at_ms: int | None) -> None:
        """Look after it (again) at `at_ms`, and count `watched.looks`; None takes it off the list.

        Nothing happens where its entry is gone or stands at another event by now.

        Raises:
            RetryableError: The store did not answer; it may be done or not.
        """
        ...

    async def mark(self, sweep: str) -> SweepMark | None:
        """How far a sweep has got; None where it never ran.

        Raises:
            RetryableError: The store did not answer.
        """
        ...

    async def set_mark(self, sweep: str, mark: SweepMark) -> None:
        """Keep how far a sweep has got.

        Raises:
            RetryableError: The store did not answer; it may be kept or not.
        """
        ...


class LaneDepths(Protocol):
    """How much waits on a lane."""

    async def waiting(self, lane: str) -> int:
        """About how many messages could be handed out now.

        Raises:
            RetryableError: The queue did not answer.
        """
        ...


class LaneQueues(Protocol):
    """How many messages lie on the lanes."""

    async def counts(self, lane: str) -> LaneCounts:
        """A lane's messages, about.

        Raises:
            RetryableError: A queue did not answer.
        """
        ...


class LaneMeter(Protocol):
    """What is measured of the lanes beside their counts."""

    async def latest(self) -> Mapping[str, LaneReading]:
        """The newest readings by lane; a lane of which nothing is known may be missing. Never fails for long."""
        ...


class Archive(Protocol):
    """Finished logs, outside the table, many to an object."""

    async def put(self, key: str, logs: Sequence[Sequence[Event]]) -> None:
        """Store whole logs at `key`; durable when this returns.

        Raises:
            RetryableError: The store did not answer. They may be stored or not.
        """
        ...

    async def get(self, key: str, task_id: str) -> list[Event]:
        """The log of one task in the object at `key`; empty when it is not in it, or the object is not there any more.

        Raises:
            RetryableError: The store did not answer.
            CorruptLogError: The object holds no logs.
        """
        ...


class RunSync(Protocol):
    """Runs blocking code off the event loop."""

    async def __call__(self, function: Callable[..., T], *args: Any) -> T:
        """Call `function(*args)` on a thread and return or raise what it does."""
        ...
