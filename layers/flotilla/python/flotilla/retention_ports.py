"""What the retention keeper and a rebuild of the read model need from the world, as `ports` says it for the rest.

Kept apart because nobody else may have it: whoever holds `LogRetention` may change when events are dropped, `LogScan`
and `ArchiveScan` read every tenant's logs, and `EntryMender` may set an entry back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from flotilla.events import Event
from flotilla.read_model import Entry


@dataclass(frozen=True, slots=True)
class Kept:
    """A task whose log the retention keeper has to look after beyond its usual time.

    Attributes:
        look_at_ms: When to look again.
    """

    task_id: str
    tenant: str
    created_at_ms: int
    look_at_ms: int


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an entry of the read model stands.

    Attributes:
        head_seq: Number of the event up to which it follows its log; -1 where it does not say so.
        archive_key: Where it says that the log is archived.
    """

    head_seq: int
    archive_key: str | None


@dataclass(frozen=True, slots=True)
class Mended:
    """How it went with an entry.

    Attributes:
        stored: It was written; else it said so already, or stands at a later event.
        standing: Where it stands now.
    """

    stored: bool
    standing: Standing


@dataclass(frozen=True, slots=True)
class ScanPage:
    """Some of a table's events, and where the next page begins; None at the end.

    Attributes:
        unreadable: Tasks of items that this version cannot read.
    """

    events: list[Event]
    next_cursor: str | None
    unreadable: frozenset[str] = frozenset()


class LogRetention(Protocol):
    """When events may be dropped. For the retention keeper alone: everybody else only ever adds to a log."""

    async def extend(self, events: Sequence[Event], until: int) -> int:
        """Let none of `events` be dropped before `until` (epoch seconds).

        Returns:
            How many were extended. What is kept longer stays as it is, and what is gone stays gone.

        Raises:
            RetryableError: The store did not answer; some may be extended.
        """
        ...


class RetentionLedger(Protocol):
    """What the retention keeper knows from one run to the next.

    Every method raises `RetryableError` where the store does not answer.
    """

    async def reached(self, tenant: str) -> int:
        """All of the tenant's tasks that were created before this time (ms) have been seen to; 0 at first."""
        ...

    async def advance(self, tenant: str, reached_ms: int) -> None:
        """Remember how far it has got with a tenant."""
        ...

    async def remember(self, task: Kept) -> None:
        """Have the task come up again at `task.look_at_ms`, in place of any earlier time."""
        ...

    async def due(self, now_ms: int) -> Sequence[Kept]:
        """The remembered tasks whose time has come, strongly consistent."""
        ...

    async def forget(self, task_id: str) -> None:
        """Do not have the task come up again."""
        ...


class LogScan(Protocol):
    """Reads every log there is, in no order but that of each log's own events."""

    async def page(self, segment: int, segments: int, cursor: str | None, *, limit: int) -> ScanPage:
        """Up to `limit` events of one of `segments` parts of the table, from where `cursor` says.

        A log is whole within its part, its events neighbours and in order; the page may begin and end within it.

        Raises:
            RetryableError: The store did not answer.
        """
        ...


class ArchiveScan(Protocol):
    """Reads every archived log.

    Every method raises `RetryableError` where the store does not answer.
    """

    async def keys(self, after: str | None, *, limit: int) -> list[str]:
        """The keys of up to `limit` objects, in order: the first ones, or those after that key; empty at the end."""
        ...

    async def logs(self, key: str) -> list[list[Event]]:
        """The logs in an object; none where it is not there any more.

        Raises:
            CorruptLogError: The object holds no logs.
        """
        ...


class EntryMender(Protocol):
    """Has entries of the read model say what their logs say, whoever wrote what into them."""

    async def mend(self, entry: Entry, over: Standing | None = None) -> Mended:
        """Have the task's entry say all that `entry` says and nothing else.

        Left as they are: one that stands at a later event; and of one that stands at the same event, where its log is
        archived unless `entry` says that, and when the reconciler looks after it, if it is to at all.

        Args:
            entry: What its log says.
            over: One that stands exactly here is replaced, whatever it says and however late its event is.

        Raises:
            RetryableError: The store did not answer; it may be done or not.
        """
        ...
