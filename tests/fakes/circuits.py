"""`CircuitStore` and `Transitions` in memory."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping

from flotilla.circuit_ports import ProbeLease, Transition
from flotilla.primitives.circuit import CircuitRecord
from flotilla.primitives.circuit_window import SubBucket, sub_bucket_of


class MemoryCircuits:
    """`CircuitStore` in dictionaries. Counts the calls by what they cost: `reads`, `queries`, `writes`."""

    def __init__(self) -> None:
        self.records: dict[str, CircuitRecord] = {}
        self.counts: dict[str, dict[tuple[int, int], Counter[str]]] = {}
        self.leases: dict[tuple[str, int], ProbeLease] = {}
        self.reads = 0
        self.queries = 0
        self.writes = 0

    async def answer(self) -> None:
        """What each call goes through before anything is done; a test may make it slow or fail."""
        await asyncio.sleep(0)

    async def read(self, circuit: str, *, consistent: bool) -> CircuitRecord:
        self.reads += 1
        await self.answer()
        return self.records.get(circuit, CircuitRecord())

    async def transition(self, circuit: str, record: CircuitRecord) -> CircuitRecord | None:
        self.writes += 1
        await self.answer()
        there = self.records.get(circuit)
        if there is None or there.version == record.version - 1:
            self.records[circuit] = record
            return None
        return None if there == record else there

    async def add(self, circuit: str, shard: int, columns: Mapping[str, int], now_ms: int) -> SubBucket:
        self.writes += 1
        await self.answer()
        start_ms = sub_bucket_of(now_ms)
        counts = self.counts.setdefault(circuit, {}).setdefault((start_ms, shard), Counter())
        counts.update(columns)
        return SubBucket(start_ms, shard, dict(counts))

    async def window(self, circuit: str, since_ms: int) -> list[SubBucket]:
        self.queries += 1
        await self.answer()
        return [
            SubBucket(start_ms, shard, dict(counts))
            for (start_ms, shard), counts in sorted(self.counts.get(circuit, {}).items())
            if start_ms >= since_ms
        ]

    async def acquire_probe(self, circuit: str, lease: ProbeLease, now_ms: int) -> int | None:
        self.writes += 1
        await self.answer()
        there = self.leases.get((circuit, lease.slot))
        if there is not None and there.until_ms > now_ms and there.owner != lease.owner:
            return there.until_ms
        self.leases[circuit, lease.slot] = lease
        return None

    async def return_probe(self, circuit: str, slot: int, owner: str) -> None:
        self.writes += 1
        await self.answer()
        there = self.leases.get((circuit, slot))
        if there is not None and there.owner == owner:
            del self.leases[circuit, slot]

    async def probes(self, circuit: str) -> list[ProbeLease]:
        self.queries += 1
        await self.answer()
        return sorted((lease for (name, _), lease in self.leases.items() if name == circuit), key=lambda one: one.slot)

    async def names(self) -> list[str]:
        self.queries += 1
        await self.answer()
        return sorted(self.records)


class MemoryTransitions:
    """`Transitions` that keep what they are told."""

    def __init__(self) -> None:
        self.told: list[Transition] = []

    async def tell(self, transition: Transition) -> None:
        self.told.append(transition)
