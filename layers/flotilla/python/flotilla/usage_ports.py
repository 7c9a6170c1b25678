"""What it takes to say what tasks cost: the process they run in, the logs of those that ended, what hours came to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from flotilla.events import Event
from flotilla.primitives.usage_hour import UsageHour


class ProcessGauge(Protocol):
    """What is known of the process that attempts run in."""

    @property
    def memory_mb(self) -> int:
        """What its function has, and is billed by."""
        ...

    def cpu_us(self) -> int:
        """Microseconds that it has spent on a processor since it began; all of it, whatever it did."""
        ...

    def peak_memory_mb(self) -> int | None:
        """The most that it has had in memory at once since it began, in begun MiB; None where that is not known."""
        ...


class FinishedLogs(Protocol):
    """Reads the archived logs.

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


class UsageHours(Protocol):
    """What each hour came to, by the time (ms) at which it begins.

    Every method raises `RetryableError` where the store does not answer.
    """

    async def put(self, hour: UsageHour) -> None:
        """Store it, in place of what was said of that hour before."""
        ...

    async def get(self, begins_ms: int) -> UsageHour | None:
        """What an hour came to; None where nothing is said of it that this version can read."""
        ...

    async def begun(self, since_ms: int, until_ms: int) -> Sequence[int]:
        """When those hours begin, in order, of which something is said: from `since_ms` on and before `until_ms`."""
        ...

    async def whole_until(self) -> int | None:
        """Every hour before this time (ms) has been summed up; None where none ever was."""
        ...

    async def set_whole_until(self, until_ms: int) -> None:
        """Say so."""
        ...
