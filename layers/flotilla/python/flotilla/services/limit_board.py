"""Limits set at run time, as a process knows them: a few seconds old at most, and never in the way.

Failure policy: open. While the store does not answer, what was last known holds on, or what is declared where nothing
was known.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from flotilla.clock import Clock
from flotilla.errors import RetryableError
from flotilla.metric_ports import Metrics, NoMetrics

if TYPE_CHECKING:
    from flotilla.limit_ports import LimitSettings
    from flotilla.primitives.token_bucket import Limit

logger = logging.getLogger("flotilla.limits")

TTL_MS = 5000
_PATIENCE_SECONDS = 1.0


class LimitBoard:
    """The limits in force.

    Whoever sets one can rely on this: `ttl_ms` after it was stored, and where the store is slow `patience_seconds`
    more, no ask is decided by what held before.

    Args:
        settings: Where limits set at run time are kept.
        clock: Tells how old an answer is.
        ttl_ms: How old an answer may be, counted from when it was asked for.
        patience_seconds: A store that has not answered by then counts as one that is down.
        metrics: Counts reads that were not answered.
    """

    def __init__(
        self,
        settings: LimitSettings,
        clock: Clock,
        ttl_ms: int = TTL_MS,
        patience_seconds: float = _PATIENCE_SECONDS,
        metrics: Metrics | None = None,
    ) -> None:
        self._metrics = metrics or NoMetrics()
        self._settings = settings
        self._clock = clock
        self._ttl_ms = ttl_ms
        self._patience_seconds = patience_seconds
        self._known: Mapping[str, Limit] = {}
        self._good_from_ms: int | None = None
        self._reading: asyncio.Lock | None = None
        self._down = False

    async def limit(self, name: str, declared: Limit | None, each: str | None = None) -> Limit | None:
        """The limit of that name: as set for it, else as set for each of its kind, else as declared.

        Args:
            name: Of the limit, e.g. `client#k1`.
            declared: What holds where nothing is set.
            each: The name under which its kind is set, e.g. `client`; None where it has none.
        """
        if not self._fresh():
            await self._refresh()
        found = self._known.get(name)
        if found is None and each is not None:
            found = self._known.get(each)
        return declared if found is None else found

    async def all(self, declared: Mapping[str, Limit]) -> dict[str, Limit]:
        """Every limit in force, given those declared."""
        if not self._fresh():
            await self._refresh()
        return {**declared, **self._known}

    def _fresh(self) -> bool:
        return self._good_from_ms is not None and 0 <= self._clock.now_ms() - self._good_from_ms < self._ttl_ms

    async def _refresh(self) -> None:
        if self._reading is None:
            self._reading = asyncio.Lock()
        async with self._reading:
            if self._fresh():
                return  # another has asked meanwhile
            asked_ms = self._clock.now_ms()
            try:
                self._known = await asyncio.wait_for(self._settings.read(), self._patience_seconds)
            except (RetryableError, TimeoutError) as error:
                # Asked again after `ttl_ms`, not by everybody at once.
                self._good_from_ms = self._clock.now_ms()
                if not self._down:
                    code = error.code if isinstance(error, RetryableError) else "limit_settings_slow"
                    extra = {"protection": "limit_settings", "code": code, "known": len(self._known)}
                    logger.warning("protection unavailable", extra=extra)
                self._metrics.count("ProtectionUnavailable", protection="limit")
                self._down = True
                return
            self._good_from_ms = asked_ms
            if self._down:
                logger.info("protection available again", extra={"protection": "limit_settings"})
            self._down = False
