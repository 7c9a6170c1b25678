"""What a task used, from what its attempts say that they used.

Every attempt is paid for, so what they cost adds up over all of them, those that failed or were parked included:
models, and what the process cost. What died with its process said nothing. Times and memory are those of the attempt
that ended the task: `started_at` and `finished_at` tell the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MOST_FAILOVERS = 10

_ADDED_UP = ("model_calls", "input_tokens", "output_tokens")
_COSTS = {"cost_usd": 6, "compute_usd": 9}
"""In dollars, with so many digits after the point."""

_MODELS = "models"
_FAILOVERS = "failovers"


def added_up(before: Mapping[str, Any], usage: Mapping[str, Any] | None, *, ended: bool) -> dict[str, Any]:
    """The usage after an event.

    Args:
        before: What was used before.
        usage: What the event says; None where it says nothing.
        ended: The event ends the task: what it says of time is the task's.
    """
    if usage is None:
        return dict(before)
    summed = {*_ADDED_UP, *_COSTS, _MODELS, _FAILOVERS}
    times = {name: value for name, value in (usage if ended else before).items() if name not in summed}
    counted: dict[str, Any] = _counted(before, usage)
    if _MODELS in before or _MODELS in usage:
        named: Mapping[str, Any] = before.get(_MODELS, {})
        also: Mapping[str, Any] = usage.get(_MODELS, {})
        counted[_MODELS] = {
            name: _summed(named.get(name, {}), also.get(name, {})) for name in sorted(named.keys() | also.keys())
        }
    if failovers := [*before.get(_FAILOVERS, ()), *usage.get(_FAILOVERS, ())]:
        counted[_FAILOVERS] = failovers[:MOST_FAILOVERS]
    return times | counted


def _counted(before: Mapping[str, Any], usage: Mapping[str, Any]) -> dict[str, Any]:
    counted = {name: before.get(name, 0) + usage.get(name, 0) for name in _ADDED_UP if name in before or name in usage}
    for name, digits in _COSTS.items():
        if name in before or name in usage:
            counted[name] = round(before.get(name, 0.0) + usage.get(name, 0.0), digits)
    return counted


def _summed(model: Mapping[str, Any], also: Mapping[str, Any]) -> dict[str, Any]:
    """What was used of one model: its counts and what it cost, whatever else a later version counts."""
    return {name: round(model.get(name, 0) + also.get(name, 0), 6) for name in sorted(model.keys() | also.keys())}
