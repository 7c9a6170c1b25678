"""Adds up the archived logs of each hour that is over into what its tasks came to.

    archive/2026/11/22/09/…  ─┐
    archive/2026/11/22/09/…  ─┴─ each end of a task once ─> usage/2026/11/22/09

Invariant: what is kept of an hour follows from the objects that lie in it, and says which these were. So a run may be
broken off, repeated, or run beside another, and an hour may be made again at any time. Logs are archived late where the
archive did not answer at first: the last hours are compared with what lies there by every run, each older day by one
run a day, as long as its logs may still be waiting to be archived.

Failure policy: an error to the caller, with the hours before as whole as they are. An object that holds no logs is
passed over and told of: no later run could read it either.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from flotilla.clock import Clock
from flotilla.errors import CorruptLogError
from flotilla.primitives.retention import DAY_MS, MARGIN_DAYS
from flotilla.primitives.usage_hour import HOUR_MS, digest_of, hour_of
from flotilla.primitives.usage_keys import after_hour, hour_in
from flotilla.services.usage_folding import HourFold, RequestPrices
from flotilla.usage_ports import FinishedLogs, UsageHours

logger = logging.getLogger("flotilla.rollup")

_GRACE_MS = 300_000
"""So long after its end an hour is added up: what ended last in it has been archived by then."""

_LOOK_BACK_HOURS = 6
_PAGE_KEYS = 1000
_OBJECTS_AT_ONCE = 2
"""Of up to eight megabytes each, and many times that as events."""


@dataclass(slots=True)
class RollupReport:
    """What a run did.

    Attributes:
        hours: Added up, or added up again.
        unchanged: Compared, and found as they were.
        objects: Read.
        failed: Keys of objects that hold no logs.
        complete: It came to its end in its time; else the next run goes on.
    """

    hours: int = 0
    unchanged: int = 0
    objects: int = 0
    failed: set[str] = field(default_factory=set)
    complete: bool = True


class Rollup:
    """Adds up hours.

    Args:
        logs: The archived logs.
        hours: Where what hours came to is kept.
        prices: Of what is counted and not recorded.
        clock: Tells which hours are over.
        retention_days: How long a finished task's log is promised to be kept in the table.
    """

    def __init__(
        self, *, logs: FinishedLogs, hours: UsageHours, prices: RequestPrices, clock: Clock, retention_days: int
    ) -> None:
        self._logs = logs
        self._hours = hours
        self._prices = prices
        self._clock = clock
        self._late_days = retention_days + MARGIN_DAYS + 1

    async def run(self, give_up_ms: int) -> RollupReport:
        """Add up what is over, and what has changed since it was.

        Args:
            give_up_ms: Nothing is begun after this time.

        Raises:
            RetryableError: A store did not answer.
        """
        report = RollupReport()
        over_ms = hour_of(self._clock.now_ms() - _GRACE_MS)
        whole_ms = await self._hours.whole_until()
        known_ms = await self._first_hour(over_ms) if whole_ms is None else whole_ms
        recent_ms = min(known_ms, over_ms - _LOOK_BACK_HOURS * HOUR_MS)
        reached_ms = await self._catch_up(recent_ms, over_ms, report, give_up_ms)
        if whole_ms is None or reached_ms > whole_ms:
            await self._hours.set_whole_until(reached_ms)
        for day_ms in late_days(over_ms, recent_ms, self._late_days):
            if report.complete:
                await self._catch_up(day_ms, min(day_ms + DAY_MS, recent_ms), report, give_up_ms)
        return report

    async def _first_hour(self, over_ms: int) -> int:
        first = await self._logs.keys(None, limit=1)
        return over_ms if not first else min(over_ms, hour_in(first[0]) or over_ms)

    async def _catch_up(self, from_ms: int, to_ms: int, report: RollupReport, give_up_ms: int) -> int:
        """See to all hours between these times; until when that came."""
        async for begins_ms, keys in keys_by_hour(self._logs, from_ms, to_ms):
            if not await self._see_to(begins_ms, keys, report, give_up_ms):
                report.complete = False
                return begins_ms
        return to_ms

    async def _see_to(self, begins_ms: int, keys: Sequence[str], report: RollupReport, give_up_ms: int) -> bool:
        """Have what is kept of an hour follow from all that lies in it; False where there is no time."""
        known = await self._hours.get(begins_ms)
        digest = digest_of(keys)
        if known is not None and known.digest == digest:
            report.unchanged += 1
            return True
        fold = HourFold(begins_ms, self._prices)
        for start in range(0, len(keys), _OBJECTS_AT_ONCE):
            if self._clock.now_ms() >= give_up_ms:
                return False
            together = keys[start : start + _OBJECTS_AT_ONCE]
            added = await asyncio.gather(*(self._add(fold, key) for key in together))
            for key, problem in zip(together, added, strict=True):
                if problem is not None:
                    report.failed.add(key)
                    logger.error("an object that holds no logs", extra={"key": key, "error": problem})
            report.objects += len(together)
        fold.hour.objects, fold.hour.digest = len(keys), digest
        await self._hours.put(fold.hour)
        report.hours += 1
        return True

    async def _add(self, fold: HourFold, key: str) -> str | None:
        """Add the logs in an object; what is wrong with it, if anything is."""
        try:
            fold.add(await self._logs.logs(key))
        except CorruptLogError as error:
            return error.message
        return None


def late_days(over_ms: int, recent_ms: int, most_days: int) -> list[int]:
    """The days before `recent_ms` that this hour's run looks at: of every 24 in a row one, so each once a day.

    Args:
        over_ms: The end of the last hour that is over.
        recent_ms: What is later is looked at anyway.
        most_days: How many days back logs may come late.
    """
    turn = over_ms // HOUR_MS % 24
    newest = (recent_ms - 1) // DAY_MS
    oldest = max(0, over_ms // DAY_MS - most_days)
    return [day * DAY_MS for day in range(newest, oldest - 1, -1) if day % 24 == turn]


async def keys_by_hour(logs: FinishedLogs, from_ms: int, to_ms: int) -> AsyncIterator[tuple[int, list[str]]]:
    """The objects of each hour in which there are any: from that of `from_ms` on and before `to_ms`.

    Raises:
        RetryableError: The archive did not answer.
    """
    after: str | None = after_hour(from_ms)
    begins_ms: int | None = None
    gathered: list[str] = []
    while page := await logs.keys(after, limit=_PAGE_KEYS):
        after = page[-1]
        for key in page:
            hour_ms = hour_in(key)
            if hour_ms is None:
                continue
            if hour_ms != begins_ms and begins_ms is not None:
                yield begins_ms, gathered
                gathered = []
            if hour_ms >= to_ms:
                return
            begins_ms = hour_ms
            gathered.append(key)
    if begins_ms is not None and gathered:
        yield begins_ms, gathered
