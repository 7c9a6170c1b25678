"""What a task used, from what its attempts say that they used.

Models are paid for by every attempt that calls them, so what was used of them adds up over all of them, those that
failed or were parked included. What died with its process said nothing. Times are those of the attempt that ended the
task: `started_at` and `finished_at` tell the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MOST_FAILOVERS = 10

_ADDED_UP = ("model_calls", "input_tokens", "output_tokens")
_COST = "cost_usd"
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
    models = {*_ADDED_UP, _COST, _FAILOVERS}
    times = {name: value for name, value in (usage if ended else before).items() if name not in models}
    counted = {name: before.get(name, 0) + usage.get(name, 0) for name in _ADDED_UP if name in before or name in usage}
    if _COST in before or _COST in usage:
        counted[_COST] = round(before.get(_COST, 0.0) + usage.get(_COST, 0.0), 6)
    if failovers := [*before.get(_FAILOVERS, ()), *usage.get(_FAILOVERS, ())]:
        counted[_FAILOVERS] = failovers[:MOST_FAILOVERS]
    return times | counted
