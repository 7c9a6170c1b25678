"""Finds the tasks whose message was lost, so that the log and not a queue is the promise.

Most tasks get by without it and pay nothing for it. Two ways lead to the others:

- the watchlist: what is delayed, retried or parked, or was set going long after it was accepted, each
  at the time when it would be stuck (`services.watch`);
- the sweeps: of everything else, what has not ended ten minutes, an hour, four hours and a day after
  it was accepted. A sweep reads the entries created within a window, and keeps how far it has got.

Invariant: what has not ended is on the watchlist or in the way of a sweep yet to come. A run may die
anywhere, come late or run twice at once: what it did is done again, and that is harmless (`services.stuck`).

Cost: a run in which nothing is overdue is a query for each shard of the watchlist and a read of each
sweep's mark. Each sweep reads each entry once: a million tasks with entries of 300 bytes take about
40,000 read units ($0.005), four sweeps $0.02. A window without tasks costs four queries a tenant, 24
windows an hour. A log is read, and a message sent, only for what has not ended and is overdue.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from flotilla.clock import Clock
from flotilla.errors import RetryableError
from flotilla.ports import EventLog, LaneDepths, ReadModel, Watchlist
from flotilla.read_model import Entry, EntryFilter, SweepMark, Watched
from flotilla.services.dispatch import Dispatch
from flotilla.services.run_remains import RunRemains
from flotilla.services.stuck import Backlogs, Look, StuckTasks

logger = logging.getLogger("flotilla.reconciler")

_SHARD_ENTRIES = 250
_AT_ONCE = 10
_PAGE = 1000
_WINDOWS_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Sweep:
    """A look at everything of a certain age that has not ended.

    Attributes:
        age_seconds: How old an entry is at the least.
        window_seconds: Entries created within such a time are looked at together.
        last: No other sweep comes after it.
    """

    name: str
    age_seconds: int
    window_seconds: int
    last: bool = False


SWEEPS = (
    Sweep("10m", 600, 300),
    Sweep("1h", 3600, 900),
    Sweep("4h", 4 * 3600, 900),
    # Also for what the projector was late with: its stream keeps records for a day.
    Sweep("1d", 86_400, 900, last=True),
)


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What a run did.

    Attributes:
        looks: How many tasks were looked after, by what came of it.
        finished: Nothing was left for the next run.
    """

    looks: Counter[Look]
    finished: bool


