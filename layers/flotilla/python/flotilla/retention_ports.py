"""What the retention keeper and a rebuild of the read model need from the world, as `ports` says it for the rest.

Kept apart because nobody else may have it: whoever holds `LogRetention` may change when events are dropped, and
`LogScan` reads every tenant's logs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from flotilla.events import Event


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
