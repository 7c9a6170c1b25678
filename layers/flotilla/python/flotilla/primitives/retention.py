"""When events may be dropped, and when somebody has to see to it that none is lost.

    created, due          end of the time that was promised            dropped at the earliest
        |<───────── retention_days ─────────>|<──────── MARGIN_DAYS ────────>|
                                                     |<─── NOTICE_DAYS ──────|
                                             looked after from here on

DynamoDB drops an event some time after its `expires_at`. It is written with the event, so the happy path pays
nothing for it; what is neither finished nor archived when its notice begins is extended by the retention keeper.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flotilla.events import Event

MARGIN_DAYS = 14
"""How much longer than promised an event is kept: the keeper may fail for days without harm."""

NOTICE_DAYS = 7
"""So long before the first of a task's events might be dropped the keeper looks after it."""

DAY_SECONDS = 86_400
DAY_MS = DAY_SECONDS * 1000


def expires_at(event: Event, retention_days: int, margin_days: int = MARGIN_DAYS) -> int:
    """Epoch seconds after which the event may be dropped.

    A task that is due in a year is told of by nothing but its first event until then, so what counts is when it is due.
    """
    due_ms = event.body.get("due_at_ms")
    from_ms = max(event.at_ms, due_ms) if isinstance(due_ms, int) else event.at_ms
    return from_ms // 1000 + (retention_days + margin_days) * DAY_SECONDS


def noticed_before_ms(now_ms: int, retention_days: int) -> int:
    """Tasks created before this time may have events that are dropped within `NOTICE_DAYS`."""
    return now_ms - (retention_days + MARGIN_DAYS - NOTICE_DAYS) * DAY_MS


def extended_until(now_ms: int, retention_days: int) -> int:
    """Epoch seconds until which the keeper extends: as if the event were written now.

    So no event of a log is ever dropped before those that were there when it was extended.
    """
    return now_ms // 1000 + (retention_days + MARGIN_DAYS) * DAY_SECONDS


def next_look_ms(now_ms: int, retention_days: int) -> int:
    """When a log that was extended now has to be looked at again."""
    return now_ms + (retention_days + MARGIN_DAYS - NOTICE_DAYS) * DAY_MS


def came_late(created_at_ms: int, head_at_ms: int, retention_days: int) -> bool:
    """True if a task goes on so long after it was created that the keeper may have passed it by already.

    Two days early, for what lies between an event and the projection of it.
    """
    return head_at_ms - created_at_ms >= (retention_days + MARGIN_DAYS - NOTICE_DAYS - 2) * DAY_MS


def live_until_ms(created_at_ms: int, retention_days: int) -> int:
    """Until this time the log of a task is surely whole in the table; later some of it may have been dropped."""
    return (created_at_ms // 1000 + (retention_days + MARGIN_DAYS) * DAY_SECONDS) * 1000


def dropped_before_ms(now_ms: int, retention_days: int) -> int:
    """The log of a task created before this time may not be whole in the table any more; of any later one, it is."""
    return (now_ms // 1000 + 1 - (retention_days + MARGIN_DAYS) * DAY_SECONDS) * 1000
