"""Dead letters for who looks after the fleet: list them, count them by cause, redrive many of them.

Invariant: what a redrive says of a task is what its log said at that moment, never what the read
model said, which may be a moment behind. Every call is bounded in what it reads and in how long it
takes, and says where the next one goes on.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from flotilla.clock import Clock
from flotilla.errors import CorruptLogError, RetryableError
from flotilla.events import TaskState
from flotilla.models import ErrorInfo, Status
from flotilla.ports import ReadModel
from flotilla.primitives.cause import cause_of, unreadable_cause
from flotilla.read_model import Cause, DeadFilter, Entry, EntryPage, UnreadableMessage
from flotilla.services.redrive import Correction, NotRedrivableError, RedriveService

logger = logging.getLogger("flotilla.dead_letters")

MAX_GROUPED = 10_000
"""Dead letters that are looked at to count them by cause: the newest."""

MAX_COUNTED = 1_000
"""Dead letters that are counted to say how many remain."""

MAX_ITEMS = 500
"""Tasks that one call redrives."""

SLOWEST_PER_SECOND = 0.1
FASTEST_PER_SECOND = 100.0

_PAGE = 100
_GROUPED_AT_ONCE = 500
_PAGES_COUNTED = 20
"""Pages that are looked at to count what remains: with a filter that little fits, they may be short."""

_AT_ONCE = 4
"""Redrives under way at a time: each is a read, a write and a message."""


class Outcome(StrEnum):
    """What a redrive did, or would do, to one task."""

    WOULD_REDRIVE = "would_redrive"
    REDRIVEN = "redriven"
    NOTHING = "nothing"
    NOT_FOUND = "not_found"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Group:
    """Dead letters that are alike.

    Attributes:
        agent: None for messages that stand for no task.
        sample_task_id: The newest; None where there is no task.
    """

    agent: str | None
    cause: Cause
    count: int
    newest_at_ms: int
    sample_task_id: str | None


@dataclass(frozen=True, slots=True)
class Groups:
    """The groups there are, the largest first.

    Attributes:
        complete: No dead letter was left out of the count.
    """

    items: list[Group]
    complete: bool


@dataclass(frozen=True, slots=True)
class Item:
    """What became of one task.

    Attributes:
        died_at_seq: Number of the event by which it died, as far as the read model knows.
        detail: Why it failed.
    """

    task_id: str
    tenant: str | None = None
    agent: str | None = None
    cause: str | None = None
    died_at_seq: int | None = None
    outcome: Outcome = Outcome.NOTHING
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class RedriveOrder:
    """Who wants what redriven, and how.

    Attributes:
        request_id: Id of the call.
        wanted: A filter, or tasks by id.
        correction: Another input, for a single id.
        dry_run: Only say what would be done.
        rate_per_second: No faster than this, from one call to the next as well.
        cursor: Where an earlier call left off.
        give_up_ms: No redrive but the first begins after this time.
    """

    actor: str
    request_id: str
    wanted: DeadFilter | Sequence[str]
    correction: Correction | None
    dry_run: bool
    rate_per_second: float
    cursor: str | None
    give_up_ms: int


@dataclass(frozen=True, slots=True)
class RedriveReport:
    """What one call did.

    Attributes:
        remaining: Dead letters that fit and were not looked at, as far as they were counted (to `MAX_COUNTED`).
        next_cursor: Where the next call goes on; None where nothing remains.
    """

    items: list[Item]
    remaining: int
    next_cursor: str | None

    @property
    def redriven(self) -> int:
        """How many this call redrove."""
        return sum(item.outcome is Outcome.REDRIVEN for item in self.items)


class DeadLetterService:
    """Answers for the fleet's dead letters, whoever's they are.

    Args:
        read_model: Knows which there are.
        redrive: Redrives one.
        clock: Keeps the rate.
    """

    def __init__(self, *, read_model: ReadModel, redrive: RedriveService, clock: Clock) -> None:
        self._read_model = read_model
        self._redrive = redrive
        self._clock = clock

    async def page(self, wanted: DeadFilter, *, limit: int, cursor: str | None) -> EntryPage:
        """Dead letters, newest first.

        Raises:
            ValueError: The cursor is none of this filter's.
            RetryableError: The store did not answer.
        """
        return await self._read_model.dead(wanted, limit=limit, cursor=cursor)

    async def groups(self, *, give_up_ms: int) -> Groups:
        """Dead letters counted by agent and cause.

        Args:
            give_up_ms: What was not counted by then is left out.

        Raises:
            RetryableError: The store did not answer.
        """
        found: dict[tuple[str | None, str], Group] = {}
        looked_at = 0
        async for page in self._pages(DeadFilter(), None, limit=_GROUPED_AT_ONCE):
            for each in page.items:
                group = _group_of(each)
                key = (group.agent, group.cause.fingerprint)
                found[key] = _together(found[key], group) if key in found else group
            looked_at += len(page.items)
            enough = looked_at >= MAX_GROUPED or self._clock.now_ms() >= give_up_ms
            if enough and page.next_cursor is not None:
                return Groups(_largest_first(found.values()), complete=False)
        return Groups(_largest_first(found.values()), complete=True)

    async def redrive(self, order: RedriveOrder) -> RedriveReport:
        """Redrive what is asked for, or say what would be, as far as the time allows.

        Raises:
            ValueError: The cursor is none of this order's.
            RetryableError: The read model did not answer.
        """
        pace = _Pace(self._clock, order)
        if isinstance(order.wanted, DeadFilter):
            return await self._redrive_filtered(order, order.wanted, pace)
        return await self._redrive_ids(order, order.wanted, pace)

    async def _redrive_ids(self, order: RedriveOrder, ids: Sequence[str], pace: _Pace) -> RedriveReport:
        start = 0 if order.cursor is None else _position(order.cursor, len(ids))
        items = await self._each([Item(task_id) for task_id in ids[start:]], order, pace)
        end = start + len(items)
        return RedriveReport(items, len(ids) - end, str(end) if end < len(ids) else None)

    async def _redrive_filtered(self, order: RedriveOrder, wanted: DeadFilter, pace: _Pace) -> RedriveReport:
        items: list[Item] = []
        cursor = None if order.cursor is None else _inner(order.cursor)
        room = min(max(pace.room(), 1), _PAGE)
        while room > 0:
            page = await self._read_model.dead(wanted, limit=room, cursor=cursor)
            letters = [_item_of(entry) for entry in page.items if isinstance(entry, Entry)]
            done = await self._each(letters, order, pace)
            items += done
            if len(done) < len(letters):
                # Slower than foreseen. The next call begins with this page: what was redriven stays so.
                left = len(letters) - len(done)
                return RedriveReport(items, left + await self._count(wanted, page.next_cursor), _outer(cursor))
            cursor = page.next_cursor
            if cursor is None:
                return RedriveReport(items, 0, None)
            room = min(pace.room(), MAX_ITEMS - len(items), _PAGE)
        return RedriveReport(items, await self._count(wanted, cursor), _outer(cursor))

    async def _each(self, wanted: Sequence[Item], order: RedriveOrder, pace: _Pace) -> list[Item]:
        """Redrive one after the other at the order's rate, until the time is over."""
        free = asyncio.Semaphore(_AT_ONCE)
        begun: list[asyncio.Task[Item]] = []

        async def one(item: Item) -> Item:
            try:
                return await self._one(item, order)
            finally:
                free.release()

        async with asyncio.TaskGroup() as group:
            for item in wanted:
                if not await pace.turn():
                    break
                await free.acquire()
                begun.append(group.create_task(one(item)))
        return [task.result() for task in begun]

    async def _one(self, item: Item, order: RedriveOrder) -> Item:
        do: Callable[[Item, RedriveOrder], Awaitable[Item]] = self._foretell if order.dry_run else self._do
        try:
            return await do(item, order)
        except NotRedrivableError as error:
            return replace(item, outcome=Outcome.FAILED, detail=error.message)
        except RetryableError as error:
            logger.warning("not redriven", extra={"task_id": item.task_id, "error": error.message})
            return replace(item, outcome=Outcome.FAILED, detail="A store did not answer.")
        except CorruptLogError as error:
            logger.error("not redriven", extra={"task_id": item.task_id, "error": error.message})
            return replace(item, outcome=Outcome.FAILED, detail="Its log is corrupt.")

    async def _do(self, item: Item, order: RedriveOrder) -> Item:
        done = await self._redrive.redrive(
            item.task_id,
            tenant=item.tenant,
            actor=order.actor,
            request_id=order.request_id,
            correction=order.correction,
            died_at_seq=item.died_at_seq,
        )
        if done is None:
            return replace(item, outcome=Outcome.NOT_FOUND)
        outcome = Outcome.REDRIVEN if done.changed else Outcome.NOTHING
        return replace(_known(item, done.state, done.died_of), outcome=outcome)

    async def _foretell(self, item: Item, _order: RedriveOrder) -> Item:
        found = await self._redrive.find(item.task_id, tenant=item.tenant)
        if found is None:
            return replace(item, outcome=Outcome.NOT_FOUND)
        state = found.state
        item = _known(item, state, state.error)
        if state.status is not Status.DEAD_LETTERED or item.died_at_seq not in (None, state.head_seq):
            return replace(item, outcome=Outcome.NOTHING)
        self._redrive.check(found)
        return replace(item, outcome=Outcome.WOULD_REDRIVE)

    async def _count(self, wanted: DeadFilter, cursor: str | None) -> int:
        """How many tasks there are from the cursor on, as far as they are counted."""
        count, pages = 0, 0
        if cursor is not None:
            async for page in self._pages(wanted, cursor):
                count += sum(isinstance(each, Entry) for each in page.items)
                pages += 1
                if count >= MAX_COUNTED or pages >= _PAGES_COUNTED:
                    break
        return min(count, MAX_COUNTED)

    async def _pages(self, wanted: DeadFilter, cursor: str | None, *, limit: int = _PAGE) -> AsyncIterator[EntryPage]:
        while True:
            page = await self._read_model.dead(wanted, limit=limit, cursor=cursor)
            yield page
            cursor = page.next_cursor
            if cursor is None:
                return


