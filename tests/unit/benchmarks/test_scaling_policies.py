"""What Flotilla's scaler is compared with does what it is said to do."""

from __future__ import annotations

from benchmarks.scaling.policies import Flotilla, target_tracking
from capacity.simulation import Observed, Setting
from flotilla.primitives.scaling import LaneBounds, ScalingPolicy

BOUNDS = {"standard": LaneBounds(minimum=2, share=100, maximum=100, batch_size=10, objective_ms=300_000)}


def sizes(observed: list[Observed], metric: str, target: float) -> list[int]:
    """What target tracking makes of these minutes, from twenty on."""
    scale, has, found = target_tracking(BOUNDS, metric=metric, target=target), Setting(20, 100), []
    for minute, seen in enumerate(observed):
        has = scale(minute * 60_000, {"standard": seen}, {"standard": has}).get("standard", has)
        found.append(has.concurrency or 0)
    return found


def test_target_tracking_raises_in_proportion_after_three_minutes_and_again_after_its_cooldown() -> None:
    found = sizes([Observed(0, 0, busy=20.0)] * 9, "utilisation", 0.5)
    assert found[:7] == [20, 20, 40, 40, 40, 40, 40]
    assert sizes([Observed(400, 0)] * 9, "backlog", 10)[:9] == [20, 20, 40, 40, 40, 40, 40, 40, 40]


def test_target_tracking_lowers_after_fifteen_minutes_well_below() -> None:
    found = sizes([Observed(0, 0, busy=5.0)] * 16, "utilisation", 0.5)
    assert found[13:] == [20, 10, 10]
    assert sizes([Observed(0, 0, busy=9.5)] * 30, "utilisation", 0.5) == [20] * 30


def test_flotillas_policy_is_told_what_the_model_shows_and_remembers() -> None:
    scale = Flotilla(ScalingPolicy(100), BOUNDS)
    first = scale(60_000, {"standard": Observed(1_000, 20)}, {"standard": Setting(2, 100)})
    assert (first["standard"].concurrency or 0) > 40
    idle = {"standard": Observed(0, 0)}
    settings = first
    for minute in range(2, 9):
        settings = scale(minute * 60_000, idle, settings)
    assert (settings["standard"].concurrency or 0) < (first["standard"].concurrency or 0)
    assert scale.owed == {"standard": 0}
