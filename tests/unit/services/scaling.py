"""A fleet whose capacity is scaled, in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from flotilla.errors import StoreUnavailableError
from flotilla.models import LaneReading
from flotilla.primitives.scaling import LaneBounds, ScalingPolicy
from flotilla.scaling_ports import Backlog, Capacity
from flotilla.services.scale import Change, Scaler
from tests.fakes import ManualClock
from tests.fakes.lane_status import MemoryLaneMeter
from tests.fakes.metrics import MemoryMetrics
from tests.fakes.pauses import MemoryPauses
from tests.fakes.scaling import MemoryLaneBacklogs, MemoryLaneCapacity, MemoryScalingMemories
from tests.unit.services.crashes import Calls, Died
from tests.unit.services.fleet import run

PERIOD_SECONDS = 60
REMAINING_MS = 50_000


def bounds(share: int, **options: Any) -> LaneBounds:
    said = {"minimum": 2, "maximum": share, "batch_size": 10, "objective_ms": 60_000, **options}
    return LaneBounds(share=share, **said)


BOUNDS = {
    "critical": bounds(20, maximum=60, objective_ms=30_000),
    "standard": bounds(40, maximum=90),
    "batch": bounds(40, maximum=80, objective_ms=600_000),
}
POOL = 100


@dataclass
class ScaledFleet:
    """Lanes, what waits on them, and a scaler for each period."""

    policy: ScalingPolicy = field(default_factory=lambda: ScalingPolicy(POOL))
    bounds: Mapping[str, LaneBounds] = field(default_factory=lambda: dict(BOUNDS))
    capacity: MemoryLaneCapacity = field(
        default_factory=lambda: MemoryLaneCapacity(
            {name: Capacity(lane.share, lane.share) for name, lane in BOUNDS.items()}, POOL
        )
    )
    backlogs: MemoryLaneBacklogs = field(default_factory=MemoryLaneBacklogs)
    meter: MemoryLaneMeter = field(default_factory=MemoryLaneMeter)
    pauses: MemoryPauses = field(default_factory=MemoryPauses)
    memories: MemoryScalingMemories = field(default_factory=MemoryScalingMemories)
    metrics: MemoryMetrics = field(default_factory=MemoryMetrics)
    clock: ManualClock = field(default_factory=ManualClock)
    runs: int = 0

    def scaler(self, calls: Calls | None = None) -> Scaler:
        through = (lambda port: port) if calls is None else calls.through
        return Scaler(
            policy=self.policy,
            bounds=self.bounds,
            backlogs=through(self.backlogs),
            meter=self.meter,
            pauses=through(self.pauses),
            capacity=through(self.capacity),
            memories=through(self.memories),
            clock=self.clock,
            metrics=self.metrics,
        )

    def scale(self, calls: Calls | None = None, **options: Any) -> list[Change]:
        """One run, after which a period passes; it may die."""
        self.runs += 1
        try:
            return run(self.scaler(calls).run(f"run-{self.runs}", REMAINING_MS, **options))
        except Died:
            return []
        finally:
            self.clock.advance(PERIOD_SECONDS)

    def try_to_scale(self, calls: Calls | None = None) -> list[Change]:
        """As `scale`; a run that could not find out what it must know is one that changes nothing."""
        try:
            return self.scale(calls)
        except StoreUnavailableError:
            return []

    def load(self, lane: str, waiting: int, in_flight: int = 0, oldest_seconds: int | None = None) -> None:
        self.backlogs.lanes[lane] = Backlog(waiting, in_flight)
        self.meter.readings[lane] = LaneReading(oldest_seconds)

    def has(self, lane: str) -> tuple[int | None, int | None]:
        """A lane's concurrency, and what is reserved for it."""
        found = self.capacity.lanes[lane]
        return found.concurrency, found.reserved

    def all(self) -> dict[str, tuple[int | None, int | None]]:
        return {lane: self.has(lane) for lane in self.capacity.lanes}

    def give(self, lane: str, **capacity: Any) -> None:
        """Somebody else changes what a lane has."""
        self.capacity.lanes[lane] = replace(self.capacity.lanes[lane], **capacity)

    def rest(self) -> None:
        """Nothing waits for as long as it takes until nothing changes any more."""
        self.backlogs.lanes.clear()
        self.meter.readings.clear()
        for _ in range(60):
            self.scale()

    def assert_sound_now(self) -> None:
        for lane, found in self.capacity.lanes.items():
            assert (found.reserved or 0) >= (found.concurrency or 1000), (lane, found)
        assert sum(found.reserved or 0 for found in self.capacity.lanes.values()) <= self.policy.pool

    def assert_sound(self, where: object = "") -> None:
        """At every moment so far nothing was reserved below what may be asked for, nor more than there is."""
        for then in self.capacity.history:
            for lane, found in then.items():
                assert (found.reserved or 0) >= (found.concurrency or 0), (where, lane, then)
            assert sum(found.reserved or 0 for found in then.values()) <= self.policy.pool, (where, then)
