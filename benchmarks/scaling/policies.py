"""The policies that are set side by side, each as a scaler of the model: a new one for each run, for it remembers."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from capacity.simulation import Observed, Scaler, Setting
from flotilla.primitives.scaling import LaneBounds, LaneLoad, LaneScale, ScalingPolicy, decide


class Flotilla:
    """Flotilla's own, `flotilla.primitives.scaling`, told what the scaler's function is told.

    Attributes:
        owed: For how many periods each lane had less of its share than it had called for, at the most.
    """

    def __init__(self, policy: ScalingPolicy, bounds: Mapping[str, LaneBounds]) -> None:
        self._policy, self._bounds = policy, bounds
        self._remembered: dict[str, LaneScale] = {}
        self._calls: dict[str, list[tuple[int, int]]] = {name: [] for name in bounds}
        self.owed = dict.fromkeys(bounds, 0)

    def __call__(
        self, now_ms: int, observed: Mapping[str, Observed], settings: Mapping[str, Setting]
    ) -> Mapping[str, Setting]:
        """What each lane should have."""
        scales = {
            name: replace(
                self._remembered.get(name, LaneScale(0, 0)),
                concurrency=setting.concurrency or 0,
                reserved=setting.reserved or 0,
                provisioned=setting.provisioned,
            )
            for name, setting in settings.items()
        }
        loads = {
            name: LaneLoad(seen.waiting, seen.in_flight, seen.oldest_ms, seen.running)
            for name, seen in observed.items()
        }
        self._remembered = decide(self._policy, self._bounds, loads, scales, now_ms)
        for name, scale in self._remembered.items():
            calls = 0 if scale.calm_ms else min(scale.wanted, self._bounds[name].share)
            open_calls = [(call, age + 1) for call, age in self._calls[name]] + [(calls, 0)]
            self._calls[name] = [(call, age) for call, age in open_calls if scale.concurrency < call <= calls]
            self.owed[name] = max([self.owed[name], *(age + 1 for _, age in self._calls[name])])
        return {
            name: Setting(scale.concurrency, scale.reserved, scale.provisioned)
            for name, scale in self._remembered.items()
        }


_BREACHES_HIGH, _BREACHES_LOW = 3, 15
"""Minutes for which the two alarms of a target tracking policy must be in breach, one after the other."""

_LOW_SHARE = 0.9
"""The low alarm's threshold, of the target: so much room Application Auto Scaling leaves against turning back."""


@dataclass
class _Tracked:
    minutes: deque[float] = field(default_factory=lambda: deque(maxlen=_BREACHES_LOW))
    raised_ms: int = -10_000_000
    lowered_ms: int = -10_000_000


def target_tracking(
    bounds: Mapping[str, LaneBounds], *, metric: str, target: float, cooldown_ms: int = 300_000
) -> Scaler:
    """As Application Auto Scaling does it: by one metric of CloudWatch, kept at a target.

    Two alarms, the high one after 3 minutes above the target, the low one after 15 below nine tenths of it; then the
    capacity is multiplied by metric / target, within the cooldown of 300 s that it has for custom resources, in which
    it may still be raised further than before but not lowered. (It cannot do this for event source mappings itself; a
    custom resource behind an API could.)

    Args:
        bounds: Minimum and share of each lane; it lends nothing.
        metric: "utilisation": invocations at once, on average, over the most that the mapping allows.
            "backlog": messages waiting for each invocation that it allows.
        target: What it is to be.
        cooldown_ms: After a change.
    """
    tracked: dict[str, _Tracked] = {name: _Tracked() for name in bounds}

    def scale(now_ms: int, observed: Mapping[str, Observed], settings: Mapping[str, Setting]) -> Mapping[str, Setting]:
        asked = {}
        for name, about in bounds.items():
            state, has = tracked[name], settings[name].concurrency or 1
            seen = observed[name]
            state.minutes.append((seen.busy or 0.0) / has if metric == "utilisation" else seen.waiting / has)
            high = list(state.minutes)[-_BREACHES_HIGH:]
            wanted = has
            if len(high) == _BREACHES_HIGH and min(high) > target:
                wanted = math.ceil(has * high[-1] / target)
                if now_ms - state.raised_ms < cooldown_ms:
                    wanted = has
            elif len(state.minutes) == _BREACHES_LOW and max(state.minutes) < target * _LOW_SHARE:
                wanted = math.ceil(has * max(state.minutes[-1] / target, 0.0))
                if now_ms - max(state.lowered_ms, state.raised_ms) < cooldown_ms:
                    wanted = has
            wanted = min(max(wanted, about.minimum), about.share)
            if wanted != has:
                if wanted > has:
                    state.raised_ms = now_ms
                else:
                    state.lowered_ms = now_ms
                asked[name] = replace(settings[name], concurrency=wanted)
        return asked

    return scale
