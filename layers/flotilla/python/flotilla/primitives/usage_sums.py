"""What tasks used, added up: whole numbers alone, so that parts add up to the whole whatever order they come in.

Money is in nanodollars, time in milliseconds, processor time in microseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields


@dataclass(slots=True)
class Sums:
    """Of some tasks.

    Attributes:
        tasks: Ends of tasks: one that was redriven and ended again is two.
        cached: Of these, how many were answered with another's result.
        attempts: Attempts that said what they used.
        model_nanos: What models cost.
        compute_nanos: What the processes cost that attempts ran in.
        requests_nanos: What it cost to record them and to put them on lanes.
        billed_ms: Their shares of invocations' time.
        duration_ms: How long attempts took.
        cpu_us: Their shares of processor time.
    """

    tasks: int = 0
    succeeded: int = 0
    dead_lettered: int = 0
    cancelled: int = 0
    expired: int = 0
    cached: int = 0
    attempts: int = 0
    model_nanos: int = 0
    compute_nanos: int = 0
    requests_nanos: int = 0
    billed_ms: int = 0
    duration_ms: int = 0
    cpu_us: int = 0
    model_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0

    @property
    def nanos(self) -> int:
        """What they cost in all."""
        return self.model_nanos + self.compute_nanos + self.requests_nanos

    def add(self, other: Sums) -> None:
        """Add what others used."""
        for name in _NAMES:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def to_json(self) -> dict[str, int]:
        """The form in which it is kept: what is not nothing."""
        return {name: number for name in _NAMES if (number := getattr(self, name))}

    @classmethod
    def from_json(cls, value: Mapping[str, int]) -> Sums:
        """Read what `to_json` wrote; what a later version adds up besides is left out."""
        return cls(**{name: int(value.get(name, 0)) for name in _NAMES})


_NAMES = tuple(field.name for field in fields(Sums))


@dataclass(slots=True)
class MemoryUse:
    """What attempts did that ran with so much memory.

    Attributes:
        attempts: How many.
        billed_ms: Their shares of invocations' time.
        duration_ms: How long they took.
        cpu_us: Their shares of processor time.
        compute_nanos: What that cost.
        peak_memory_mb: The most that any of their processes has had at once.
    """

    attempts: int = 0
    billed_ms: int = 0
    duration_ms: int = 0
    cpu_us: int = 0
    compute_nanos: int = 0
    peak_memory_mb: int = 0

    def add(self, other: MemoryUse) -> None:
        """Add what others did."""
        self.attempts += other.attempts
        self.billed_ms += other.billed_ms
        self.duration_ms += other.duration_ms
        self.cpu_us += other.cpu_us
        self.compute_nanos += other.compute_nanos
        self.peak_memory_mb = max(self.peak_memory_mb, other.peak_memory_mb)

    def to_json(self) -> dict[str, int]:
        """The form in which it is kept."""
        return {name: getattr(self, name) for name in _USES}

    @classmethod
    def from_json(cls, value: Mapping[str, int]) -> MemoryUse:
        """Read what `to_json` wrote."""
        return cls(**{name: int(value.get(name, 0)) for name in _USES})


_USES = tuple(field.name for field in fields(MemoryUse))
