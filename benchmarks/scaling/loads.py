"""The loads: each a fleet of one or two lanes, for some hours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from capacity.simulation import Load, Setting, SimulatedLane, burst, diurnal, sawtooth, steady, step
from flotilla.primitives.scaling import LaneBounds

HOUR = 3600.0
SECONDS = steady(6.0)
"""How long a task takes on average."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A fleet and what it is given.

    Attributes:
        about: What happens, for the reader.
        hours: How long it goes on.
        loads: Of each lane.
        bounds: Of each lane; their shares are the whole pool.
    """

    name: str
    about: str
    hours: float
    loads: Mapping[str, Load]
    bounds: Mapping[str, LaneBounds]

    @property
    def pool(self) -> int:
        """What all lanes together may reserve."""
        return sum(bounds.share for bounds in self.bounds.values())

    def lanes(self, concurrency: Mapping[str, int] | None = None) -> dict[str, SimulatedLane]:
        """The lanes, with this much at first, or the least."""
        return {
            name: SimulatedLane(
                load,
                Setting(concurrency[name] if concurrency else self.bounds[name].minimum, self.bounds[name].share),
                objective_seconds=self.bounds[name].objective_ms / 1000,
            )
            for name, load in self.loads.items()
        }


STANDARD = LaneBounds(minimum=2, share=100, maximum=100, batch_size=10, objective_ms=300_000)


def _one(name: str, about: str, hours: float, load: Load) -> Scenario:
    return Scenario(name, about, hours, {"standard": load}, {"standard": STANDARD})


def _two(name: str, about: str, critical: Load, minimum: int = 2) -> Scenario:
    # The other lane has ten thousand tasks more within a minute of each hour, just before this one needs its share.
    batch = Load(burst(4, 4 + 10_000 / 60, HOUR / 2 - 120, 60, HOUR), SECONDS)
    bounds = {
        "critical": LaneBounds(minimum=minimum, share=30, maximum=30, batch_size=10, objective_ms=30_000),
        "batch": LaneBounds(minimum=2, share=15, maximum=40, batch_size=10, objective_ms=3_600_000),
    }
    return Scenario(name, about, 2, {"critical": critical, "batch": batch}, bounds)


def _rising(at: float) -> float:
    """Each hour, in ten minutes from 2 a second to 15, ten minutes there, in ten back."""
    minutes = (at % HOUR) / 60
    return 2 + 13 * min(1.0, max(0.0, min(minutes - 30, 60 - minutes) / 10))


_SURGES = Load(burst(2, 15, HOUR / 2, HOUR / 4, HOUR), SECONDS)

SCENARIOS = (
    _one("steady", "10 tasks a second", 2, Load(steady(10), SECONDS)),
    _one("step", "2 a second, from the middle on 20", 2, Load(step(2, 20, HOUR), SECONDS)),
    _one("burst", "2 a second, and 60 for a minute of each hour", 2, Load(burst(2, 60, HOUR / 2, 60, HOUR), SECONDS)),
    _one("sawtooth", "each hour from 2 a second to 24, and back at once", 2, Load(sawtooth(2, 24, HOUR), SECONDS)),
    _one("diurnal", "a day of four hours: 2 a second at night, 24 at noon", 4, Load(diurnal(2, 24, 4 * HOUR), SECONDS)),
    _one(
        "slow model",
        "8 a second; for the second of three hours each task takes 24 s instead of 6",
        3,
        Load(steady(8), lambda at: 24.0 if HOUR <= at < 2 * HOUR else 6.0),
    ),
    _two("two lanes", "critical: each hour from 2 a second to 15 in ten minutes, and back", Load(_rising, SECONDS)),
    _two("two lanes, sudden", "critical: 2 a second, and at once 15 for a quarter of each hour", _SURGES),
    _two("two lanes, sudden, minimum 15", "the same, and critical never has less than it then needs", _SURGES, 15),
)
