"""Looks after one task that should have shown a sign of life, and sends its message again if it is stuck.

    the log says ──┬─ it has ended, or waits for no message: off the watchlist
                   ├─ a run that has ended left tasks: these are ended, until none is left
                   ├─ more than the read model does: the entry is brought up to it
                   ├─ it goes on: looked after when it would be stuck
                   └─ nothing since its time: message sent again, looked after later and later

A run of a workflow is sent as any task is: Step Functions says whether it goes on, or how it ended.

Invariant: decides by the log alone, read just before, and writes no event of a task that goes on. Sending a message
that was not lost is harmless (deduplication, the conditional start), so two may do this at once, and either may die
anywhere: the task stays on the watchlist until one of them has said when to look again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from dataclasses import replace
from enum import StrEnum

from flotilla.clock import Clock
from flotilla.errors import CorruptLogError, RetryableError
from flotilla.events import Event, TaskState, fold
from flotilla.ports import EventLog, LaneDepths, ReadModel, Watchlist
from flotilla.read_model import Watched
from flotilla.services.dispatch import Dispatch, message_for
from flotilla.services.project import entry_of_log
from flotilla.services.run_remains import RunRemains
from flotilla.services.run_state import leaves_tasks
from flotilla.services.watch import overdue_at_ms
from flotilla.workflows.order import is_run

logger = logging.getLogger("flotilla.reconciler")

FIRST_WAIT_SECONDS = 600
LONGEST_WAIT_SECONDS = 21_600
"""Between two messages to the same stuck task; the wait doubles from the first to the longest."""

BUSY_MESSAGES = 500
"""A lane where more than this waits explains by itself why a task has not started, and must not be made longer.
Where less waits, sending all of it again adds about as much at the worst."""

LOOKS_AT_A_BUSY_LANE = 6
"""So often a stuck task is left to its lane's backlog, about half a day. Then its message is sent all the same."""

CLEARING_SECONDS = 20
"""As long as one look clears up behind a run; the rest is for the next."""

RETRY_SECONDS = 120
"""Until a task is looked after again for which a store did not answer."""


class Look(StrEnum):
    """What came of looking after a task.

    Attributes:
        GOES_ON: It has ended, or is not stuck, or not yet.
        CLEARED: It is a run that has ended, and what it left was ended too, as far as there was time.
        SENT: It was sent its message again.
        ASKED: It is a run of a workflow, and Step Functions was asked for it, or asked how it ended.
        PUT_OFF: Its lane's backlog may be all that is the matter.
        FAILED: A store did not answer.
        HOPELESS: Its log is corrupt, or its lane is not there: somebody has to look at it.
    """

    GOES_ON = "goes_on"
    CLEARED = "cleared"
    SENT = "sent"
    ASKED = "asked"
    PUT_OFF = "put_off"
    FAILED = "failed"
    HOPELESS = "hopeless"


class Backlogs:
    """How far the lanes are behind, asked once each.

    Args:
        depths: Tells how much waits.
        lane_names: The lanes there are.
    """

    def __init__(self, depths: LaneDepths, lane_names: Collection[str]) -> None:
        self._depths = depths
        self._lane_names = lane_names
        self._asked: dict[str, asyncio.Future[int]] = {}

    def known(self, lane: str) -> bool:
        """Whether there is such a lane. A deployment may have removed one that a task was accepted for."""
        return lane in self._lane_names

    async def busy(self, lane: str) -> bool:
        """Whether so much waits on the lane that a task on it may just not have had its turn.

        A lane that does not tell is none: what keeps messages from being sent twice must not keep them from being
        sent.
        """
        if lane not in self._asked:
            self._asked[lane] = asyncio.ensure_future(self._waiting(lane))
        return await self._asked[lane] > BUSY_MESSAGES

    async def _waiting(self, lane: str) -> int:
        try:
            return await self._depths.waiting(lane)
        except RetryableError as error:
            logger.warning("a lane does not tell its depth", extra={"lane": lane, "error": error.message})
            return 0


