"""What tasks used and cost in a span of hours: of each hour what was made of it, of the latest the logs themselves.

       since                       whole until                now
    ─────┼──── what hours came to ──────┼─── archived logs ────┼
                                         at most `MOST_LIVE_OBJECTS`, else it is said that some is missing

Tasks are counted when their logs are archived, seconds after they ended.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from flotilla.clock import Clock
from flotilla.errors import CorruptLogError
from flotilla.primitives.usage_hour import HOUR_MS, UsageHour, hour_of
from flotilla.services.rollup import keys_by_hour
from flotilla.services.usage_folding import HourFold, RequestPrices
from flotilla.usage_ports import FinishedLogs, UsageHours

logger = logging.getLogger("flotilla.usage")

MOST_LIVE_OBJECTS = 300
"""Of a few hundred logs each: some seconds' reading."""

_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class UsageReading:
    """What tasks came to.

    Attributes:
        used: In all these hours.
        since_ms: The first one's first moment.
        until_ms: The last one's end.
        complete: Nothing that is archived is missing; else some of the latest hours is.
    """

    used: UsageHour
    since_ms: int
    until_ms: int
    complete: bool


class UsageService:
    """Says what tasks used.

    Args:
        logs: The archived logs.
        hours: What hours came to.
        prices: Of what is counted and not recorded.
        clock: Tells how long it may take.
        most_live_objects: No more of the archive's objects are read.
    """

    def __init__(
        self,
        *,
        logs: FinishedLogs,
        hours: UsageHours,
        prices: RequestPrices,
        clock: Clock,
        most_live_objects: int = MOST_LIVE_OBJECTS,
    ) -> None:
        self._logs = logs
        self._hours = hours
        self._prices = prices
        self._clock = clock
        self._most_live_objects = most_live_objects

    async def read(self, since_ms: int, until_ms: int, give_up_ms: int) -> UsageReading:
        """What tasks came to that ended in the hours from that of `since_ms` to that before `until_ms`, both whole.

        Args:
            since_ms: In the first hour.
            until_ms: The end of the last hour, or within it.
            give_up_ms: No log is read after this time.

        Raises:
            RetryableError: A store did not answer.
        """
        since_ms, until_ms = hour_of(since_ms), hour_of(until_ms + HOUR_MS - 1)
        used = UsageHour(since_ms)
        whole_ms = min(max(await self._hours.whole_until() or since_ms, since_ms), until_ms)
        begun = await self._hours.begun(since_ms, whole_ms) if whole_ms > since_ms else []
        for start in range(0, len(begun), _AT_ONCE):
            for hour in await asyncio.gather(*(self._hours.get(each) for each in begun[start : start + _AT_ONCE])):
                if hour is not None:
                    used.merge(hour)
        complete = await self._live(used, whole_ms, until_ms, give_up_ms) if whole_ms < until_ms else True
        return UsageReading(used, since_ms, until_ms, complete)

    async def _live(self, used: UsageHour, from_ms: int, to_ms: int, give_up_ms: int) -> bool:
        """Add what the archive has of the latest hours; whether that was all of it."""
        left, whole = self._most_live_objects, True
        async for begins_ms, keys in keys_by_hour(self._logs, from_ms, to_ms):
            fold = HourFold(begins_ms, self._prices)
            read = 0
            while read < min(len(keys), left) and self._clock.now_ms() < give_up_ms:
                together = keys[read : min(read + _AT_ONCE, left)]
                added = await asyncio.gather(*(self._add(fold, key) for key in together))
                whole = whole and all(added)
                read += len(together)
            fold.hour.objects = read
            used.merge(fold.hour)
            left -= read
            if read < len(keys):
                return False
        return whole

    async def _add(self, fold: HourFold, key: str) -> bool:
        try:
            fold.add(await self._logs.logs(key))
        except CorruptLogError as error:
            logger.error("an object that holds no logs", extra={"key": key, "error": error.message})
            return False
        return True
