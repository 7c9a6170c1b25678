"""How what many tasks cost is spread among them: a histogram whose steps grow with the cost.

Each step holds how many tasks cost so much, and what they cost together. So the sum is exact, and the share of the
dearest tasks is as exact as tasks within one step are alike: their costs differ by less than a tenth.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

STEPS_IN_DOUBLE = 8
"""So many steps lead to twice the cost."""

_FREE = -1
"""The step of what costs nothing."""


@dataclass(slots=True)
class CostHistogram:
    """Costs in nanodollars, by steps.

    Attributes:
        steps: Of each step the number of tasks, and what they cost together.
    """

    steps: dict[int, tuple[int, int]] = field(default_factory=dict)

    def add(self, nanos: int) -> None:
        """Count a task that cost so much."""
        self._add(step_of(nanos), 1, nanos)

    def merge(self, other: CostHistogram) -> None:
        """Count all that `other` has counted."""
        for step, (tasks, nanos) in other.steps.items():
            self._add(step, tasks, nanos)

    def _add(self, step: int, tasks: int, nanos: int) -> None:
        before = self.steps.get(step, (0, 0))
        self.steps[step] = (before[0] + tasks, before[1] + nanos)

    @property
    def tasks(self) -> int:
        """How many there are."""
        return sum(tasks for tasks, _ in self.steps.values())

    @property
    def nanos(self) -> int:
        """What they cost together."""
        return sum(nanos for _, nanos in self.steps.values())

    def share_of_dearest(self, task_share: float) -> float | None:
        """What part of the whole cost the dearest tasks made.

        Args:
            task_share: What part of the tasks: 0.1 for the dearest tenth.

        Returns:
            Between 0 and 1; None where nothing cost anything.
        """
        whole = self.nanos
        if whole <= 0:
            return None
        left, made = self.tasks * task_share, 0.0
        for step in sorted(self.steps, reverse=True):
            tasks, nanos = self.steps[step]
            taken = min(left, tasks)
            made += nanos * taken / tasks
            left -= taken
            if left <= 0:
                break
        return min(1.0, made / whole)

    def tasks_for(self, cost_share: float) -> float | None:
        """What part of the tasks, the dearest first, made so much of the whole cost; None where nothing had a cost."""
        whole = self.nanos
        if whole <= 0:
            return None
        left, taken = whole * cost_share, 0.0
        for step in sorted(self.steps, reverse=True):
            tasks, nanos = self.steps[step]
            if nanos >= left:
                return (taken + tasks * left / nanos) / self.tasks if nanos else taken / self.tasks
            left -= nanos
            taken += tasks
        return 1.0

    def to_json(self) -> dict[str, list[int]]:
        """The form in which it is kept."""
        return {str(step): list(held) for step, held in sorted(self.steps.items())}

    @classmethod
    def from_json(cls, value: Mapping[str, list[int]]) -> CostHistogram:
        """Read what `to_json` wrote."""
        return cls({int(step): (tasks, nanos) for step, (tasks, nanos) in value.items()})


def step_of(nanos: int) -> int:
    """The step that a cost is on."""
    return _FREE if nanos <= 0 else int(math.log2(nanos) * STEPS_IN_DOUBLE)
