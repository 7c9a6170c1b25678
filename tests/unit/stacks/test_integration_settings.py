"""`[integrations.<name>]` can be deployed, or one message says how it becomes so."""

from __future__ import annotations

import json
from typing import Any

import pytest

from stacks.config import ConfigError, parse
from stacks.integration_settings import declared, secrets_of
from stacks.settings_rules import agent_problems

CRM = '[integrations.crm]\nbase_url = "https://api.crm.example/v2"\n'


def message_of(text: str) -> str:
    with pytest.raises(ConfigError) as refusal:
        parse(text)
    return str(refusal.value)


def test_a_file_without_integrations_has_none() -> None:
    assert parse("").integrations == {}
    assert declared(parse("").integrations) == {"integrations": {}}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[integrations.Crm]\n", "line 1: integrations.Crm: 'Crm' is not allowed; allowed: lower-case letters"),
        ("[integrations.crm]\n", "line 1: integrations.crm.base_url: is missing; needed: a text"),
        ("integrations = 3", "line 1: integrations: 3 is not allowed; allowed: tables [integrations.<name>]"),
        ("[integrations]\ncrm = 3", "line 2: integrations.crm: 3 is not allowed; allowed: a table"),
        (CRM + "baseurl = 'x'", "line 3: integrations.crm.baseurl: unknown key; did you mean 'base_url'?"),
        (CRM + "paths = ['x']", "line 3: integrations.crm.paths.0: 'x' is not allowed; allowed: a path"),
        (
            CRM + "paths = ['/a/../b']",
            "line 3: integrations.crm.paths: '/a/../b' is not allowed; allowed: paths without",
        ),
        (
            CRM + "concurrency = 0",
            "line 3: integrations.crm.concurrency: 0 is not allowed; allowed: a whole number from 1",
        ),
        (
            CRM + "concurrency = 2\nconcurrency_per_tenant = 3",
            "line 4: integrations.crm.concurrency_per_tenant: must be at most concurrency (2), not 3",
        ),
        (
            CRM + "idempotency_header = 'a b'",
            "integrations.crm.idempotency_header: 'a b' is not allowed; allowed: the name",
        ),
        (CRM + "retry = 3", "line 3: integrations.crm.retry: 3 is not allowed; allowed: a table"),
        (
            CRM + "[integrations.crm.retry]\nattempt = 3",
            "line 4: integrations.crm.retry.attempt: unknown key; did you mean",
        ),
        (
            CRM + "retry.attempts = 11",
            "line 3: integrations.crm.retry.attempts: 11 is not allowed; allowed: a whole number",
        ),
        (CRM + "retry.base_seconds = 9", "integrations.crm.retry.cap_seconds: must be at least base_seconds (9)"),
        (CRM + "timeouts.total_seconds = 0", "timeouts.total_seconds: 0 is not allowed; allowed: a number above 0"),
        (
            CRM + "timeouts.total_seconds = 5",
            "timeouts.total_seconds: must be at least connect_seconds and read_seconds (10)",
        ),
        (
            CRM + "breaker.failure_rate = 2",
            "breaker.failure_rate: 2 is not allowed; allowed: a number above 0, at most 1",
        ),
        (
            CRM + "breaker.cooldown_seconds = 90",
            "breaker.longest_cooldown_seconds: must be at least cooldown_seconds (90)",
        ),
        (CRM + "limit.burst = 1", "integrations.crm.limit.rate_per_minute: is missing; needed: a whole number"),
        (CRM + "limit_per_agent = 3", "line 3: integrations.crm.limit_per_agent: 3 is not allowed; allowed: a table"),
        (CRM + "auth.scheme = 'bearer'", "integrations.crm.auth.secret: is missing; needed: a text"),
        (CRM + "auth.secret = 'a b'", "auth.secret: 'a b' is not allowed; allowed: the name of a secret"),
        (CRM + "auth.secret = 'crm-a1B2c3'", "auth.secret: must not end in a hyphen and six characters"),
        (
            CRM + "auth = { secret = 's', scheme = 'digest' }",
            "auth.scheme: 'digest' is not allowed; allowed: 'bearer', 'header'",
        ),
        (CRM + "auth = { secret = 's', scheme = 'header' }", 'auth.header: must be given where scheme is "header"'),
        (CRM + "auth = { secret = 's', header = 'X' }", 'auth.header: is not allowed where scheme is "bearer"'),
        (
            CRM + "[agents.a]\nintegrations = ['crn']",
            "agents.a.integrations: no integration is named 'crn'; did you mean 'crm'?",
        ),
        ("[agents.a]\nintegrations = ['crm']", "no integration is named 'crm'; there is no [integrations.<name>]"),
        ("[agents.a]\nintegrations = ['A b']", "agents.a.integrations.0: 'A b' is not allowed; allowed: lower-case"),
        ("[agents.a]\nintegrations = 'crm'", "agents.a.integrations: 'crm' is not allowed; allowed: a list of texts"),
        (
            "[agents.a]\non_open = 'wait'",
            "line 2: agents.a.on_open: 'wait' is not allowed; allowed: 'park' or 'reject'",
        ),
    ],
)
def test_a_wrong_key_is_named_with_its_line_and_what_is_allowed(text: str, said: str) -> None:
    assert said in message_of(text)


def test_locally_an_integration_may_be_on_this_machine() -> None:
    text = CRM + '[local.integrations.crm]\nbase_url = "http://127.0.0.1:8080"\nprivate = true\n'
    assert not parse(text).integrations["crm"].private
    found = parse(text, local=True).integrations["crm"]
    assert (found.base_url, found.private) == ("http://127.0.0.1:8080", True)
    assert "line 4: local.integrations.crm.base_url" in message_of(text.replace("private = true", ""))


def test_what_is_declared_is_json_without_secrets() -> None:
    text = (
        CRM + "auth.secret = 'crm/token'\n[integrations.erp]\nbase_url = 'https://erp.example'\nauth.secret = 'erp'\n"
    )
    fleet = parse(text)
    assert list(json.loads(json.dumps(declared(fleet.integrations)))["integrations"]) == ["crm", "erp"]
    assert secrets_of(fleet.integrations) == ["crm/token", "erp"]


def manifest(*integrations: str) -> dict[str, Any]:
    return {
        "agents": {
            "a.b": {
                "lane": None,
                "timeout_seconds": 60.0,
                "max_attempts": 3,
                "integrations": list(integrations),
                "routes": [],
            }
        }
    }


def test_agents_call_integrations_that_there_are_or_all_of_them() -> None:
    fleet = parse(CRM)
    assert list(agent_problems(fleet, manifest("crm", "*"))) == []
    (problem,) = agent_problems(fleet, manifest("crm", "erp"))
    assert problem.path == ("agents", "a.b", "integrations")
    assert "'erp'" in problem.message
