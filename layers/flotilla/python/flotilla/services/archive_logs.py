"""Finished logs into the archive: those that come together into one object, before anything says that they are there.

A key is made of what lies at it. So a batch that is done again, also in part or in other company, never replaces an
object that entries refer to by another one, and the same batch again makes no second object.

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
from flotilla.ports import Archive

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
        objects = list(self._objects(logs))
        keys = await asyncio.gather(*(self._put(together) for together in objects))
        return {
            log[0].task_id: key
            for together, key in zip(objects, keys, strict=True)
            if key is not None
            for log in together
        }

    def _objects(self, logs: Sequence[Log]) -> Iterable[list[Log]]:
        together: list[Log] = []
        size = 0
        for log in sorted(logs, key=lambda log: log[0].task_id):
            bytes_of_it = sum(len(line_of(event).encode()) + 1 for event in log)
            if together and size + bytes_of_it > self._max_object_bytes:
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


def archive_key(logs: Sequence[Log]) -> str:
    """The key of the object that holds `logs`, by the hour (UTC) in which the last of them ended."""
    heads = sorted((log[0].task_id, log[-1].hash) for log in logs)
    digest = hashlib.sha256("\n".join(f"{task_id} {head}" for task_id, head in heads).encode()).hexdigest()
    ended_ms = max(log[-1].at_ms for log in logs)
    return f"archive/{time.strftime('%Y/%m/%d/%H', time.gmtime(ended_ms / 1000))}/{digest[:40]}.jsonl.gz"
