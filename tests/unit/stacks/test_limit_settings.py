"""`[limits]` and the `limit` of agents: what is allowed, and what functions are told of it."""

from __future__ import annotations

import json

import pytest

from flotilla.limits.declaration import declared_in
from flotilla.primitives.token_bucket import Limit
from stacks.config import ConfigError, parse
from stacks.limit_settings import declared

LIMITS = """
[limits]
client = { rate_per_minute = 600, burst = 100 }
tenant = { rate_per_minute = 3000, burst = 500 }

[agents."document.analyze"]
limit = { rate_per_minute = 60, burst = 6 }
"""


def told(text: str) -> dict[str, Limit]:
    fleet = parse(text)
    return declared_in(json.dumps(declared(fleet.limits, fleet.agents)))


def test_a_file_without_limits_has_none() -> None:
    assert told("") == {}
    assert told('[agents."document.analyze"]\nlane = "batch"') == {}


def test_functions_are_told_of_each_limit_by_the_name_it_is_asked_for() -> None:
    assert told(LIMITS) == {
        "client": Limit(600, 100),
        "tenant": Limit(3000, 500),
        "agent#document.analyze": Limit(60, 6),
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[limits]\nkey = 3", "line 2: limits.key: unknown key; allowed: client, tenant"),
        ("[limits]\nclient = 3", "line 2: limits.client: 3 is not allowed; allowed: a table"),
        ("[limits]\nclient = { burst = 1 }", "limits.client.rate_per_minute: is missing; needed: a whole number"),
        (
            "[limits.tenant]\nrate_per_minute = 0\nburst = 1",
            "line 2: limits.tenant.rate_per_minute: 0 is not allowed; allowed: a whole number from 1 to 10000000",
        ),
        (
            "[limits.tenant]\nrate_per_minut = 1\nburst = 1",
            "line 2: limits.tenant.rate_per_minut: unknown key; did you mean 'rate_per_minute'?",
        ),
        ('[agents."a"]\nlimit = 3', "agents.a.limit: 3 is not allowed; allowed: a table"),
        (
            '[agents."a"]\nlimit = { rate_per_minute = 1, burst = 1.5 }',
            "agents.a.limit.burst: 1.5 is not allowed; allowed: a whole number from 1 to 10000000",
        ),
    ],
)
def test_what_is_wrong_is_named_with_what_is_allowed(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        parse(text)
    assert said in str(refusal.value)
