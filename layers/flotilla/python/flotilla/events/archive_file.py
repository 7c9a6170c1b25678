"""Whole logs as one compressed file: a line of JSON for each event, the events of a task together and in order.

The same logs make the same bytes, whenever and wherever they are archived. What is read back is what was written,
or an error: a file that was cut or altered is told by its compression, and what gets past that by the hash chain.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from flotilla.errors import CorruptLogError
from flotilla.events.event import Event
from flotilla.events.kinds import Kind
from flotilla.models import canonical_json

_LEVEL = 6


def line_of(event: Event) -> str:
    """The event as one line, without the line's end."""
    return canonical_json(
        {
            "task_id": event.task_id,
            "seq": event.seq,
            "kind": event.kind.value,
            "at_ms": event.at_ms,
            "actor": event.actor,
            "attempt": event.attempt,
            "body": event.body,
            "prev_hash": event.prev_hash,
            "hash": event.hash,
        }
    )


def pack(logs: Iterable[Sequence[Event]]) -> bytes:
    """The file that holds `logs`."""
    lines = "".join(line_of(event) + "\n" for log in logs for event in log)
    # Without the time of packing, which would make every file another one.
    return gzip.compress(lines.encode(), _LEVEL, mtime=0)


def unpack(content: bytes) -> Iterator[Event]:
    """The events in a file, in its order.

    Raises:
        CorruptLogError: It is no such file, or not all of one.
    """
    try:
        if not content:
            raise EOFError  # which decompresses to nothing, but is not what nothing is compressed to
        text = gzip.decompress(content).decode()
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise CorruptLogError(f"not an archive of logs: {type(error).__name__}") from error
    return (read_line(line) for line in text.split("\n") if line)


def read_line(line: str) -> Event:
    """Read what `line_of` wrote.

    Raises:
        CorruptLogError: It is no event.
    """
    try:
        value: dict[str, Any] = json.loads(line)
        event = Event(**{**value, "kind": Kind(value["kind"])})
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CorruptLogError(f"a line that is no event: {type(error).__name__}") from error
    texts = (event.task_id, event.actor, event.prev_hash, event.hash)
    numbers = (event.seq, event.at_ms, event.attempt)
    if not (
        all(type(text) is str for text in texts)
        and all(type(number) is int for number in numbers)
        and isinstance(event.body, dict)
    ):
        raise CorruptLogError("a line that is no event: a member of the wrong type")
    return event


def logs_in(content: bytes) -> dict[str, list[Event]]:
    """The logs in a file, by task.

    Raises:
        CorruptLogError: It is no such file, or not all of one.
    """
    logs: dict[str, list[Event]] = {}
    for event in unpack(content):
        logs.setdefault(event.task_id, []).append(event)
    return logs
