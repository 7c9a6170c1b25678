"""What a fleet with integrations deploys: the library knows them, and workers may read exactly their secrets."""

from __future__ import annotations

from pathlib import Path

import pytest

from flotilla.integrations.declaration import declared_in
from stacks.constructs.permissions import read_secrets
from tests.infra.test_permissions import granted
from tests.synthesis import ACCOUNT, REGION, REPOSITORY, Templates, synthesize

LANES = ("critical", "standard", "batch")

MORE = """
[integrations.crm]
base_url = "https://api.crm.example/v2"
auth = { scheme = "bearer", secret = "crm/token" }

[integrations.erp]
base_url = "https://erp.example"
auth = { scheme = "basic", secret = "erp" }

[integrations.weather]
base_url = "https://weather.example"

[agents."document.analyze"]
integrations = ["crm"]
on_open = "reject"
"""


@pytest.fixture(scope="module")
def integrated(tmp_path_factory: pytest.TempPathFactory) -> Templates:
    folder = tmp_path_factory.mktemp("integrated")
    settings = folder / "fleet.toml"
    text = (REPOSITORY / "fleet.toml").read_text(encoding="utf-8")
    settings.write_text(text + MORE, encoding="utf-8")
    return Templates(synthesize(folder / "assembly", settings=settings))


def library(templates: Templates) -> Path:
    layers = templates.resources("AWS::Lambda::LayerVersion")
    return next(layer.asset for layer in layers if "LayersFlotilla" in layer.logical_id) / "python" / "flotilla"


@pytest.mark.parametrize("lane", LANES)
def test_workers_may_read_the_secrets_that_integrations_name_and_no_others(
    integrated: Templates, templates: Templates, lane: str
) -> None:
    name = f"flotilla-worker-{lane}"
    secrets = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret"
    assert granted(integrated, name) - granted(templates, name) == {
        ("secretsmanager:GetSecretValue", f"{secrets}:crm/token-??????"),
        ("secretsmanager:GetSecretValue", f"{secrets}:erp-??????"),
    }


def test_nobody_else_may_read_them(integrated: Templates) -> None:
    own = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:flotilla/decisions-??????"
    for function in integrated.resources("AWS::Lambda::Function"):
        name = function.properties["FunctionName"]
        read = {secret for action, secret in granted(integrated, name) if action == "secretsmanager:GetSecretValue"}
        signs = name in ("flotilla-api", "flotilla-broadcaster")
        assert name.startswith("flotilla-worker-") or read == ({own} if signs else set())


def test_the_library_is_shipped_with_what_is_declared(integrated: Templates, templates: Templates) -> None:
    found = declared_in((library(integrated) / "integrations" / "declared.json").read_text(encoding="utf-8"))
    assert set(found) == {"crm", "erp", "weather"}
    assert found["crm"].origin == "https://api.crm.example"
    assert declared_in((library(templates) / "integrations" / "declared.json").read_text(encoding="utf-8")) == {}


def test_the_manifest_says_which_agent_calls_what(integrated: Templates) -> None:
    manifest = (library(integrated) / "agents" / "manifest.json").read_text(encoding="utf-8")
    assert '"on_open": "reject"' in manifest
    assert '"crm"' in manifest


def test_integrations_take_no_room_in_the_environment(integrated: Templates) -> None:
    for function in integrated.resources("AWS::Lambda::Function"):
        variables = function.properties["Environment"]["Variables"]
        assert "crm" not in str(variables)


def test_a_permission_names_each_secret_with_the_suffix_that_it_will_have() -> None:
    permission = read_secrets(["crm/token"])
    assert list(permission.actions) == ["secretsmanager:GetSecretValue"]
    assert "*" not in permission.resources[0]
