"""`BucketStore`, `LimitSettings` and `SlotStore` in memory."""

from __future__ import annotations

import asyncio

from flotilla.limit_ports import Drawn
from flotilla.primitives.slots import Claim, Slot, claimable
from flotilla.primitives.token_bucket import Bucket, Draw, Limit, after, done


class MemoryBuckets:
    """`BucketStore` in a dictionary."""

    def __init__(self) -> None:
        self.buckets: dict[str, Bucket] = {}
        self.expires_at: dict[str, int] = {}
        self.reads = 0
        self.writes = 0
        self.refused = 0

    async def look(self, name: str) -> Drawn:
        self.reads += 1
        await asyncio.sleep(0)
        return Drawn(done=False, before=self.buckets.get(name))

    async def draw(self, name: str, draw: Draw, expires_at: int) -> Drawn:
        await asyncio.sleep(0)
        return self.draw_now(name, draw, expires_at)

    def draw_now(self, name: str, draw: Draw, expires_at: int) -> Drawn:
        self.writes += 1
        before = self.buckets.get(name)
        if not done(draw, before):
            self.refused += 1
            return Drawn(done=False, before=before)
        self.buckets[name] = after(draw, before)
        self.expires_at[name] = expires_at
        return Drawn(done=True, before=before)


class MemoryLimitSettings:
    """`LimitSettings` in a dictionary."""

    def __init__(self) -> None:
        self.limits: dict[str, Limit] = {}
        self.reads = 0

    async def read(self) -> dict[str, Limit]:
        self.reads += 1
        await asyncio.sleep(0)
        return dict(self.limits)

    async def put(self, name: str, limit: Limit) -> None:
        await asyncio.sleep(0)
        self.limits[name] = limit

    async def remove(self, name: str) -> None:
        await asyncio.sleep(0)
        self.limits.pop(name, None)


class MemorySlots:
    """`SlotStore` in a dictionary."""

    def __init__(self) -> None:
        self.slots: dict[tuple[str, int], Slot] = {}
        self.reads = 0
        self.writes = 0

    async def read(self, name: str) -> list[Slot]:
        self.reads += 1
        await asyncio.sleep(0)
        return [slot for (cap, _), slot in sorted(self.slots.items()) if cap == name]

    async def claim(self, name: str, claim: Claim, expires_at: int) -> Slot | None:
        self.writes += 1
        await asyncio.sleep(0)
        held = self.slots.get((name, claim.slot.index))
        if not claimable(held, claim):
            return held
        self.slots[name, claim.slot.index] = claim.slot
        return None

    async def give_up(self, name: str, index: int, holder: str) -> None:
        self.writes += 1
        await asyncio.sleep(0)
        held = self.slots.get((name, index))
        if held is not None and held.holder == holder:
            del self.slots[name, index]