class Reconciler:
    """Finds tasks that wait for a message that will not come.

    Args:
        log: The truth.
        views: Where the sweeps look.
        watchlist: What is looked after at a certain time.
        dispatch: Sends the messages.
        depths: Tells of lanes that are behind.
        lane_names: The lanes there are.
        clock: Tells what is overdue.
        remains: Clears up behind runs of workflows; None where there are none.
    """

    def __init__(
        self,
        *,
        log: EventLog,
        views: ReadModel,
        watchlist: Watchlist,
        dispatch: Dispatch,
        depths: LaneDepths,
        lane_names: Collection[str],
        clock: Clock,
        remains: RunRemains | None = None,
    ) -> None:
        self._log = log
        self._views = views
        self._watchlist = watchlist
        self._dispatch = dispatch
        self._remains = remains
        self._depths = depths
        self._lane_names = lane_names
        self._clock = clock

    async def run(self, until_ms: int) -> Reconciled:
        """Look after what is overdue; begin nothing after `until_ms`, and leave the rest to the next run."""
        backlogs = Backlogs(self._depths, self._lane_names)
        stuck = StuckTasks(
            log=self._log,
            views=self._views,
            watchlist=self._watchlist,
            dispatch=self._dispatch,
            backlogs=backlogs,
            remains=self._remains,
            clock=self._clock,
        )
        run = _Run(self._views, self._watchlist, stuck, backlogs, self._clock)
        now_ms = self._clock.now_ms()
        try:
            # Half the time for each, so that neither way is ever closed by what comes in on the other.
            finished = await run.overdue(now_ms + (until_ms - now_ms) // 2)
            for sweep in SWEEPS:
                finished = await run.sweep(sweep, until_ms) and finished
        except RetryableError as error:
            logger.warning("store unavailable", extra={"code": error.code, "error": error.message})
            finished = False
        looks = {look.value: count for look, count in run.looks.items()}
        logger.info("reconciled", extra={"looks": looks, "finished": finished})
        return Reconciled(run.looks, finished)


class _Run:
    """One run."""

    def __init__(
        self,
        views: ReadModel,
        watchlist: Watchlist,
        stuck: StuckTasks,
        backlogs: Backlogs,
        clock: Clock,
    ) -> None:
        self._views = views
        self._watchlist = watchlist
        self._stuck = stuck
        self._backlogs = backlogs
        self._clock = clock
        self._until_ms = 0
        self._tenants: Sequence[str] | None = None
        self.looks: Counter[Look] = Counter()

    async def overdue(self, until_ms: int) -> bool:
        """Look after what is on the watchlist; True if nothing is left."""
        self._until_ms = until_ms
        seen: set[str] = set()
        while self._time_left():
            found = await self._watchlist.overdue(self._clock.now_ms(), limit=_SHARD_ENTRIES)
            # The list is an index that follows with some delay: what was just looked after may still be on it.
            new = [watched for watched in found if watched.task_id not in seen]
            if not new:
                return True
            seen |= {watched.task_id for watched in new}
            if not await self._look_after(new):
                return False
            if len(found) < _SHARD_ENTRIES:
                return True  # none of the shards held more
        return False

    async def sweep(self, sweep: Sweep, until_ms: int) -> bool:
        """Look at the windows that have come of age; True if none is left."""
        self._until_ms = until_ms
        horizon_ms = self._clock.now_ms() - sweep.age_seconds * 1000
        window_ms = sweep.window_seconds * 1000
        mark = await self._watchlist.mark(sweep.name) or SweepMark(horizon_ms - window_ms, horizon_ms - window_ms)
        while True:
            if mark.until_ms <= mark.done_ms:
                if horizon_ms - mark.done_ms < window_ms:
                    return True
                mark = SweepMark(mark.done_ms, min(horizon_ms, mark.done_ms + _WINDOWS_AT_ONCE * window_ms))
            if not self._time_left():
                return False
            mark = await self._swept(sweep, mark)
            await self._watchlist.set_mark(sweep.name, mark)
            if mark.until_ms > mark.done_ms:
                return False

    async def _swept(self, sweep: Sweep, mark: SweepMark) -> SweepMark:
        """The mark after as much of its window as there is time for."""
        if self._tenants is None:
            self._tenants = sorted(await self._views.tenants())
        for tenant in self._tenants:
            if tenant < mark.tenant:
                continue
            mark = replace(mark, tenant=tenant, cursor=mark.cursor if tenant == mark.tenant else "")
            wanted = EntryFilter(tenant, created_after_ms=mark.done_ms, created_before_ms=mark.until_ms, finished=False)
            while True:
                if not self._time_left():
                    return mark
                try:
                    page = await self._views.list(wanted, limit=_PAGE, cursor=mark.cursor or None)
                except ValueError:  # a cursor of another version
                    mark = replace(mark, cursor="")
                    continue
                entries = [entry for entry in page.items if isinstance(entry, Entry)]
                if not await self._look_after(await self._worth_a_look(sweep, entries)):
                    return mark
                if page.next_cursor is None:
                    break
                mark = replace(mark, cursor=page.next_cursor)
        return SweepMark(mark.until_ms, mark.until_ms)

    async def _worth_a_look(self, sweep: Sweep, entries: Sequence[Entry]) -> list[Watched]:
        """Those that are not on the watchlist, and that their lane's backlog does not explain yet."""
        found = []
        for entry in entries:
            if entry.look_at_ms is not None:
                continue
            waits = not sweep.last and not entry.is_run and self._backlogs.known(entry.lane)
            if waits and await self._backlogs.busy(entry.lane):
                continue  # the next sweep has it again
            found.append(Watched(entry.task_id, entry.tenant, entry.created_at_ms, entry.head_seq))
        return found

    async def _look_after(self, tasks: Sequence[Watched]) -> bool:
        """Look after tasks, some at once; False if time ran out."""
        for start in range(0, len(tasks), _AT_ONCE):
            if not self._time_left():
                return False
            looks = await asyncio.gather(
                *map(self._stuck.look, tasks[start : start + _AT_ONCE]), return_exceptions=True
            )
            for look in looks:
                if isinstance(look, BaseException):
                    raise look
                self.looks[look] += 1
        return True

    def _time_left(self) -> bool:
        return self._clock.now_ms() < self._until_ms
