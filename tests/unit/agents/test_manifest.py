"""The manifest is made by a process of its own from every agent there is, and refuses what could not be run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import flotilla
from flotilla.agents.catalog import Catalog
from flotilla.agents.manifest import collect

LIBRARY = Path(flotilla.__file__).parents[1]
REPOSITORY = Path(__file__).parents[3]

AGENT = """
from flotilla.agents import Context, agent

@agent("{name}", max_attempts=2)
async def {function}(task: int, ctx: Context) -> int:
    return task
"""


class Repository:
    """A repository of agents, and the command that makes its manifest."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.out = root / "manifest.json"
        self.agents = root / "functions" / "worker" / "agents"
        self.agents.mkdir(parents=True)
        for package in (self.agents, self.agents.parent, self.agents.parents[1]):
            (package / "__init__.py").touch()

    def write(self, module: str, source: str) -> None:
        (self.agents / f"{module}.py").write_text(source)

    def make(self, *options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "flotilla.agents.manifest", str(self.root), str(self.out), *options],
            cwd=self.root,
            env=os.environ | {"PYTHONPATH": f"{LIBRARY}{os.pathsep}{self.root}", "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )

    def refused(self, *options: str) -> str:
        """Why the command refused; one line, and nothing written."""
        made = self.make(*options)
        assert made.returncode == 1, made
        assert not self.out.exists()
        assert len(made.stderr.splitlines()) == 1, made.stderr
        return made.stderr


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path)
    made.write("first", AGENT.format(name="test.first", function="first"))
    return made


def overrides(**changes: Any) -> list[str]:
    return ["--overrides", json.dumps({"test.first": changes})]


def test_every_agent_is_in_the_manifest_with_the_operators_changes(repository: Repository) -> None:
    # One module may hold several, import one from another, and give one a second name.
    repository.write(
        "second",
        AGENT.format(name="test.second", function="second")
        + AGENT.format(name="test.third", function="third")
        + "from functions.worker.agents.first import first\nalso = second\n",
    )
    changes = {"lane": "batch", "timeout_seconds": 7, "max_attempts": 9, "integrations": ["crm"], "on_open": "reject"}
    made = repository.make(*overrides(**changes))
    assert made.returncode == 0, made.stderr
    catalog = Catalog.from_json(repository.out.read_text())
    assert [spec.name for spec in catalog] == ["test.first", "test.second", "test.third"]
    first, second = catalog.get("test.first"), catalog.get("test.second")
    assert (first.lane, first.timeout_seconds, first.max_attempts) == ("batch", 7, 9)
    assert (first.integrations, first.on_open) == (("crm",), "reject")
    assert (second.lane, second.max_attempts, second.module) == (None, 2, "functions.worker.agents.second")
    assert first.input_schema == {"type": "integer"}


def test_two_agents_of_one_name_are_refused(repository: Repository) -> None:
    repository.write("second", AGENT.format(name="test.first", function="second"))
    assert "two agents are named 'test.first'" in repository.refused()


def test_an_override_of_no_agent_is_refused_with_those_there_are(repository: Repository) -> None:
    why = repository.refused("--overrides", '{"test.frist": {"lane": "batch"}}')
    assert "test.frist" in why
    assert "there are: test.first" in why


def test_an_override_of_what_only_the_author_decides_is_refused(repository: Repository) -> None:
    assert "cannot set version" in repository.refused(*overrides(version="2"))


def test_a_function_that_is_no_agent_is_refused_at_synth_and_not_in_production(repository: Repository) -> None:
    source = 'from flotilla.agents import agent\n\n@agent("test.bad")\ndef bad(task, ctx): ...\n'
    repository.write("bad", source)
    assert "test.bad" in repository.refused()


def test_an_agent_that_a_worker_could_not_find_again_is_refused(repository: Repository) -> None:
    """A worker looks for the function's own name in its module."""
    source = AGENT.format(name="test.hidden", function="inner").replace("\n", "\n    ")
    repository.write("hidden", f"def make():{source}\n    return inner\n\nouter = make()\n")
    assert "test.hidden" in repository.refused()


def test_a_module_that_cannot_be_imported_is_named(repository: Repository) -> None:
    repository.write("broken", "import no_such_package\n")
    assert "no_such_package" in repository.refused()


def test_the_diagnostic_agents_are_there_only_where_asked_for() -> None:
    def names(*, diagnostics: bool) -> set[str]:
        return set(collect(REPOSITORY, diagnostics=diagnostics, overrides={}))

    plain, all_of_them = names(diagnostics=False), names(diagnostics=True)
    assert "document.analyze" in plain
    assert not any(name.startswith("diagnostics.") for name in plain)
    assert {f"diagnostics.{name}" for name in ("echo", "sleep", "flaky", "crash", "steps")} <= all_of_them - plain


def test_every_shipped_agent_survives_the_manifest(tmp_path: Path) -> None:
    agents = collect(REPOSITORY, diagnostics=True, overrides={})
    written = json.dumps({"agents": {name: spec.to_json() for name, spec in agents.items()}})
    assert {spec.name: spec for spec in Catalog.from_json(written)} == agents


def test_the_canary_is_deployed_with_every_fleet_and_its_name_is_no_authors_to_take(repository: Repository) -> None:
    assert "flotilla.canary" in collect(REPOSITORY, diagnostics=False, overrides={})
    repository.write("mine", AGENT.format(name="flotilla.mine", function="mine"))
    assert "names that begin with 'flotilla.' are the fleet's own" in repository.refused()
