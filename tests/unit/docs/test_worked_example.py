"""The worked example of the page on workflows: its agents run, and its definition is one that can be deployed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from cli.arguments import read_input
from cli.parser import parser
from flotilla.agents.decorator import definition_of
from flotilla.workflows.errors import BUILT_IN
from stacks.config import load as load_settings
from stacks.definition_rules import agent_mistakes, mistakes
from stacks.definitions import Definition, load
from tests.unit.docs.markdown import REPOSITORY, blocks
from tests.unit.docs.test_documents import commands, module_of
from tests.unit.docs.worked_example import WORKFLOWS, files, workflow_lines
from tests.unit.services.fleet import Fleet, run

__all__ = ["module_of"]

AGENTS = "functions/worker/agents/expenses.py"
DEFINITION = "statemachines/expense-claim.asl.json"
SCHEMA = "statemachines/expense-claim.input.json"
CLAIM = {"employee": "kim", "amount_eur": 42.5, "receipt": "r-17.pdf"}


@pytest.fixture
def definition(tmp_path: Path) -> Definition:
    for name in (DEFINITION, SCHEMA):
        (tmp_path / Path(name).name).write_text(files(WORKFLOWS)[name], encoding="utf-8")
    return load("expense-claim", Path(DEFINITION).name, tmp_path)


@pytest.fixture
def fleet(module_of: Any) -> Fleet:
    module = module_of(files(WORKFLOWS)[AGENTS])
    return Fleet([module.check, module.pay])


def output_of(fleet: Fleet, agent: str, value: Any) -> Any:
    task = run(fleet.submit(agent, value)).state.task_id
    run(fleet.deliver(fleet.delivery(task)))
    state = run(fleet.state(task))
    return state.error.code if state.output is None else state.output.inline


def test_the_page_has_every_file_of_the_example() -> None:
    assert set(files(WORKFLOWS)) == {AGENTS, DEFINITION, SCHEMA}
    assert workflow_lines(WORKFLOWS) == 'expense-claim = "expense-claim.asl.json"\n'


def test_its_agents_do_what_the_page_says(fleet: Fleet) -> None:
    checked = output_of(fleet, "expense.check", CLAIM)
    assert checked == CLAIM
    paid = output_of(fleet, "expense.pay", checked)
    assert paid["transfer"].startswith("transfer ")
    assert output_of(fleet, "expense.check", {"employee": "kim", "amount_eur": 8}) == "no_receipt"


def test_its_definition_has_no_mistake(definition: Definition) -> None:
    lanes = load_settings(REPOSITORY / "fleet.toml").lanes
    found = [*mistakes(definition, lanes), *agent_mistakes(definition, ["expense.check", "expense.pay"])]
    assert [mistake.told(definition) for mistake in found] == []


def test_every_error_that_it_catches_is_one_that_its_agent_declares(definition: Definition, module_of: Any) -> None:
    module = module_of(files(WORKFLOWS)[AGENTS])
    declared = {
        found.name: found.errors for each in vars(module).values() if (found := definition_of(each)) is not None
    }
    for state in definition.states:
        for catcher in state.body.get("Catch", []):
            assert set(catcher["ErrorEquals"]) <= {*declared[state.said("agent")], *BUILT_IN}


def test_its_schema_takes_what_the_commands_type(definition: Definition) -> None:
    assert definition.input_schema is not None
    validator = jsonschema_rs.validator_for(definition.input_schema)
    typed = [words for words in commands(WORKFLOWS) if words[:3] == ["workflow", "run", "expense-claim"]]
    assert len(typed) == 3
    for words in typed:
        members = [word for word in words[3:] if "=" in word]
        options = parser().parse_args(["workflow", "run", "expense-claim", *members])
        assert validator.is_valid(read_input(options.members, options.input)), words


def test_the_shipped_workflows_are_those_of_the_page() -> None:
    text = WORKFLOWS.read_text(encoding="utf-8")
    [table] = re.findall(r"## What is shipped\n(.*?)\n### ", text, re.DOTALL)
    shipped = re.findall(r"^\| \[([a-z-]+)\]", table, re.MULTILINE)
    assert set(shipped) <= set(load_settings(REPOSITORY / "fleet.toml").workflows)
    assert len(shipped) == 4
    for name in shipped:
        schema = json.loads((REPOSITORY / "statemachines" / f"{name}.input.json").read_text(encoding="utf-8"))
        [section] = [part for part in text.split("\n### ") if part.startswith(f"{name}\n")]
        for member in schema["properties"]:
            assert f"`{member}`" in section or f'"{member}"' in section, (name, member)
        document = (REPOSITORY / "statemachines" / f"{name}.asl.json").read_text(encoding="utf-8")
        for error in {state["Error"] for state in _states(json.loads(document)) if state.get("Type") == "Fail"}:
            assert f"`{error}`" in section or error == "StepsRefused", (name, error)


def test_the_input_that_the_page_shows_is_one_that_approval_takes() -> None:
    schema = json.loads((REPOSITORY / "statemachines" / "approval.input.json").read_text(encoding="utf-8"))
    [shown] = [value for code in blocks(WORKFLOWS, "json") if "propose" in (value := json.loads(code))]
    assert jsonschema_rs.validator_for(schema).is_valid(shown)


def test_what_the_page_says_of_a_steps_cost_is_what_was_counted() -> None:
    counted = (REPOSITORY / "benchmarks" / "workflow_cost" / "results.md").read_text(encoding="utf-8")
    [total] = re.findall(r"\*\*total\*\* +\| +\| +\| +\*\*([\d.]+)\*\*", counted)
    assert f"**${float(total):.0f} a million**" in WORKFLOWS.read_text(encoding="utf-8")
    assert {times for times in re.findall(r"\| ([\d.]+) +\|$", counted, re.MULTILINE) if float(times) < 10} >= {"5.5"}


def test_the_page_shows_every_action_of_the_command() -> None:
    shown = {words[1] for words in commands(WORKFLOWS) if words[0] == "workflow"}
    assert shown == {"run", "watch", "get", "events", "tasks", "list", "cancel"}


def _states(machine: dict[str, Any]) -> list[dict[str, Any]]:
    found = []
    for state in machine["States"].values():
        found.append(state)
        if "ItemProcessor" in state:
            found += _states(state["ItemProcessor"])
    return found
