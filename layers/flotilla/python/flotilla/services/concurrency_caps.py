"""Caps on how much runs at once, over all processes: a slot is taken before and given up after.

A process that dies gives its slots up when their leases end. Whoever holds one must stop by then.

Failure policy: open. While the store does not answer, each process lets in at most as many as the cap allows all.
"""

from __future__ import annotations

import asyncio
import logging
import random
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TypeVar

from flotilla.clock import Clock
from flotilla.errors import LimitedError, RetryableError
from flotilla.limit_ports import SlotStore
from flotilla.metric_ports import Metrics, NoMetrics
from flotilla.primitives.slots import Claim, Full, Slot, choose
from flotilla.primitives.token_bucket import SKEW_MS
from flotilla.services.limits import kind_of

logger = logging.getLogger("flotilla.limits")

T = TypeVar("T")

_TRIES = 6
_KNOWN_FOR_MS = 1000
_PATIENCE_SECONDS = 1.0
_BLIND_MS = 1000
_KEPT_SECONDS = 86_400
_LONGEST_WAIT_SECONDS = 2.0
_LUCKY = 10
"""After so often a process does not look before. A claim in vain costs ten times as much as a look."""


@dataclass(frozen=True, slots=True)
class HeldSlot:
    """One of those that may run at once.

    Attributes:
        name: Of the cap.
        slot: The slot; None where the store did not answer and this process let it in by itself.
        until_ms: By this machine's clock, when it must have stopped.
    """

    name: str
    slot: Slot | None
    until_ms: int


@dataclass(slots=True)
class _Seen:
    """What is known of a cap's slots.

    Attributes:
        slots: Those in use, when last seen.
        at_ms: When they were read.
        left: Numbers of slots that this process gave up, the latest last. Those who keep to their own do not meet.
        luck: How often in a row such a slot was still free.
    """

    slots: dict[int, Slot] = field(default_factory=dict)
    at_ms: int = 0
    left: list[int] = field(default_factory=list)
    luck: int = 0


