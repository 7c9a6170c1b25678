"""What a fleet with budgets deploys: the library knows them, the manifest what an agent's tasks may cost."""

from __future__ import annotations

from pathlib import Path

import pytest

from flotilla.agents.catalog import Catalog
from flotilla.budget_declaration import DeclaredBudgets, TenantDay
from tests.infra.test_integrations import library
from tests.synthesis import REPOSITORY, Templates, synthesize

MORE = """
[budgets]
tenant_day_usd = 50

[budgets.tenants."acme"]
tenant_day_usd = 0.5
on_spent = "refuse"

[agents."document.analyze"]
budget_usd = 0.25
"""


@pytest.fixture(scope="module")
def bounded(tmp_path_factory: pytest.TempPathFactory) -> Templates:
    folder = tmp_path_factory.mktemp("bounded")
    settings = folder / "fleet.toml"
    text = (REPOSITORY / "fleet.toml").read_text(encoding="utf-8")
    settings.write_text(text + MORE, encoding="utf-8")
    return Templates(synthesize(folder / "assembly", settings=settings))


def shipped(layer: Path) -> DeclaredBudgets:
    return DeclaredBudgets.from_json((layer / "budgets.json").read_text(encoding="utf-8"))


def test_the_library_is_shipped_with_what_is_declared(bounded: Templates, templates: Templates) -> None:
    found = shipped(library(bounded))
    assert found.of("acme") == TenantDay(500_000, parks=False)
    assert found.of("any") == TenantDay(50_000_000, parks=True)
    assert shipped(library(templates)).of("acme").cap_micros is None


def test_the_manifest_says_what_an_agents_tasks_may_cost(bounded: Templates) -> None:
    manifest = (library(bounded) / "agents" / "manifest.json").read_text(encoding="utf-8")
    assert Catalog.from_json(manifest).get("document.analyze").budget_usd == 0.25
