"""`[models.<name>]` and `[routes.<name>]` can be deployed, or one message says how they become so."""

from __future__ import annotations

import json
from typing import Any

import pytest

from flotilla.llm.declaration import Price, routes_in
from stacks.config import ConfigError, parse
from stacks.model_settings import ModelServer, declared, invoked, secrets_of
from stacks.settings_model import Fleet
from stacks.settings_rules import agent_problems

HAIKU = '[models.haiku]\nid = "us.anthropic.claude-haiku-4-5-20251001-v1:0"\n'
FAST = HAIKU + '[routes.fast]\nmodels = ["haiku"]\n'
OPENAI = '[models.mini]\nprovider = "openai"\nid = "gpt-5-mini"\n'
AT_HOME = '[models.mine]\nprovider = "openai"\nid = "llama3.2:3b"\nprivate = true\nbase_url = "http://127.0.0.1:9/v1"\n'


def message_of(text: str) -> str:
    with pytest.raises(ConfigError) as refusal:
        parse(text)
    return str(refusal.value)


def told(fleet: Fleet) -> Any:
    return declared(fleet.models, fleet.routes)


def test_a_file_without_models_has_none() -> None:
    assert told(parse("")) == {"models": {}, "routes": {}}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[models.haiku]\n", "line 1: models.haiku.id: is missing; needed: a text"),
        ("[models.Haiku]\n", "line 1: models.Haiku: 'Haiku' is not allowed; allowed: lower-case letters"),
        ("models = 3", "line 1: models: 3 is not allowed; allowed: tables [models.<name>]"),
        ("routes = 3", "line 1: routes: 3 is not allowed; allowed: tables [routes.<name>]"),
        (HAIKU + "qualty = 'low'", "models.haiku.qualty: unknown key; did you mean 'quality'?"),
        (HAIKU + "quality = 'best'", "models.haiku.quality: 'best' is not allowed; allowed: 'low', 'medium' or 'high'"),
        (HAIKU + "price.input = 3", "models.haiku.price.input: unknown key; did you mean 'input_usd'?"),
        (HAIKU + "requests = 3", "line 3: models.haiku.requests: 3 is not allowed; allowed: a table"),
        (HAIKU + "base_url = 'https://x.example'", 'models.haiku.base_url: is not allowed where provider is "bedrock"'),
        (HAIKU + "secret = 'a'", 'models.haiku.secret: is not allowed where provider is "bedrock"'),
        (HAIKU + "private = true", "models.haiku.private: must be false where provider is"),
        (
            HAIKU + "structured = 'json'",
            "models.haiku.structured: 'json' is not allowed; allowed: schema, tool, prompt",
        ),
        (HAIKU + "breaker.cooldown_seconds = 100", "breaker.longest_cooldown_seconds: must be at least"),
        ("[models.x]\nid = 'a b'", "models.x.id: 'a b' is not allowed; allowed: the id that the provider has"),
        ("[models.x]\nid = 'llama3.2:3b'", "models.x.price: is missing: no price is known of 'llama3.2:3b'"),
        ("[models.x]\nid = 'a/b.c'", "models.x.id: 'a/b.c' is not allowed; allowed: the id of a model or an inference"),
        (OPENAI, 'models.mini.base_url: is missing; needed where provider is "openai"'),
        (OPENAI + "base_url = 'http://x.example/v1'", "models.mini.base_url: 'http://x.example/v1' is not allowed"),
        (OPENAI + "base_url = 'https://x.example/v1'", "models.mini.price: is missing: no price is known"),
        (AT_HOME + "secret = 'key-abcdef'", "models.mine.secret: must not end in a hyphen and six characters"),
        ("[routes.fast]\nmodels = ['haiku']", "no model is named 'haiku'; there is no [models.<name>]"),
        (FAST + "[routes.b]\nmodels = ['haiko']", "routes.b.models: no model is named 'haiko'; did you mean 'haiku'?"),
        (FAST + "[routes.b]\nmodels = []", "routes.b.models: [] is not allowed; allowed: a list of 1 to 10 texts"),
        (FAST + "[routes.b]\nmodels = ['haiku', 'haiku']", "allowed: each model once"),
        (FAST + "min_quality = 'high'", "routes.fast.min_quality: is not allowed: none of its models is of quality"),
        (FAST + "rounds = 0", "routes.fast.rounds: 0 is not allowed; allowed: a whole number from 1 to 5"),
        (FAST + "[agents.'a.b']\nroutes = ['fats']", "agents.\"a.b\".routes: no route is named 'fats'; did you mean"),
        (FAST + "[agents.'a.b']\nroutes = ['F']", "agents.\"a.b\".routes.0: 'F' is not allowed; allowed: lower-case"),
    ],
)
def test_what_is_wrong_is_named_with_its_line_and_what_is_allowed(text: str, said: str) -> None:
    assert said in message_of(text)


