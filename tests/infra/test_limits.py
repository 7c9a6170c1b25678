"""What a fleet with limits on submits deploys: the library knows them, and no environment and no agent does."""

from __future__ import annotations

from pathlib import Path

import pytest

from flotilla.limits.declaration import declared_in
from flotilla.primitives.token_bucket import Limit
from tests.infra.test_integrations import library
from tests.synthesis import REPOSITORY, Templates, synthesize

MORE = """
[limits]
client = { rate_per_minute = 600, burst = 100 }

[agents."document.analyze"]
limit = { rate_per_minute = 60, burst = 6 }
"""


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Templates:
    folder = tmp_path_factory.mktemp("limited")
    settings = folder / "fleet.toml"
    text = (REPOSITORY / "fleet.toml").read_text(encoding="utf-8")
    settings.write_text(text + MORE, encoding="utf-8")
    return Templates(synthesize(folder / "assembly", settings=settings))


def declared(templates: Templates) -> Path:
    return library(templates) / "limits" / "declared.json"


def test_the_library_is_shipped_with_what_is_declared(limited: Templates, templates: Templates) -> None:
    found = declared_in(declared(limited).read_text(encoding="utf-8"))
    assert found == {"client": Limit(600, 100), "agent#document.analyze": Limit(60, 6)}
    assert declared_in(declared(templates).read_text(encoding="utf-8")) == {}


def test_limits_take_no_room_in_the_environment_and_no_agent_knows_its_own(limited: Templates) -> None:
    for function in limited.resources("AWS::Lambda::Function"):
        assert "rate_per_minute" not in str(function.properties["Environment"]["Variables"])
    manifest = (library(limited) / "agents" / "manifest.json").read_text(encoding="utf-8")
    assert "rate_per_minute" not in manifest
