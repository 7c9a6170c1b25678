"""What operators see of circuits, and what they decide. Costs a read and a query for each circuit that is shown."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from flotilla.circuit_ports import CircuitStore, Transition, Transitions
from flotilla.clock import Clock
from flotilla.errors import StoreUnavailableError
from flotilla.primitives.circuit import CircuitMode, CircuitRecord, CircuitState, forced, settled
from flotilla.primitives.circuit_policy import CircuitPolicy
from flotilla.primitives.circuit_window import Window

_TRIES = 10


@dataclass(frozen=True, slots=True)
class CircuitReading:
    """One circuit as it is now.

    Attributes:
        circuit: Its name.
        record: What is stored, moved on by what time alone decides.
        volume: Calls reported within the window.
        failure_rate: The share of them that failed.
        p99_ms: The 99th percentile of the latency of those that succeeded; None without any.
        probes: Probes under way.
    """

    circuit: str
    record: CircuitRecord
    volume: int
    failure_rate: float
    p99_ms: float | None
    probes: int


class CircuitDesk:
    """Shows and forces circuits.

    Args:
        store: Where they are kept.
        policies: Settings of those that are configured, by name.
        clock: Time.
        transitions: Told of what an operator decides.
    """

    def __init__(
        self, store: CircuitStore, policies: Mapping[str, CircuitPolicy], clock: Clock, transitions: Transitions
    ) -> None:
        self._store = store
        self._policies = policies
        self._clock = clock
        self._transitions = transitions

    async def all(self) -> list[CircuitReading]:
        """Every circuit that is configured or has ever made a step, by name.

        Raises:
            RetryableError: The store did not answer.
        """
        names = sorted({*self._policies, *await self._store.names()})
        return list(await asyncio.gather(*(self.one(name) for name in names)))

    async def find(self, name: str) -> str | None:
        """The whole name of a circuit, given it or what comes after its `#`; None where no one circuit is meant.

        Raises:
            RetryableError: The store did not answer.
        """
        if name in self._policies:
            return name
        known = {*self._policies, *await self._store.names()}
        if name in known:
            return name
        meant = [each for each in known if each.partition("#")[2] == name]
        return meant[0] if len(meant) == 1 else None

    async def one(self, circuit: str) -> CircuitReading:
        """The circuit as it is now.

        Raises:
            RetryableError: The store did not answer.
        """
        now_ms, policy = self._clock.now_ms(), self._policies.get(circuit, CircuitPolicy())
        record, buckets = await asyncio.gather(
            self._store.read(circuit, consistent=True), self._store.window(circuit, now_ms - policy.window_ms)
        )
        record = settled(record, now_ms, record.by) or record
        probing = record.state is CircuitState.HALF_OPEN
        leases = await self._store.probes(circuit) if probing else []
        # All that was called is shown, what no longer counts included.
        window = Window(buckets, now_ms, policy)
        return CircuitReading(
            circuit=circuit,
            record=record,
            volume=window.volume,
            failure_rate=window.failure_rate,
            p99_ms=window.p99_ms,
            probes=sum(lease.until_ms > now_ms for lease in leases),
        )

    async def force(self, circuit: str, mode: CircuitMode, *, actor: str, reason: str = "") -> CircuitReading:
        """Force a circuit open or closed, or leave it to itself again. Environments follow within their state's age.

        Raises:
            RetryableError: The store did not answer, or the circuit moved all the time.
        """
        for _ in range(_TRIES):
            before = await self._store.read(circuit, consistent=True)
            after = forced(before, mode, self._clock.now_ms(), reason=reason, by=actor)
            if after is None:
                return await self.one(circuit)
            if await self._store.transition(circuit, after) is None:
                await self._transitions.tell(Transition(circuit, before, after))
                return await self.one(circuit)
        raise StoreUnavailableError("the circuit moves too fast", code="circuits_unavailable")
