"""Finished logs into the archive: those that come together into one object, before anything says that they are there.

A key is made of what lies at it. So a batch that is done again, also in part or in other company, never replaces an
object that entries refer to by another one, and the same batch again makes no second object.

An object holds logs that ended in its hour, and every end of a task is in an object of the hour of that end: a log
that goes on after an end in an earlier hour lies there too, as far as that end. So whoever adds up an hour reads that
hour's objects and no others.

Failure policy: open. A log that could not be archived is not marked as such; the retention keeper archives it long
before it could be dropped. An outage of the archive must not hold up the read model.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Iterable, Sequence

from flotilla.errors import RetryableError
from flotilla.events import Event
from flotilla.events.archive_file import line_of
from flotilla.events.segments import ends_of
from flotilla.ports import Archive
from flotilla.primitives.usage_hour import hour_of

logger = logging.getLogger("flotilla.archive")

MAX_OBJECT_BYTES = 8_000_000
"""Before compression. Whoever reads one task's log reads the whole object."""

Log = Sequence[Event]


class LogArchiver:
    """Archives logs.

    Args:
        archive: Where they go.
        max_object_bytes: No more than this, before compression, goes into one object, unless a log is longer.
    """

    def __init__(self, archive: Archive, max_object_bytes: int = MAX_OBJECT_BYTES) -> None:
        self._archive = archive
        self._max_object_bytes = max_object_bytes

    async def archive(self, logs: Sequence[Log]) -> dict[str, str]:
        """Archive whole logs of finished tasks.

        Returns:
            The keys of those that are surely archived, by task.
        """
        heads = {log[0].task_id: log[-1].seq for log in logs}
        objects = list(self._objects([*logs, *(earlier for log in logs for earlier in _until_earlier_ends(log))]))
        keys = await asyncio.gather(*(self._put(together) for together in objects))
        found: dict[str, str] = {}
        lost: set[str] = set()
        for together, key in zip(objects, keys, strict=True):
            for log in together:
                if key is None:
                    lost.add(log[0].task_id)
                elif log[-1].seq == heads[log[0].task_id]:
                    found[log[0].task_id] = key
        return {task_id: key for task_id, key in found.items() if task_id not in lost}

    def _objects(self, logs: Sequence[Log]) -> Iterable[list[Log]]:
        together: list[Log] = []
        size = 0
        for log in sorted(logs, key=lambda log: (_hour(log), log[0].task_id)):
            bytes_of_it = sum(len(line_of(event).encode()) + 1 for event in log)
            if together and (size + bytes_of_it > self._max_object_bytes or _hour(log) != _hour(together[0])):
                yield together
                together, size = [], 0
            together.append(log)
            size += bytes_of_it
        if together:
            yield together

    async def _put(self, logs: list[Log]) -> str | None:
        key = archive_key(logs)
        try:
            await self._archive.put(key, logs)
        except RetryableError as error:
            logger.warning("logs not archived", extra={"logs": len(logs), "code": error.code, "error": error.message})
            return None
        return key


def _hour(log: Log) -> int:
    return hour_of(log[-1].at_ms)


def _until_earlier_ends(log: Log) -> Iterable[Log]:
    """The log as it was at its last end of each hour before the one in which it ended for now."""
    last = {hour_of(log[place].at_ms): place for place in ends_of(log)}
    return [log[: place + 1] for hour, place in last.items() if hour != _hour(log)]


def archive_key(logs: Sequence[Log]) -> str:
    """The key of the object that holds `logs`, by the hour (UTC) in which the last of them ended."""
    heads = sorted((log[0].task_id, log[-1].hash) for log in logs)
    digest = hashlib.sha256("\n".join(f"{task_id} {head}" for task_id, head in heads).encode()).hexdigest()
    ended_ms = max(log[-1].at_ms for log in logs)
    return f"archive/{time.strftime('%Y/%m/%d/%H', time.gmtime(ended_ms / 1000))}/{digest[:40]}.jsonl.gz"
