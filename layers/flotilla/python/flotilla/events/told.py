"""An event as clients are told of it, and back again, so that a log can be verified by whoever was told it.

Three things are told differently from how they are stored. Times are RFC 3339; a value outside the log is shown by its
size and digest, without its key in the store, which follows from tenant, task and digest; and a workflow's token is
shown by its digest, of which the event's hash is made too.
Invariant: what is told can be told back to the very event whose hash it carries. Whatever was altered on the way
makes another event, or none.
"""

from __future__ import annotations

import calendar
import re
import time
from typing import Any

from flotilla.clock import rfc3339
from flotilla.errors import CorruptLogError
from flotilla.events.event import Event, sealed
from flotilla.events.kinds import Kind
from flotilla.models import payload_key

_TIMES = {
    "deadline_ms": "deadline",
    "due_at_ms": "due_at",
    "lease_until_ms": "lease_until",
    "next_attempt_ms": "next_attempt_at",
    "until_ms": "until",
}
_TIMES_BACK = {told: stored for stored, told in _TIMES.items()}

_PAYLOADS = frozenset({"input", "output", "result"})
"""Members that are payloads; any other may look like one and be a client's own words."""

_TURNS = "turns"
"""What a task adds to its session: a list whose contents are payloads."""

_COMMON = frozenset({"seq", "kind", "at", "actor", "attempt", "hash", "prev_hash"})
_RFC3339 = re.compile(r"(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})\.(\d{3})Z")


def tell(event: Event) -> dict[str, Any]:
    """The event as clients are told of it; what its kind needs stands beside what all have."""
    view: dict[str, Any] = {}
    for name, value in sealed(event.body).items():
        if name in _TIMES and isinstance(value, int):
            view[_TIMES[name]] = rfc3339(value)
        elif name in _PAYLOADS:
            view[name] = _without_key(value)
        elif name == _TURNS:
            view[name] = [{**turn, "content": _without_key(turn["content"])} for turn in value]
        else:
            view[name] = value
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


def untell(view: dict[str, Any], *, tenant: str, task_id: str) -> Event:
    """The event that `tell` told of.

    Args:
        view: What was told.
        tenant: Whose task it is.
        task_id: The task.

    Raises:
        CorruptLogError: No event is told so.
    """
    try:
        body: dict[str, Any] = {}
        for name, value in view.items():
            if name in _TIMES_BACK:
                body[_TIMES_BACK[name]] = None if value is None else _milliseconds(value)
            elif name in _PAYLOADS:
                body[name] = _with_key(value, tenant, task_id)
            elif name == _TURNS:
                body[name] = [{**turn, "content": _with_key(turn["content"], tenant, task_id)} for turn in value]
            elif name not in _COMMON:
                body[name] = value
        return Event(
            task_id=task_id,
            seq=_whole(view["seq"]),
            kind=Kind(view["kind"]),
            at_ms=_milliseconds(view["at"]),
            actor=str(view["actor"]),
            attempt=_whole(view["attempt"]),
            body=body,
            prev_hash=str(view["prev_hash"]),
            hash=str(view["hash"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CorruptLogError(f"{task_id}: not an event as it is told: {error}") from error


def untell_log(views: list[Any], *, task_id: str) -> list[Event]:
    """The log that was told, event by event; whose task it is, its first event says.

    Raises:
        CorruptLogError: Something in it is no event as it is told.
    """
    first = views[0] if views else {}
    tenant = first.get("tenant") if isinstance(first, dict) else None
    return [untell(view, tenant=str(tenant), task_id=task_id) for view in views]


def _without_key(value: Any) -> Any:
    if isinstance(value, dict) and value.keys() == {"ref", "bytes", "sha256"}:
        return {"bytes": value["bytes"], "sha256": value["sha256"]}
    return value


def _with_key(value: Any, tenant: str, task_id: str) -> Any:
    if isinstance(value, dict) and value.keys() == {"bytes", "sha256"}:
        return {"ref": payload_key(tenant, task_id, value["sha256"]), **value}
    return value


def _milliseconds(text: Any) -> int:
    found = _RFC3339.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no time")
    return calendar.timegm(time.strptime(found[1], "%Y-%m-%dT%H:%M:%S")) * 1000 + int(found[2])


def _whole(value: Any) -> int:
    if type(value) is not int:
        raise ValueError(f"{value!r} is no whole number")
    return value