class _Pace:
    """Spaces what is begun, and says when it is too late to begin more."""

    def __init__(self, clock: Clock, order: RedriveOrder) -> None:
        self._clock = clock
        # Foretelling only reads.
        self._per_second = FASTEST_PER_SECOND if order.dry_run else order.rate_per_second
        self._spacing_ms = 1000 / self._per_second
        self._give_up_ms = order.give_up_ms
        # What goes on from an earlier call keeps its distance from that call's last.
        self._next_ms: float = clock.now_ms() + (0 if order.cursor is None else self._spacing_ms)
        self._first = True

    def room(self) -> int:
        """How many turns there still are; 0 or less when there are none."""
        next_ms = max(self._next_ms, self._clock.now_ms())
        return math.floor((self._give_up_ms - next_ms) / self._spacing_ms) + 1

    async def turn(self) -> bool:
        """Wait for the next turn; False where it would come too late. The first one always comes."""
        if not self._first and max(self._next_ms, self._clock.now_ms()) > self._give_up_ms:
            return False
        self._first = False
        wait_ms = self._next_ms - self._clock.now_ms()
        if wait_ms > 0:
            await self._clock.sleep(wait_ms / 1000)
        self._next_ms = max(self._next_ms, self._clock.now_ms()) + self._spacing_ms
        return True


