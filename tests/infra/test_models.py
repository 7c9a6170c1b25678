"""What a fleet with models deploys: the library knows them, and workers may invoke exactly these."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flotilla.llm.declaration import routes_in
from tests.infra.test_permissions import granted, statements
from tests.synthesis import ACCOUNT, REGION, REPOSITORY, Templates, synthesize

LANES = ("critical", "standard", "batch")
BEDROCK = "arn:aws:bedrock"
PROFILE = f"{BEDROCK}:{REGION}:{ACCOUNT}:inference-profile/us.anthropic.claude-haiku-4-5-20251001-v1:0"

MORE = """
[models.haiku]
id = "us.anthropic.claude-haiku-4-5-20251001-v1:0"

[models.nova]
id = "amazon.nova-lite-v1:0"

[models.mini]
provider = "openai"
base_url = "https://api.openai.com/v1"
id = "gpt-5-mini"
secret = "openai/key"

[routes.fast]
models = ["haiku", "nova", "mini"]

[agents."document.analyze"]
routes = ["fast"]
"""


@pytest.fixture(scope="module")
def modelled(tmp_path_factory: pytest.TempPathFactory) -> Templates:
    folder = tmp_path_factory.mktemp("modelled")
    settings = folder / "fleet.toml"
    text = (REPOSITORY / "fleet.toml").read_text(encoding="utf-8")
    settings.write_text(text + MORE, encoding="utf-8")
    return Templates(synthesize(folder / "assembly", settings=settings))


def library(templates: Templates) -> Path:
    layers = templates.resources("AWS::Lambda::LayerVersion")
    return next(layer.asset for layer in layers if "LayersFlotilla" in layer.logical_id) / "python" / "flotilla"


def routes_of(templates: Templates) -> dict[str, Any]:
    return dict(routes_in((library(templates) / "llm" / "declared.json").read_text(encoding="utf-8")))


@pytest.mark.parametrize("lane", LANES)
def test_workers_may_invoke_the_models_that_are_declared_and_no_others(
    modelled: Templates, templates: Templates, lane: str
) -> None:
    name = f"flotilla-worker-{lane}"
    assert granted(modelled, name) - granted(templates, name) == {
        ("bedrock:InvokeModel", f"{BEDROCK}:{REGION}::foundation-model/amazon.nova-lite-v1:0"),
        ("bedrock:InvokeModel", PROFILE),
        ("bedrock:InvokeModel", f"{BEDROCK}:*::foundation-model/anthropic.claude-haiku-4-5-20251001-v1:0"),
        ("secretsmanager:GetSecretValue", f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:openai/key-??????"),
    }


def test_what_lies_behind_an_inference_profile_is_invoked_through_it_only(modelled: Templates) -> None:
    (behind,) = [
        each
        for each in statements(modelled, "flotilla-worker-standard")
        if any(resource.startswith(f"{BEDROCK}:*") for resource in each.resources)
    ]
    assert behind.condition == {"StringEquals": {"bedrock:InferenceProfileArn": PROFILE}}


def test_nobody_else_may_invoke_models(modelled: Templates) -> None:
    for function in modelled.resources("AWS::Lambda::Function"):
        name = function.properties["FunctionName"]
        actions = {action for action, _ in granted(modelled, name)}
        assert name.startswith("flotilla-worker-") or not any(action.startswith("bedrock:") for action in actions)


def test_the_library_is_shipped_with_what_is_declared(modelled: Templates, templates: Templates) -> None:
    (route,) = routes_of(modelled).values()
    assert [model.name for model in route.models] == ["haiku", "nova", "mini"]
    assert routes_of(templates) == {}


def test_the_manifest_says_which_agent_calls_by_which_route(modelled: Templates) -> None:
    assert '"fast"' in (library(modelled) / "agents" / "manifest.json").read_text(encoding="utf-8")


def test_models_take_no_room_in_the_environment(modelled: Templates) -> None:
    for function in modelled.resources("AWS::Lambda::Function"):
        assert "haiku" not in str(function.properties["Environment"]["Variables"])


def test_the_engine_has_routes_without_any_configuration(local_templates: Templates) -> None:
    routes = routes_of(local_templates)
    assert set(routes) == {"best", "fast"}
    assert all(model.provider == "bedrock" for route in routes.values() for model in route.models)
