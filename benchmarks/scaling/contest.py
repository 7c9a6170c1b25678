"""Every policy on one scenario: the same tasks at the same moments for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from benchmarks.scaling.loads import HOUR, Scenario
from benchmarks.scaling.policies import Flotilla, target_tracking
from capacity.simulation import LaneResult, Result, Scaler, simulate
from flotilla.primitives.scaling import ScalingPolicy

STATIC_SIZES = (20, 40)
UTILISATION, BACKLOG = 0.7, 10.0
OURS = "Flotilla"
DEPLOYED = "static, the whole share"
SAME_WAIT, SAME_MISSES = "static, cheapest as fast", "static, cheapest as punctual"


@dataclass(frozen=True, slots=True)
class Run:
    """A policy and what became of the lanes with it.

    Attributes:
        sizes: Of static lanes, theirs.
        owed: For how many periods each lane waited for what it called for of its share, at the most; ours only.
    """

    policy: str
    result: Result
    sizes: Mapping[str, int] | None = None
    owed: Mapping[str, int] | None = None


def contest(scenario: Scenario, seed: int = 1) -> list[Run]:
    """All policies, ours first."""
    seconds = scenario.hours * HOUR
    known: dict[tuple[int, ...], Result] = {}

    def scaled(scaler: Scaler) -> Result:
        return simulate(scenario.lanes(), seconds=seconds, scaler=scaler, seed=seed)

    def static(sizes: Mapping[str, int]) -> Result:
        key = tuple(sizes.values())
        if key not in known:
            known[key] = simulate(scenario.lanes(sizes), seconds=seconds, seed=seed)
        return known[key]

    scaler = Flotilla(ScalingPolicy(scenario.pool), scenario.bounds)
    ours = scaled(scaler)
    runs = [Run(OURS, ours, owed=scaler.owed)]
    shares = {name: bounds.share for name, bounds in scenario.bounds.items()}
    fast = _cheapest(static, shares, lambda name, lane: lane.wait_p95 <= ours.lanes[name].wait_p95)
    punctual = _cheapest(static, shares, lambda name, lane: lane.late <= ours.lanes[name].late)
    runs += [Run(SAME_WAIT, static(fast), fast), Run(SAME_MISSES, static(punctual), punctual)]
    if len(shares) == 1:
        for size in STATIC_SIZES:
            sizes = dict.fromkeys(shares, size)
            runs.append(Run(f"static, {size}", static(sizes), sizes))
    runs.append(Run(DEPLOYED, static(shares), shares))
    for name, metric, target in (
        (f"target tracking, {UTILISATION:.0%} used", "utilisation", UTILISATION),
        (f"target tracking, {BACKLOG:.0f} waiting each", "backlog", BACKLOG),
    ):
        runs.append(Run(name, scaled(target_tracking(scenario.bounds, metric=metric, target=target))))
    return runs


def _cheapest(
    static: Callable[[Mapping[str, int]], Result],
    shares: Mapping[str, int],
    good: Callable[[str, LaneResult], bool],
) -> dict[str, int]:
    """The smallest size of each lane that is good enough, or its whole share where none is.

    Lanes of one fixed size do not concern each other as long as their shares fit into the account.
    """
    low, high = dict.fromkeys(shares, 2), dict(shares)
    while any(low[name] < high[name] for name in shares):
        middle = {name: (low[name] + high[name]) // 2 for name in shares}
        lanes = static(middle).lanes
        for name in shares:
            if good(name, lanes[name]):
                high[name] = middle[name]
            else:
                low[name] = min(high[name], middle[name] + 1)
    return high