class ConcurrencyCaps:
    """Lets in no more than a cap's slots.

    Args:
        store: Where slots are kept.
        clock: The machine's clock.
        random: Spreads those who ask at once over the free slots, and those who wait over time.
        skew_ms: How wrong the fleet's clocks may be, either way.
        metrics: Counts refusals, and asks that the store did not answer.
    """

    def __init__(
        self,
        store: SlotStore,
        clock: Clock,
        random: random.Random,
        *,
        skew_ms: int = SKEW_MS,
        metrics: Metrics | None = None,
    ) -> None:
        self._metrics = metrics or NoMetrics()
        self._store = store
        self._clock = clock
        self._random = random
        self._skew_ms = skew_ms
        self._seen: dict[str, _Seen] = {}
        self._inside: Counter[str] = Counter()
        self._blind_until_ms: int | None = None

    @asynccontextmanager
    async def slot(self, name: str, cap: int, lease_seconds: float) -> AsyncIterator[HeldSlot]:
        """Hold a slot while the block runs. See `enter`."""
        held = await self.enter(name, cap, lease_seconds)
        try:
            yield held
        finally:
            await self.leave(held)

    async def enter(self, name: str, cap: int, lease_seconds: float) -> HeldSlot:
        """Take a slot.

        Args:
            name: Of the cap, e.g. `integration#crm`.
            cap: How many may run at once, at least 1.
            lease_seconds: The longest that this one runs.

        Raises:
            LimitedError: All are taken.
        """
        holder = uuid.UUID(int=self._random.getrandbits(128)).hex
        now_ms, lease_ms = self._clock.now_ms(), int(lease_seconds * 1000)
        seen = self._seen.setdefault(name, _Seen())
        for _ in range(_TRIES):
            if self._is_blind():
                break
            chosen: Claim | Full
            own = next((index for index in reversed(seen.left) if index < cap), None)
            if own is None or seen.luck < _LUCKY or self._is_known(seen, now_ms):
                if not await self._read(name, seen, now_ms):
                    break
                chosen = choose(
                    seen.slots.values(), cap, holder, now_ms, lease_ms, self._random.random(), skew_ms=self._skew_ms
                )
            else:
                chosen = Claim(Slot(own, holder, now_ms + lease_ms), now_ms - 2 * self._skew_ms)
            if isinstance(chosen, Full):
                raise self._full(name, chosen.retry_after_ms / 1000)
            if own is not None and own not in seen.slots:
                chosen = replace(chosen, slot=replace(chosen.slot, index=own))
            expires_at = chosen.slot.until_ms // 1000 + _KEPT_SECONDS
            taken = await self._answer(self._claim(name, chosen, expires_at), name)
            if taken is None:
                break
            # Also where another has it: that is seen without a read.
            seen.slots[taken.index] = taken
            is_ours = taken.holder == holder
            if taken.index in seen.left:
                seen.left.remove(taken.index)
                seen.luck = seen.luck + 1 if is_ours else 0
            if is_ours:
                self._inside[name] += 1
                return HeldSlot(name, taken, taken.until_ms)
        if not self._is_blind() or self._inside[name] >= cap:
            raise self._full(name, _LONGEST_WAIT_SECONDS)
        self._inside[name] += 1
        return HeldSlot(name, None, now_ms + lease_ms)

    async def leave(self, held: HeldSlot) -> None:
        """Give a slot up. Where that fails it is free when its lease ends."""
        self._inside[held.name] -= 1
        if held.slot is None or self._is_blind():
            return
        seen = self._seen.get(held.name)
        if seen is not None and seen.slots.get(held.slot.index) == held.slot:
            del seen.slots[held.slot.index]
        if await self._answer(self._give_up(held.name, held.slot), held.name) and seen is not None:
            seen.left.append(held.slot.index)

    async def _read(self, name: str, seen: _Seen, now_ms: int) -> bool:
        """Whether the slots are known as they were a moment ago."""
        if self._is_known(seen, now_ms):
            return True
        found = await self._answer(self._store.read(name), name)
        if found is None:
            return False
        seen.slots, seen.at_ms = {slot.index: slot for slot in found}, now_ms
        return True

    @staticmethod
    def _is_known(seen: _Seen, now_ms: int) -> bool:
        return 0 <= now_ms - seen.at_ms < _KNOWN_FOR_MS

    async def _claim(self, name: str, claim: Claim, expires_at: int) -> Slot:
        other = await self._store.claim(name, claim, expires_at)
        return claim.slot if other is None else other

    async def _give_up(self, name: str, slot: Slot) -> bool:
        await self._store.give_up(name, slot.index, slot.holder)
        return True

    async def _answer(self, asked: Awaitable[T], name: str) -> T | None:
        try:
            answer = await asyncio.wait_for(asked, _PATIENCE_SECONDS)
        except (RetryableError, TimeoutError) as error:
            if self._blind_until_ms is None:
                code = error.code if isinstance(error, RetryableError) else "slots_slow"
                logger.warning(
                    "protection unavailable", extra={"protection": "concurrency", "limit": name, "code": code}
                )
            self._metrics.count("ProtectionUnavailable", protection="concurrency")
            self._blind_until_ms = self._clock.now_ms() + _BLIND_MS
            return None
        if self._blind_until_ms is not None:
            logger.info("protection available again", extra={"protection": "concurrency", "limit": name})
        self._blind_until_ms = None
        return answer

    def _is_blind(self) -> bool:
        return self._blind_until_ms is not None and self._clock.now_ms() < self._blind_until_ms

    def _full(self, name: str, seconds: float) -> LimitedError:
        self._metrics.count("LimitRefusals", limit=kind_of(name))
        # A slot may be given up at any moment: looked for again soon, and not by all at once.
        wait = min(seconds, _LONGEST_WAIT_SECONDS) * (0.5 + self._random.random() / 2)
        return LimitedError(f"as much as {name} allows is under way", limit=name, retry_after_seconds=wait)