class StuckTasks:
    """Looks after tasks.

    Args:
        log: The truth.
        views: Brought up to the log where it is behind.
        watchlist: Told when to look again.
        dispatch: Sends the messages.
        backlogs: Tells of lanes that are behind.
        remains: Clears up behind runs of workflows; None where there are none.
        clock: Tells what is overdue.
    """

    def __init__(
        self,
        *,
        log: EventLog,
        views: ReadModel,
        watchlist: Watchlist,
        dispatch: Dispatch,
        backlogs: Backlogs,
        clock: Clock,
        remains: RunRemains | None = None,
    ) -> None:
        self._log = log
        self._views = views
        self._watchlist = watchlist
        self._dispatch = dispatch
        self._backlogs = backlogs
        self._remains = remains
        self._clock = clock

    async def look(self, watched: Watched) -> Look:
        """Do for one task what its log asks for; whatever goes wrong with that, it will be looked after again.

        Raises:
            RetryableError: The watchlist did not answer.
        """
        extra = {"task_id": watched.task_id, "looks": watched.looks}
        try:
            return await self._look(watched)
        except RetryableError as error:
            logger.warning("not looked after", extra={**extra, "code": error.code, "error": error.message})
        except Exception:
            # A fault of our own. It must not keep the others from being looked after.
            logger.exception("looking after a task broke off", extra=extra)
            return await self._later(watched, Look.HOPELESS)
        await self._watchlist.look_again(watched, self._clock.now_ms() + RETRY_SECONDS * 1000)
        return Look.FAILED

    async def _look(self, watched: Watched) -> Look:
        events = await self._log.read(watched.task_id)
        if not events or events[0].seq != 0:
            await self._watchlist.look_again(watched, None)  # retention has dropped it: nobody waits for it
            return Look.GOES_ON
        try:
            state = fold(events)
            watched = await self._caught_up(watched, events)
        except CorruptLogError as error:
            logger.error("log corrupt", extra={"task_id": watched.task_id, "error": error.message})
            return await self._later(watched, Look.HOPELESS)
        if self._remains is not None and leaves_tasks(state):
            return await self._cleared(watched, events, self._remains)
        overdue_ms = overdue_at_ms(state)
        if overdue_ms is None or overdue_ms > self._clock.now_ms():
            await self._watchlist.look_again(watched, overdue_ms)
            return Look.GOES_ON
        return await self._stuck(watched, state)

    async def _caught_up(self, watched: Watched, events: list[Event]) -> Watched:
        """Bring the read model up to the log, if it is behind."""
        entry = entry_of_log(events)
        if entry.head_seq <= watched.head_seq:
            return watched
        await self._views.put(entry)
        logger.warning("the read model was behind", extra={"task_id": entry.task_id, "head_seq": entry.head_seq})
        return replace(watched, head_seq=entry.head_seq, looks=0)

    async def _stuck(self, watched: Watched, state: TaskState) -> Look:
        if is_run(state.agent):
            await self._dispatch(message_for(state))
            return await self._later(watched, Look.ASKED, state.deadline_ms)
        extra = {"task_id": state.task_id, "status": state.status.value, "lane": state.lane, "looks": watched.looks}
        if not self._backlogs.known(state.lane):
            logger.error("a task waits for a lane that is not there", extra=extra)
            return await self._later(watched, Look.HOPELESS)
        if watched.looks < LOOKS_AT_A_BUSY_LANE and await self._backlogs.busy(state.lane):
            return await self._later(watched, Look.PUT_OFF)
        await self._dispatch(message_for(state))
        logger.warning("message sent again", extra=extra)
        return await self._later(watched, Look.SENT)

    async def _cleared(self, watched: Watched, events: list[Event], remains: RunRemains) -> Look:
        now_ms = self._clock.now_ms()
        if await remains.clear(events, give_up_ms=now_ms + CLEARING_SECONDS * 1000):
            await self._watchlist.look_again(watched, None)
        else:
            await self._watchlist.look_again(watched, now_ms + RETRY_SECONDS * 1000)
        return Look.CLEARED

    async def _later(self, watched: Watched, look: Look, deadline_ms: int | None = None) -> Look:
        """Look again, later each time; no later than at a deadline that is yet to come."""
        wait = min(FIRST_WAIT_SECONDS * 2 ** min(watched.looks, 10), LONGEST_WAIT_SECONDS)
        now_ms = self._clock.now_ms()
        at_ms = now_ms + wait * 1000
        if deadline_ms is not None and deadline_ms > now_ms:
            at_ms = min(at_ms, deadline_ms)
        await self._watchlist.look_again(replace(watched, looks=watched.looks + 1), at_ms)
        return look
