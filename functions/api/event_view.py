"""A task's log as clients see it, a page at a time: each event whole, so that its hash can be checked against it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from flotilla.events import Event
from flotilla.events.told import tell

MAX_PAGE_EVENTS = 1000
_MAX_PAGE_BYTES = 2_000_000


def show_page(events: Sequence[Event], *, after: int, limit: int) -> dict[str, Any]:
    """The events after number `after`: as many as are asked for and fit one response, one at least."""
    items: list[dict[str, Any]] = []
    room = _MAX_PAGE_BYTES
    for event in events[after + 1 :]:
        item = tell(event)
        room -= len(json.dumps(item, ensure_ascii=False).encode())
        if items and (room < 0 or len(items) == limit):
            return {"items": items, "next_cursor": str(items[-1]["seq"])}
        items.append(item)
    return {"items": items, "next_cursor": None}
