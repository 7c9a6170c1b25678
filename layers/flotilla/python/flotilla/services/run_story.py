"""The whole story of a run: its own events and those of all its tasks, in the order of time.

    page 1   run accepted · tasks 1 … 100, each from its first event to its last
    page 2   tasks 101 … 200 · run succeeded

Invariant: each event of each task that the read model knows is told once, on the page of its task; and the run's own
stand on the page during whose tasks' creation they fall. Within a page the order is that of time, and of one log always
its own. A run of no more tasks than a page holds is told in one, in its true order.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from flotilla.events import Event
from flotilla.events.told import tell
from flotilla.ports import ReadModel
from flotilla.primitives.cursor import cursor_after, place_of, position
from flotilla.read_model import Entry, RunFilter
from flotilla.services.listing import ListService

TASKS_OF_A_PAGE = 100

MAX_BYTES = 2_000_000
"""Of a page as JSON, but for one event that is longer."""

_WITHIN = "~"
"""Stands in a cursor before the number of the last event that was told of a task whose log did not fit a page."""


@dataclass(frozen=True, slots=True)
class _Told:
    """An event as clients are told of it.

    Attributes:
        at_ms: When it stands in the story: never before the one before it in its log, whatever its writer's clock said.
    """

    at_ms: int
    view: dict[str, Any]
    size: int


@dataclass(frozen=True, slots=True)
class _Start:
    """Where a page begins.

    Attributes:
        after_ms: When the last task of the page before was created; -1 for the first page.
        task_id: That task, if its log was cut.
        after_seq: After which of its events.
        cursor: Of the tasks after it.
    """

    after_ms: int = -1
    task_id: str | None = None
    after_seq: int = -1
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class StoryPage:
    """A page of the story."""

    items: list[dict[str, Any]]
    next_cursor: str | None


class RunStory:
    """Tells runs.

    Args:
        views: Knows which tasks there are.
        listing: Reads their logs.
    """

    def __init__(self, views: ReadModel, listing: ListService) -> None:
        self._views = views
        self._listing = listing

    async def page(self, tenant: str, run_id: str, run: Sequence[Event], cursor: str | None) -> StoryPage:
        """A page of a run's story.

        Args:
            tenant: Whose run it is.
            run_id: The run.
            run: Its own log.
            cursor: The page before this one's `next_cursor`.

        Raises:
            ValueError: The cursor is none of this run's.
            RetryableError: A store did not answer.
        """
        wanted = RunFilter(tenant, run_id, oldest_first=True)
        start = _start_of(wanted, cursor)
        page = await self._views.tasks_of_run(wanted, limit=TASKS_OF_A_PAGE, cursor=start.cursor)
        entries = [entry for entry in page.items if isinstance(entry, Entry) and entry.tenant == tenant]
        if start.task_id is not None:
            begun = await self._views.get(tenant, start.task_id, start.after_ms)
            entries = [*([begun] if begun is not None else []), *entries]
        told: list[_Told] = []
        next_cursor = page.next_cursor
        room = MAX_BYTES
        for number, (entry, listed) in enumerate(zip(entries, await self._listing.logs(entries), strict=True)):
            of_task = list(_told([] if listed is None else listed.events, run_id, entry.step))
            if entry.task_id == start.task_id:
                of_task = [each for each in of_task if each.view["seq"] > start.after_seq]
            room -= sum(each.size for each in of_task)
            if room >= 0:
                told += of_task
                continue
            if number > 0:
                next_cursor = cursor_after(wanted, _place(entries[number - 1]))
            else:
                told = _as_fit(of_task)
                next_cursor = f"{cursor_after(wanted, _place(entry))}{_WITHIN}{told[-1].view['seq']}"
            break
        end_ms = None if next_cursor is None else _start_of(wanted, next_cursor).after_ms
        own = [
            each
            for each in _told(run, run_id, None)
            if start.after_ms < each.at_ms and (end_ms is None or each.at_ms <= end_ms)
        ]
        return StoryPage([each.view for each in _in_order([*own, *told])], next_cursor)


def _told(events: Iterable[Event], run_id: str, step: str | None) -> Iterator[_Told]:
    at_ms = 0
    for event in events:
        at_ms = max(at_ms, event.at_ms)
        view = tell(event) | {"task_id": event.task_id, "step": step, "workflow_id": run_id}
        yield _Told(at_ms, view, len(json.dumps(view, ensure_ascii=False).encode()))


def _as_fit(told: Sequence[_Told]) -> list[_Told]:
    """The first of them that fit a page; one at least."""
    found: list[_Told] = []
    room = MAX_BYTES
    for each in told:
        room -= each.size
        if found and room < 0:
            break
        found.append(each)
    return found


def _in_order(told: Sequence[_Told]) -> list[_Told]:
    # The run's own come first of what is of one moment; and what is of one log stays in its order.
    return sorted(told, key=lambda each: (each.at_ms, each.view["task_id"] != each.view["workflow_id"]))


def _place(entry: Entry) -> str:
    return position(entry.created_at_ms, entry.task_id)


def _start_of(wanted: RunFilter, cursor: str | None) -> _Start:
    if cursor is None:
        return _Start()
    tasks, within, seq = cursor.partition(_WITHIN)
    place = place_of(wanted, tasks)
    at_ms, _, task_id = place.partition("#")
    if not within:
        return _Start(int(at_ms), cursor=tasks)
    if not (seq.isascii() and seq.isdigit() and len(seq) <= 9):
        raise ValueError("no cursor")
    return _Start(int(at_ms), task_id, int(seq), tasks)
