"""A task's log as clients see it: each event whole, so that its hash can be checked against it.

Two things are told differently from how they are stored, and both can be told back: times are
RFC 3339, and a value outside the log is shown by its size and digest. Its key in the store is
left out; it follows from the tenant, the task and the digest.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from flotilla.clock import rfc3339
from flotilla.events import Event

MAX_PAGE_EVENTS = 1000
_MAX_PAGE_BYTES = 2_000_000

_TIMES = {
    "deadline_ms": "deadline",
    "due_at_ms": "due_at",
    "lease_until_ms": "lease_until",
    "next_attempt_ms": "next_attempt_at",
}


def show_event(event: Event) -> dict[str, Any]:
    """One event; what its kind needs stands beside what all have."""
    view: dict[str, Any] = {}
    for name, value in event.body.items():
        if name in _TIMES:
            view[_TIMES[name]] = rfc3339(value)
        else:
            view[name] = _without_key(value)
    view.update(
        seq=event.seq,
        kind=event.kind.value,
        at=rfc3339(event.at_ms),
        actor=event.actor,
        attempt=event.attempt,
        hash=event.hash,
        prev_hash=event.prev_hash,
    )
    return view


def show_page(events: Sequence[Event], *, after: int, limit: int) -> dict[str, Any]:
    """The events after number `after`: as many as are asked for and fit one response, one at least."""
    items: list[dict[str, Any]] = []
    room = _MAX_PAGE_BYTES
    for event in events[after + 1 :]:
        item = show_event(event)
        room -= len(json.dumps(item, ensure_ascii=False).encode())
        if items and (room < 0 or len(items) == limit):
            return {"items": items, "next_cursor": str(items[-1]["seq"])}
        items.append(item)
    return {"items": items, "next_cursor": None}


def _without_key(value: Any) -> Any:
    """A payload without its place in the store. Told by all three members, which only payloads have."""
    if isinstance(value, dict) and value.keys() == {"ref", "bytes", "sha256"}:
        return {"bytes": value["bytes"], "sha256": value["sha256"]}
    return value
