"""The budgets of `[budgets]` in fleet.toml, as they were shipped with this layer.

What is declared of money is in whole millionths of a dollar here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import Any, Literal

OnSpent = Literal["park", "refuse"]


@dataclass(frozen=True, slots=True)
class TenantDay:
    """What one tenant's calls may cost in a day.

    Attributes:
        cap_micros: None without bound: nothing is counted then.
        parks: Once it is spent, what would cost more waits for the next day; else it is refused.
    """

    cap_micros: int | None = None
    parks: bool = True

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> TenantDay:
        """Read what the deployment wrote."""
        return cls(value["day_micros"], value["on_spent"] == "park")


@dataclass(frozen=True, slots=True)
class DeclaredBudgets:
    """The budgets of tenants.

    Attributes:
        everybody: Of each tenant that has none of its own.
        tenants: By name.
    """

    everybody: TenantDay = TenantDay()
    tenants: Mapping[str, TenantDay] = field(default_factory=dict)

    def of(self, tenant: str) -> TenantDay:
        """A tenant's."""
        return self.tenants.get(tenant, self.everybody)

    @classmethod
    def from_json(cls, text: str) -> DeclaredBudgets:
        """Read what the deployment wrote; members of a later version are ignored."""
        declared = json.loads(text)["budgets"]
        tenants = {name: TenantDay.from_json(value) for name, value in declared["tenants"].items()}
        return cls(TenantDay.from_json(declared["everybody"]), tenants)

    @classmethod
    def deployed(cls) -> DeclaredBudgets:
        """Those that were shipped with this layer; none where it was built without."""
        try:
            return cls.from_json(resources.files("flotilla").joinpath("budgets.json").read_text("utf-8"))
        except FileNotFoundError:
            return cls()