@pytest.mark.parametrize(("routes", "problems"), [(["fast"], 0), (["*"], 0), ([], 0), (["slow"], 1)])
def test_agents_call_routes_that_there_are_or_all_of_them(routes: list[str], problems: int) -> None:
    declared_by = {"lane": None, "timeout_seconds": 60.0, "max_attempts": 3, "integrations": [], "routes": routes}
    assert len(list(agent_problems(parse(FAST), {"agents": {"a.b": declared_by}}))) == problems


def test_what_is_declared_is_what_the_functions_read() -> None:
    text = FAST + "timeout_seconds = 12.5\n" + "[models.haiku.requests]\nrate_per_minute = 60\nburst = 9\n"
    (route,) = routes_in(json.dumps(told(parse(text)))).values()
    (model,) = route.models
    assert (route.name, route.timeout_ms, route.rounds, route.quality) == ("fast", 12_500, 2, "low")
    assert (model.provider, model.id) == ("bedrock", "us.anthropic.claude-haiku-4-5-20251001-v1:0")
    assert model.requests is not None
    assert (model.requests.rate_per_minute, model.requests.burst, model.tokens) == (60, 9, None)
    assert model.breaker is not None
    assert model.breaker.probe_lease_ms > route.timeout_ms


def test_prices_and_lengths_that_the_file_does_not_say_are_looked_up() -> None:
    found = told(parse(FAST))["models"]["haiku"]
    assert found["price"] == {"input": 1_100_000, "output": 5_500_000, "cached_input": 110_000}
    assert found["context_tokens"] == 200_000


def test_prices_that_the_file_says_are_taken() -> None:
    text = HAIKU + "context_tokens = 10\nprice = { input_usd = 0.1, output_usd = 0.0000004 }\n"
    found = told(parse(text))["models"]["haiku"]
    assert found["price"] == {"input": 100_000, "output": 1, "cached_input": 100_000}
    assert found["context_tokens"] == 10


def test_a_server_of_ones_own_costs_nothing() -> None:
    (model,) = told(parse(AT_HOME))["models"].values()
    assert Price(*model["price"].values()) == Price(0, 0, 0)


def test_what_is_invoked_on_bedrock_and_what_lies_behind_inference_profiles() -> None:
    text = "".join(
        f'[models.m{number}]\nid = "{each}"\nprice = {{ input_usd = 1, output_usd = 1 }}\n'
        for number, each in enumerate(
            ("amazon.nova-lite-v1:0", "eu.amazon.nova-lite-v1:0", "global.openai.gpt-5.6-luna", "openai.gpt-5.6-luna")
        )
    )
    assert invoked(parse(text + AT_HOME).models) == (
        ["amazon.nova-lite-v1:0", "openai.gpt-5.6-luna"],
        {"eu.amazon.nova-lite-v1:0": "amazon.nova-lite-v1:0", "global.openai.gpt-5.6-luna": "openai.gpt-5.6-luna"},
    )


def test_secrets_are_those_that_models_name_each_once() -> None:
    text = "".join(AT_HOME.replace("mine", name) + 'secret = "key"\n' for name in ("a", "b"))
    assert secrets_of(parse(text).models) == ["key"]


def test_one_server_takes_the_place_of_all_providers_on_the_engine_only() -> None:
    server = ModelServer("http://127.0.0.1:11434/v1", "llama3.2")
    text = FAST + OPENAI + 'base_url = "https://api.openai.com/v1"\nsecret = "openai/key"\n'
    local = parse(text, local=True, model_server=server)
    for model in local.models.values():
        assert (model.provider, model.base_url, model.id) == ("openai", server.url, "llama3.2")
        assert (model.private, model.secret) == (True, None)
    assert {model["price"]["input"] for model in told(local)["models"].values()} == {0}
    assert local.routes == parse(text).routes
    assert parse(text, model_server=server).models == parse(text).models
    by_their_ids = parse(text, local=True, model_server=ModelServer(server.url)).models
    assert by_their_ids["mini"].id == "gpt-5-mini"


def test_a_server_that_cannot_be_called_is_refused() -> None:
    with pytest.raises(ConfigError, match="base_url"):
        parse(FAST, local=True, model_server=ModelServer("localhost:11434"))
