"""A declared load that cannot be carried is refused, with the key and the numbers."""

from __future__ import annotations

import pytest

from stacks.config import ConfigError, parse

LOAD = "[load.standard]\nrate_per_minute = {rate}\nseconds = {seconds}\n"


def declared(rate: float = 10_000, seconds: float = 6, more: str = "", above: str = "") -> str:
    return above + LOAD.format(rate=rate, seconds=seconds) + more


def said_of(text: str) -> str:
    with pytest.raises(ConfigError) as raised:
        parse(text)
    return str(raised.value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        declared(),
        declared(20_000, 6, above="[background]\nmemory_mb = 1024\n"),
        declared(sessions := 10_000, 6, more=f"sessions = {sessions}\n"),
        declared(600_000, 0.2, more="submit_batch = 100\ntenants = 50\n"),
    ],
)
def test_a_load_that_fits_is_no_mistake(text: str) -> None:
    parse(text)


def test_more_work_at_once_than_the_lane_has_invocations_for() -> None:
    said = said_of(declared(10_000, 30))
    assert "line 2: load.standard.rate_per_minute: 10,000 tasks a minute of 30 s are 5,000 at once" in said
    assert "500 invocations with full batches of 10" in said
    assert "lanes.standard.maximum_concurrency = 200 carries 4,000 a minute at the most" in said
    assert "Needed: maximum_concurrency = 625" in said


def test_more_than_any_lane_can_have_is_told_by_lanes() -> None:
    assert "62,500 invocations at once, so 63 lanes" in said_of(declared(1_000_000, 30))


def test_the_raise_that_is_asked_for_is_enough() -> None:
    above = "[lanes.critical]\n[lanes.standard]\nmaximum_concurrency = 625\n[lanes.batch]\n"
    parse(declared(10_000, 30, above=above))


def test_too_few_sessions_for_the_work_in_them() -> None:
    said = said_of(declared(more="sessions = 500\n"))
    assert "load.standard.sessions: 10,000 tasks a minute of 6 s in 500 sessions are 2.00 at once in each" in said
    assert "at least 1,250 sessions" in said


def test_one_session_with_more_sends_than_a_partition_takes() -> None:
    said = said_of(declared(30_000, 0.001, more="sessions = 1\nsubmit_batch = 100\n"))
    assert "sends to one message group: the load needs 500 calls a second, it takes 300" in said


@pytest.mark.parametrize(
    ("key", "value"), [("seconds", "seconds = 180"), ("slowest_seconds", "seconds = 6\nslowest_seconds = 200")]
)
def test_a_task_that_outlasts_the_lanes_invocations(key: str, value: str) -> None:
    said = said_of(f"[load.standard]\nrate_per_minute = 1\n{value}\n")
    assert f"load.standard.{key}: must be below lanes.standard.timeout_seconds (180)" in said


def test_more_submits_than_the_api_lets_through() -> None:
    said = said_of(declared(60_000, 1))
    assert "API: requests: the load needs 1,000 requests a second, api.rate_per_second allows 500" in said
    assert "api.rate_per_second = 1300, or submit up to 100 tasks a call" in said


def test_an_account_that_is_too_small_for_what_the_load_takes() -> None:
    above = (
        "[runtime]\naccount_concurrency = 700\n[lanes.critical]\n[lanes.standard]\n"
        "maximum_concurrency = 390\n[lanes.batch]\n"
    )
    said = said_of(declared(8_000, 30, above=above))  # 400 invocations, 150 of other lanes, the others, 100 unreserved
    assert "load.standard.rate_per_minute: 8,000 tasks a minute of 30 s are 4,000 at once" in said


def test_one_tenant_with_more_entries_than_its_keys_take() -> None:
    said = said_of(declared(600_000, 0.2, more="submit_batch = 100\nslowest_seconds = 2\n"))
    assert "shares of a tenant's entries" in said
    assert "it takes 1,000" in said


def test_one_budget_for_a_busy_tenant() -> None:
    above = "[budgets]\ntenant_day_usd = 50\n"
    said = said_of(declared(more="model_calls = 1\ncall_seconds = 3\n", above=above))
    assert "a tenant's day's budget: the load needs 6,608 write units a second, it takes 1,000" in said
    parse(declared(more="model_calls = 1\ncall_seconds = 3\ntenants = 100\n", above=above))


