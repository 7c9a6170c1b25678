"""What the shared circuits need from the world: a store for their state, counts and probes, and somebody to tell.

All of it is shared by every environment of a fleet, and none of it is needed to make a call: who asks decides what to
do without an answer (`CircuitBreaker` goes on).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from flotilla.primitives.circuit import CircuitRecord
from flotilla.primitives.circuit_window import SubBucket


@dataclass(frozen=True, slots=True)
class ProbeLease:
    """The right to make one probe, until it ends.

    Attributes:
        slot: Which of the circuit's probes, from 0.
        owner: Who makes it.
        until_ms: When it is free again, whatever became of its owner.
    """

    slot: int
    owner: str
    until_ms: int


@dataclass(frozen=True, slots=True)
class Transition:
    """A circuit has come to another state, or somebody else decides about it.

    Attributes:
        circuit: Its name.
        before: What it was.
        after: What it is.
    """

    circuit: str
    before: CircuitRecord
    after: CircuitRecord


class CircuitStore(Protocol):
    """State, counts and probes of circuits. Every method raises `StoreUnavailableError` when nothing answers."""

    async def read(self, circuit: str, *, consistent: bool) -> CircuitRecord:
        """The circuit's record; the default one where nothing has ever happened to it.

        Args:
            circuit: Its name.
            consistent: Whether a step made just now must be seen. Costs twice as much.
        """
        ...

    async def transition(self, circuit: str, record: CircuitRecord) -> CircuitRecord | None:
        """Store `record`, if nothing is stored or what is stored is of the version before it.

        The first step of a circuit also puts its name among `names`, before the step.

        Returns:
            None when `record` is in place (also when an earlier send of the very same put it there and its answer was
            lost); else the record that is there instead.
        """
        ...

    async def add(self, circuit: str, shard: int, columns: Mapping[str, int], now_ms: int) -> SubBucket:
        """Add to the counts of a shard's current sub-bucket. Not to be repeated: it may have been carried out.

        Returns:
            The shard's counts of that sub-bucket after the addition, those of other environments included.
        """
        ...

    async def window(self, circuit: str, since_ms: int) -> list[SubBucket]:
        """The counts of all shards in sub-buckets that began at `since_ms` or later; the very newest may be missing."""
        ...

    async def acquire_probe(self, circuit: str, lease: ProbeLease, now_ms: int) -> int | None:
        """Take the lease's slot, if it is free, has expired or is its owner's already.

        Returns:
            None when the slot is the owner's; else when the other's lease ends.
        """
        ...

    async def return_probe(self, circuit: str, slot: int, owner: str) -> None:
        """Free a slot, if it is still its owner's."""
        ...

    async def probes(self, circuit: str) -> list[ProbeLease]:
        """Every lease that is stored, those that have expired included."""
        ...

    async def names(self) -> list[str]:
        """The circuits that have ever made a step, sorted."""
        ...


class Transitions(Protocol):
    """Told of each step of a circuit by the one environment that made it."""

    async def tell(self, transition: Transition) -> None:
        """Take note. It has happened: nothing that goes wrong here may stop the call that brought it about."""
        ...
