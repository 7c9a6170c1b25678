"""What the tasks came to that ended in one hour, or in several: by agent, tenant, lane and model.

Hours are UTC's, and a task belongs to the one in which it ended. What is kept of an hour says which objects of the
archive it was made of, so that one that comes late is noticed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from flotilla.primitives.cost_histogram import CostHistogram
from flotilla.primitives.usage_sums import MemoryUse, Sums

HOUR_MS = 3_600_000

GROUPS = ("agent", "model", "tenant", "lane")
"""What usage is told by."""

OTHERS = "~others"
"""Stands for whoever came after `MOST_OF_A_KIND` others in one hour."""

MOST_OF_A_KIND = 5000

UNNAMED = "~unnamed"
"""Stands for models of which only what they cost was recorded."""

_VERSION = 1


def hour_of(at_ms: int) -> int:
    """When the hour began that a time is in."""
    return at_ms - at_ms % HOUR_MS


def digest_of(keys: Iterable[str]) -> str:
    """Says which objects something was made of."""
    return hashlib.sha256("\n".join(sorted(keys)).encode()).hexdigest()[:32]


@dataclass(slots=True)
class UsageHour:
    """What tasks came to.

    Attributes:
        begins_ms: The hour's first moment.
        objects: How many objects of the archive this was made of.
        digest: Which.
        total: Of all tasks.
        groups: Of those of each agent, tenant, lane; of each model what calls to it came to.
        memory: By lane, of the attempts that ran with so much memory (in MB).
        costs: How what tasks cost is spread.
    """

    begins_ms: int
    objects: int = 0
    digest: str = ""
    total: Sums = field(default_factory=Sums)
    groups: dict[str, dict[str, Sums]] = field(default_factory=lambda: {group: {} for group in GROUPS})
    memory: dict[str, dict[int, MemoryUse]] = field(default_factory=dict)
    costs: CostHistogram = field(default_factory=CostHistogram)

    def add(self, group: str, name: str, sums: Sums) -> None:
        """Add what a member of a group used."""
        held = self.groups[group]
        found = held.get(name)
        if found is None:
            name = name if len(held) < MOST_OF_A_KIND else OTHERS
            found = held.setdefault(name, Sums())
        found.add(sums)

    def used(self, lane: str, memory_mb: int, use: MemoryUse) -> None:
        """Add what attempts of a lane did that ran with so much memory."""
        self.memory.setdefault(lane, {}).setdefault(memory_mb, MemoryUse()).add(use)

    def merge(self, other: UsageHour) -> None:
        """Add another hour's."""
        self.objects += other.objects
        self.total.add(other.total)
        for group, members in other.groups.items():
            held = self.groups.setdefault(group, {})
            for name, sums in members.items():
                held.setdefault(name, Sums()).add(sums)
        for lane, sizes in other.memory.items():
            for memory_mb, use in sizes.items():
                self.used(lane, memory_mb, use)
        self.costs.merge(other.costs)

    def to_json(self) -> dict[str, Any]:
        """The form in which it is kept."""
        return {
            "version": _VERSION,
            "begins_ms": self.begins_ms,
            "objects": self.objects,
            "digest": self.digest,
            "total": self.total.to_json(),
            "groups": {
                group: {name: sums.to_json() for name, sums in sorted(members.items())}
                for group, members in self.groups.items()
            },
            "memory": {
                lane: {str(memory_mb): use.to_json() for memory_mb, use in sorted(sizes.items())}
                for lane, sizes in sorted(self.memory.items())
            },
            "costs": self.costs.to_json(),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> UsageHour:
        """Read what `to_json` wrote.

        Raises:
            KeyError, TypeError, ValueError: It is none.
        """
        groups = {
            group: {name: Sums.from_json(sums) for name, sums in members.items()}
            for group, members in value["groups"].items()
        }
        return cls(
            begins_ms=int(value["begins_ms"]),
            objects=int(value["objects"]),
            digest=str(value["digest"]),
            total=Sums.from_json(value["total"]),
            groups={group: {} for group in GROUPS} | groups,
            memory={
                lane: {int(memory_mb): MemoryUse.from_json(use) for memory_mb, use in sizes.items()}
                for lane, sizes in value["memory"].items()
            },
            costs=CostHistogram.from_json(value["costs"]),
        )
