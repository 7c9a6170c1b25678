"""Every error that a state of a workflow names is one that can come: a mistyped one would never be met."""

from __future__ import annotations

from pathlib import Path

import pytest

from flotilla.agents.manifest import collect
from flotilla.workflows.errors import BUILT_IN
from stacks.config import load as load_settings
from stacks.definitions import load

REPOSITORY = Path(__file__).parents[3]
AGENTS = collect(REPOSITORY, diagnostics=True, overrides={})
WORKFLOWS = load_settings(REPOSITORY / "fleet.toml", local=True).workflows

_OF_STEP_FUNCTIONS = ("States.", "SQS.")


@pytest.mark.parametrize("name", WORKFLOWS)
def test_each_error_that_a_state_names_is_built_in_or_one_that_its_agent_declares(name: str) -> None:
    for state in load(name, WORKFLOWS[name], REPOSITORY / "statemachines").states:
        agent = AGENTS.get(str(state.said("agent")))
        declared = () if agent is None else agent.errors
        for rule in (*state.body.get("Retry", []), *state.body.get("Catch", [])):
            for error in rule["ErrorEquals"]:
                known = error.startswith(_OF_STEP_FUNCTIONS) or error in BUILT_IN or error in declared
                assert known, f"{state.name}: {error}"