def test_one_limit_with_more_submits_than_its_key_takes() -> None:
    above = "[limits]\ntenant = { rate_per_minute = 5000000, burst = 1000 }\n[api]\nrate_per_second = 10000\n"
    said = said_of(declared(90_000, 0.5, above=above))
    assert "a tenant's limit of submits: the load needs 1,500 write units a second, it takes 1,000" in said


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("[limits]\nclient = { rate_per_minute = 7000000, burst = 100 }\n", "limits.client.rate_per_minute"),
        ("[limits]\ntenant = { rate_per_minute = 7000000, burst = 100 }\n", "limits.tenant.rate_per_minute"),
        (
            '[agents."a.b"]\nlimit = { rate_per_minute = 7000000, burst = 100 }\n',
            'agents."a.b".limit.rate_per_minute',
        ),
    ],
)
def test_a_limit_that_its_own_key_could_not_count(text: str, key: str) -> None:
    assert f"{key}: must be at most 6,000,000, not 7,000,000" in said_of(text)


def test_more_tasks_than_the_tenant_may_submit() -> None:
    above = "[limits]\ntenant = { rate_per_minute = 6000, burst = 1000 }\n"
    assert "the load needs 167 tasks a second, limits.tenant.rate_per_minute allows 100" in said_of(
        declared(above=above)
    )


def test_more_calls_than_a_model_and_an_integration_let_through() -> None:
    above = (
        '[models.haiku]\nid = "us.anthropic.claude-haiku-4-5-20251001-v1:0"\n'
        "requests = { rate_per_minute = 15000, burst = 250 }\n"
        '[integrations.crm]\nbase_url = "https://api.crm.example"\nconcurrency = 50\n'
        "limit = { rate_per_minute = 9000, burst = 60 }\n"
    )
    said = said_of(declared(more="model_calls = 2\nintegration_calls = { crm = 4 }\n", above=above))
    assert "model haiku: requests: the load needs 20,000 requests a minute" in said
    assert "models.haiku.requests.rate_per_minute allows 15,000" in said
    assert "integration crm: calls: the load needs 40,000 calls a minute" in said
    assert "the slots of integration crm: the load needs 1,333 write units a second, it takes 1,000" in said


def test_more_delayed_tasks_than_a_tier_has_room_for() -> None:
    above = "[api]\nrate_per_second = 5000\n"
    said = said_of(declared(40_000, 1, more="delayed_share = 1.0\ndelay_seconds = 400\n", above=above))
    assert "messages held in place: the load needs 186,667 messages, it takes 120,000" in said
    assert "delays.tiers_seconds" in said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[load.night]\nrate_per_minute = 1\nseconds = 1\n", "load.night: no lane is named 'night'"),
        (declared(more='model = "gpt"\n'), "load.standard.model: no model is named 'gpt'"),
        (declared(more="integration_calls = { crm = 1 }\n"), "no integration is named 'crm'"),
        ("[load.standard]\nrate_per_minute = 1\n", "load.standard.seconds: is missing"),
        (declared(more="second = 3\n"), "did you mean 'seconds'?"),
        (declared(0), "load.standard.rate_per_minute: 0 is not allowed"),
    ],
)
def test_what_is_declared_wrongly_is_named(text: str, said: str) -> None:
    assert said in said_of(text)


def test_quotas_of_aws_and_times_measured_elsewhere_fail_nothing() -> None:
    # 20,000 write units a second of a quick task are 60,000 of a table's 40,000: AWS raises that.
    parse(declared(1_200_000, 0.09, more="submit_batch = 100\ntenants = 100\n"))


def test_the_engine_on_a_laptop_need_not_carry_it() -> None:
    assert parse(declared(20_000, 6), local=True).lanes["standard"].maximum_concurrency == 3


def test_a_plan_reads_what_synth_refuses() -> None:
    assert parse(declared(10_000, 30), must_carry=False).load["standard"].seconds == 30
