"""A finished task's log, cut at its ends: what was used until the first of them, and after each redrive until the next.

    accepted ── started ── dead_lettered │ redriven ── started ── succeeded
    └────────── one segment ───────────┘   └────────── another ───────────┘

However often a log is archived, and however much was added to it meanwhile, a segment is told apart by its task and the
number of its last event: whoever sums up many logs counts each once.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flotilla.errors import CorruptLogError
from flotilla.events.event import Event
from flotilla.events.kinds import STATUS_AFTER, Kind
from flotilla.models import Status, canonical_json

_SENT = frozenset({Kind.ACCEPTED, Kind.SIGNALLED, Kind.REDRIVEN})
"""What is followed by a message on a lane."""

_UNIT_BYTES = 1024
_COMPRESSED_ABOVE_BYTES = 1024
_LEVEL = 6
_FIXED_BYTES = 176
"""Of an event in the table beside its body, actor and kind: names, id, hashes and numbers."""


@dataclass(frozen=True, slots=True)
class Segment:
    """What a task did until one of its ends.

    Attributes:
        end_seq: Number of the event that ended it.
        ended_ms: When that was written.
        status: What it ended in.
        usages: What each of its attempts said that it used, in order.
        write_units: Of the table, that its events took.
        messages: That were put on lanes for it.
    """

    task_id: str
    tenant: str
    agent: str
    lane: str
    end_seq: int
    ended_ms: int
    status: Status
    usages: Sequence[Mapping[str, Any]]
    write_units: int
    messages: int


def ends_of(log: Sequence[Event]) -> list[int]:
    """The places in a log at which its task ended."""
    return [place for place, event in enumerate(log) if STATUS_AFTER[event.kind].terminal]


def segments(log: Sequence[Event]) -> Iterator[Segment]:
    """The segments of a whole log, in order; what goes on after the last end is left out.

    Raises:
        CorruptLogError: It does not begin as a log does.
    """
    if not log or log[0].kind is not Kind.ACCEPTED:
        raise CorruptLogError("a log that does not begin with its acceptance")
    first = log[0].body
    begin = 0
    for end in ends_of(log):
        events = log[begin : end + 1]
        try:
            yield Segment(
                task_id=log[0].task_id,
                tenant=str(first["tenant"]),
                agent=str(first["agent"]),
                lane=str(first["lane"]),
                end_seq=log[end].seq,
                ended_ms=log[end].at_ms,
                status=STATUS_AFTER[log[end].kind],
                usages=[usage for event in events if isinstance(usage := event.body.get("usage"), dict)],
                write_units=sum(map(write_units, events)),
                messages=sum(event.kind in _SENT for event in events),
            )
        except KeyError as error:
            raise CorruptLogError(f"{log[0].task_id}: its acceptance lacks {error}") from error
        begin = end + 1


def write_units(event: Event) -> int:
    """What it takes to write the event: a unit for each begun kilobyte of it as it lies in the table."""
    body = canonical_json(event.body).encode()
    size = len(zlib.compress(body, _LEVEL)) if len(body) > _COMPRESSED_ABOVE_BYTES else len(body)
    return -(-(_FIXED_BYTES + len(event.actor) + len(event.kind) + size) // _UNIT_BYTES)
