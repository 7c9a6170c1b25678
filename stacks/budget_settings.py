"""`[budgets]` of `fleet.toml`: what the calls of a tenant's tasks may cost in a day.

What a single task may cost is its client's to say, or its agent's (`budget_usd`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import Field

from stacks.settings_section import Section

Dollars = Annotated[float, Field(gt=0, le=1_000_000)]

TenantName = Annotated[str, Field(pattern=r"^[^\x00-\x1f#]+$", max_length=128)]

OnSpent = Literal["park", "refuse"]

_DIGITS = 6


class TenantBudget(Section):
    """One tenant's.

    Attributes:
        tenant_day_usd: What its tasks' calls may cost in a day, by UTC; None for what everybody has.
        on_spent: What becomes of a task whose call would cost more: `park`, it waits for the next day; `refuse`, it
            fails. None for what everybody has.
        unlimited: It has no bound at all.
    """

    tenant_day_usd: Dollars | None = None
    on_spent: OnSpent | None = None
    unlimited: bool = False


class Budgets(Section):
    """What tenants may spend; without a bound nothing is counted, and calls pay no writes for it.

    Attributes:
        tenant_day_usd: Of each tenant that has none of its own; None for no bound.
        on_spent: See `TenantBudget`.
        tenants: By name.
    """

    tenant_day_usd: Dollars | None = None
    on_spent: OnSpent = "park"
    tenants: Mapping[TenantName, TenantBudget] = Field(default_factory=dict)


def mistakes(budgets: Budgets, agents: Mapping[str, float | None]) -> Iterator[tuple[tuple[str, ...], str]]:
    """What is wrong with budgets whose keys are each valid by themselves: the key, and what is allowed.

    Args:
        budgets: The section.
        agents: What is set of agents' tasks, by agent.
    """
    yield from _digits(("budgets", "tenant_day_usd"), budgets.tenant_day_usd)
    for name, usd in agents.items():
        yield from _digits(("agents", name, "budget_usd"), usd)
    for name, tenant in budgets.tenants.items():
        path = ("budgets", "tenants", name)
        yield from _digits((*path, "tenant_day_usd"), tenant.tenant_day_usd)
        if tenant.unlimited and tenant.tenant_day_usd is not None:
            yield (*path, "unlimited"), "must be false where tenant_day_usd is given"


def _digits(path: tuple[str, ...], usd: float | None) -> Iterator[tuple[tuple[str, ...], str]]:
    if usd is not None and Decimal(repr(usd)) % Decimal(10) ** -_DIGITS:
        yield path, f"{usd!r} is not allowed; allowed: at most {_DIGITS} digits after the point"


def declared(budgets: Budgets) -> dict[str, Any]:
    """What the functions are told of them, in the library's layer; money is in whole millionths of a dollar."""
    everybody = TenantBudget(tenant_day_usd=budgets.tenant_day_usd, on_spent=budgets.on_spent)
    tenants = {name: _declared(budgets.tenants[name], budgets) for name in sorted(budgets.tenants)}
    return {"budgets": {"everybody": _declared(everybody, budgets), "tenants": tenants}}


def _declared(tenant: TenantBudget, everybody: Budgets) -> dict[str, Any]:
    usd = None if tenant.unlimited else tenant.tenant_day_usd or everybody.tenant_day_usd
    return {
        "day_micros": None if usd is None else round(usd * 10**_DIGITS),
        "on_spent": tenant.on_spent or everybody.on_spent,
    }
