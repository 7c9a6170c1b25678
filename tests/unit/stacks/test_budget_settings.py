"""`[budgets]` can be deployed, or one message says how it becomes so."""

from __future__ import annotations

import pytest

from stacks.budget_settings import declared
from stacks.config import ConfigError, parse


def test_a_file_without_budgets_bounds_nobody() -> None:
    everybody = {"day_micros": None, "on_spent": "park"}
    assert declared(parse("").budgets) == {"budgets": {"everybody": everybody, "tenants": {}}}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[budgets]\ntenant_day_usd = 0", "line 2: budgets.tenant_day_usd: 0 is not allowed; allowed: a number above"),
        ("[budgets]\ntenant_day_usd = '5'", "budgets.tenant_day_usd: '5' is not allowed; allowed: a number"),
        ("[budgets]\ntenant_day_usd = 0.0000001", "1e-07 is not allowed; allowed: at most 6 digits after the point"),
        ("[budgets]\non_spent = 'wait'", "budgets.on_spent: 'wait' is not allowed; allowed: 'park' or 'refuse'"),
        ("[budgets]\nday = 1", "line 2: budgets.day: unknown key; allowed: on_spent, tenant_day_usd, tenants"),
        ("[budgets]\ntenants = 1", "budgets.tenants: 1 is not allowed; allowed: tables [budgets.tenants"),
        ("[budgets.tenants]\nacme = 5", "line 2: budgets.tenants.acme: 5 is not allowed; allowed: a table"),
        ("[budgets.tenants.acme]\nday_usd = 5", "budgets.tenants.acme.day_usd: unknown key; did you mean 'tenant_day"),
        ("[budgets.tenants.acme]\ntenant_day_usd = -1", "line 2: budgets.tenants.acme.tenant_day_usd: -1 is not"),
        ("[budgets.tenants.'a#b']\nunlimited = true", "'a#b' is not allowed; allowed: the name of a tenant"),
        (
            "[budgets.tenants.acme]\ntenant_day_usd = 1\nunlimited = true",
            "line 3: budgets.tenants.acme.unlimited: must be false where tenant_day_usd is given",
        ),
        ("[agents.echo]\nbudget_usd = 0", "line 2: agents.echo.budget_usd: 0 is not allowed; allowed: a number above"),
        ("[agents.echo]\nbudget_usd = 1.2345678", "line 2: agents.echo.budget_usd: 1.2345678 is not allowed"),
    ],
)
def test_a_mistake_is_named_with_its_line_and_what_is_allowed(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        parse(text)
    assert said in str(refusal.value)
