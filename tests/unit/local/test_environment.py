"""What the programs we start get to see of the user's environment."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from local.environment import deploy_environment, engine_environment, event_sources_environment, without_aws
from local.instance import Instance

USERS = {
    "AWS_PROFILE": "production",
    "AWS_ACCESS_KEY_ID": "AKIA-THE-USERS",
    "AWS_SECRET_ACCESS_KEY": "the user's secret",
    "AWS_SESSION_TOKEN": "the user's token",
    "AWS_ENDPOINT_URL": "https://the-users.example",
    "CDK_DEFAULT_ACCOUNT": "123456789012",
    "HTTPS_PROXY": "http://the-users.example",
    "GITHUB_TOKEN": "the user's token",
}


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Instance:
    for name, value in USERS.items():
        monkeypatch.setenv(name, value)
    return Instance(root=tmp_path)


def test_the_engine_and_the_event_sources_see_nothing_of_the_users(instance: Instance) -> None:
    for environment in (engine_environment(instance, 4566), event_sources_environment(instance)):
        assert not set(environment.values()) & set(USERS.values())
        assert environment["AWS_SHARED_CREDENTIALS_FILE"] == os.devnull


def test_the_engine_writes_below_its_instance_only(instance: Instance) -> None:
    environment = engine_environment(instance, 4566)
    for name in ("HOME", "TMPDIR", "STATE_DIR", "S3_DATA_DIR"):
        assert Path(environment[name]).is_relative_to(instance.root)
    assert environment["BIND_HOST"] == "127.0.0.1"


def test_a_local_deployment_can_reach_the_engine_only(instance: Instance) -> None:
    environment = deploy_environment(instance, "http://127.0.0.1:4566")
    assert not set(environment.values()) & set(USERS.values())
    assert environment["AWS_ENDPOINT_URL"] == environment["AWS_ENDPOINT_URL_S3"] == "http://127.0.0.1:4566"
    assert environment["CDK_DEFAULT_ACCOUNT"] == "000000000000"


def test_synthesis_keeps_the_users_settings_but_not_their_account() -> None:
    environment = without_aws({"HOME": "/home/user", "PATH": "/bin", "FLOTILLA_CONFIG": "x", **USERS})
    assert environment["HOME"] == "/home/user"
    assert not [name for name in environment if name.startswith(("AWS_", "CDK_", "FLOTILLA_"))]


def test_no_system_node_comes_before_ours() -> None:
    first = Path(without_aws({"PATH": "/usr/bin"})["PATH"].split(os.pathsep)[0])
    assert (first / "node").exists()
    assert first.is_relative_to(Path(__file__).parents[3])