def _item_of(entry: Entry) -> Item:
    cause = None if entry.cause is None else entry.cause.text
    return Item(entry.task_id, entry.tenant, entry.agent, cause, died_at_seq=entry.head_seq)


def _known(item: Item, state: TaskState, error: ErrorInfo | None) -> Item:
    """The item with what its log says of it, where the read model was not asked."""
    if item.agent is not None:
        return item
    cause = None if error is None else cause_of(state.agent, error.code, error.message).text
    return replace(item, agent=state.agent, cause=cause)


def _group_of(each: Entry | UnreadableMessage) -> Group:
    if isinstance(each, UnreadableMessage):
        return Group(None, unreadable_cause(each), 1, each.received_at_ms, None)
    cause = each.cause or cause_of(each.agent, "unknown", "")
    return Group(each.agent, cause, 1, each.finished_at_ms or each.head_at_ms, each.task_id)


def _together(one: Group, other: Group) -> Group:
    newest = one if one.newest_at_ms >= other.newest_at_ms else other
    return replace(newest, count=one.count + other.count)


def _largest_first(groups: Iterable[Group]) -> list[Group]:
    return sorted(groups, key=lambda group: (-group.count, -group.newest_at_ms, group.cause.fingerprint))


def _position(cursor: str, count: int) -> int:
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) <= 9 and int(cursor) <= count):
        raise ValueError("no cursor of these ids")
    return int(cursor)


def _outer(cursor: str | None) -> str:
    """A cursor of ours; the beginning has one too."""
    return "." + (cursor or "")


def _inner(cursor: str) -> str | None:
    if not cursor.startswith("."):
        raise ValueError("no cursor of a filter")
    return cursor[1:] or None
