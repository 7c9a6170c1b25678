"""What is read of a workflow's definition, and what is said of one that would fail only once it runs."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stacks.config import ConfigError, parse
from stacks.definition_rules import mistakes
from stacks.definitions import Definition, UnreadableDefinitionError, declared, load
from stacks.workflow_definitions import definitions_of, workflow_problems

REPOSITORY = Path(__file__).resolve().parents[3]
LANES = parse("").lanes
AGENTS = {"agents": {name: {"timeout_seconds": 177.0} for name in ("document.extract", "document.report")}}

Change = Callable[[dict[str, Any]], None]


def order(agent: str = "document.extract", **state: Any) -> dict[str, Any]:
    """A state that asks for a task as it should."""
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
        "TimeoutSeconds": 3600,
        "Arguments": {
            "QueueUrl": "${lane_standard}",
            "MessageGroupId": "{% $hash($states.context.Task.Token, 'SHA-256') %}",
            "MessageDeduplicationId": "{% $states.context.Task.Token & $string($states.context.State.RetryCount) %}",
            "MessageBody": {
                "workflow": "{% $states.context.Execution.Input.workflow %}",
                "state": "{% $states.context.State %}",
                "token": "{% $states.context.Task.Token %}",
                "agent": agent,
                "input": "{% $states.input %}",
                "timeout_seconds": 3500,
            },
        },
        **({"End": True} if "Next" not in state else {}),
        **state,
    }


def good() -> dict[str, Any]:
    """A definition with all that one may have: a task, a distributed map, an inline one, branches, a dynamic agent."""
    inner = {
        "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
        "StartAt": "Extract",
        "States": {"Extract": order(Next="Tools"), "Tools": inline("Call")},
    }
    each = {
        "Type": "Map",
        "Label": "Each",
        "MaxConcurrency": 40,
        "ItemReader": {
            "Resource": "arn:aws:states:::s3:getObject",
            "Arguments": {"Bucket": "${workflows_bucket}", "Key": "{% $states.input.key %}"},
        },
        "ItemSelector": {"workflow": "{% $states.context.Execution.Input.workflow %}"},
        "ItemProcessor": inner,
        "ResultWriter": {
            "Resource": "arn:aws:states:::s3:putObject",
            "Arguments": {"Bucket": "${workflows_bucket}", "Prefix": "workflows/results"},
        },
        "Next": "Both",
    }
    branches = [{"StartAt": f"Branch{n}", "States": {f"Branch{n}": {"Type": "Pass", "End": True}}} for n in (1, 2)]
    report = order("document.report")
    report["Arguments"]["QueueUrl"] = "${default_lane}"
    return {
        "Comment": "Does it all.",
        "QueryLanguage": "JSONata",
        "StartAt": "Each",
        "States": {
            "Each": each,
            "Both": {"Type": "Parallel", "Branches": branches, "Next": "Report"},
            "Report": report,
        },
    }


def inline(name: str) -> dict[str, Any]:
    call = order("{% $states.input.tool %}")
    return {"Type": "Map", "ItemProcessor": {"StartAt": name, "States": {name: call}}, "End": True}


def made(document: dict[str, Any], directory: Path) -> Definition:
    (directory / "w.asl.json").write_text(json.dumps(document, indent=2), encoding="utf-8")
    return load("w", "w.asl.json", directory)


def told(document: dict[str, Any], directory: Path) -> list[str]:
    definition = made(document, directory)
    return [mistake.told(definition) for mistake in mistakes(definition, LANES)]


class TestReading:
    def test_steps_are_the_states_that_ask_for_tasks_in_their_order(self, tmp_path: Path) -> None:
        definition = made(good(), tmp_path)
        assert [(step.name, step.agent, step.map) for step in definition.steps] == [
            ("Extract", "document.extract", "Each"),
            ("Call", None, "Tools"),
            ("Report", "document.report", None),
        ]

    def test_what_it_reaches_is_what_its_states_name(self, tmp_path: Path) -> None:
        definition = made(good(), tmp_path)
        assert definition.lanes("batch") == ["batch", "standard"]
        assert definition.distributed
        assert definition.objects == {"read", "write"}
        assert definition.substitutions == ["workflows_bucket", "lane_standard", "default_lane"]

    def test_a_state_in_jsonpath_is_read_as_well(self, tmp_path: Path) -> None:
        state = order()
        body = state.pop("Arguments")
        body["MessageBody"] = {"workflow.$": "$$.Execution.Input.workflow", "state.$": "$$.State"}
        body["MessageBody"] |= {"token.$": "$$.Task.Token", "agent": "document.extract", "input.$": "$"}
        dynamic = copy.deepcopy(body)
        dynamic["MessageBody"]["agent.$"] = dynamic["MessageBody"].pop("agent")
        states = {"A": {**state, "Parameters": body, "Next": "B"}, "B": {**state, "Parameters": dynamic}}
        del states["A"]["End"]
        definition = made({"StartAt": "A", "States": states}, tmp_path)
        assert list(mistakes(definition, LANES)) == []
        assert [step.agent for step in definition.steps] == ["document.extract", None]

    def test_its_version_changes_with_it_and_with_nothing_else(self, tmp_path: Path) -> None:
        first = made(good(), tmp_path)
        assert made(good(), tmp_path).version == first.version
        assert made({**good(), "Comment": "Other."}, tmp_path).version != first.version

    def test_functions_are_told_its_steps_and_the_schema_beside_it(self, tmp_path: Path) -> None:
        (tmp_path / "w.input.json").write_text('{"type": "object"}', encoding="utf-8")
        definition = made(good(), tmp_path)
        told = declared({"w": definition})["workflows"]["w"]
        assert told["version"] == definition.version
        assert told["description"] == "Does it all."
        assert told["input_schema"] == {"type": "object"}
        assert told["steps"][0] == {"name": "Extract", "agent": "document.extract", "map": "Each"}

    def test_a_file_that_is_not_there_is_named_with_those_that_are(self, tmp_path: Path) -> None:
        made(good(), tmp_path)
        with pytest.raises(UnreadableDefinitionError, match=r"no file .*/x\.asl\.json; there are: w\.asl\.json"):
            load("x", "x.asl.json", tmp_path)

    @pytest.mark.parametrize(("text", "said"), [("{", "is not JSON: .* line 1"), ("[]", "is no JSON object")])
    def test_what_is_no_definition_is_said(self, tmp_path: Path, text: str, said: str) -> None:
        (tmp_path / "w.asl.json").write_text(text, encoding="utf-8")
        with pytest.raises(UnreadableDefinitionError, match=said):
            load("w", "w.asl.json", tmp_path)


def _arguments(document: dict[str, Any]) -> dict[str, Any]:
    arguments: dict[str, Any] = document["States"]["Report"]["Arguments"]
    return arguments


def _each(document: dict[str, Any]) -> dict[str, Any]:
    each: dict[str, Any] = document["States"]["Each"]
    return each


MISTAKES: dict[str, tuple[Change, str]] = {
    "no start": (lambda it: it.pop("StartAt"), "has no StartAt"),
    "start nowhere": (lambda it: it.update(StartAt="Eech"), "none of its states; did you mean 'Each'?"),
    "no states": (lambda it: it.update(States={}), "has no States"),
    "unknown type": (lambda it: it["States"]["Report"].update(Type="Tusk"), "state 'Report': Type 'Tusk'"),
    "leads nowhere": (
        lambda it: it["States"]["Both"].update(Next="Riport"),
        "goes on with 'Riport', which is no state beside it; did you mean 'Report'?",
    ),
    "never reached": (
        lambda it: it["States"].update(Alone={"Type": "Succeed"}),
        "state 'Alone': is reached from no other state",
    ),
    "no way on": (lambda it: it["States"]["Report"].pop("End"), "needs one of Next and End"),
    "same name twice": (
        lambda it: _each(it)["ItemProcessor"]["States"].update(
            Report=order(), Extract=order(Next="Report"), Tools=inline("Call")
        ),
        "2 states have this name",
    ),
    "other resource": (
        lambda it: it["States"]["Report"].update(Resource="arn:aws:states:::lambda:invoke"),
        "Resource 'arn:aws:states:::lambda:invoke' is not allowed",
    ),
    "an ARN": (
        lambda it: _arguments(it).update(QueueUrl="arn:aws:sqs:eu-central-1:111122223333:lane"),
        "arn:aws:sqs:eu-central-1:111122223333:lane is of one account; use ${default_lane}",
    ),
    "no such lane": (
        lambda it: _arguments(it).update(QueueUrl="${lane_standart}"),
        "no lane is named 'standart'; did you mean 'standard'?",
    ),
    "no such substitution": (
        lambda it: it.update(Comment="${flet}"),
        "${flet} stands for nothing; did you mean 'fleet'?",
    ),
    "no queue": (lambda it: _arguments(it).update(QueueUrl="{% $q %}"), "QueueUrl must be ${lane_<name>}"),
    "no timeout": (lambda it: it["States"]["Report"].pop("TimeoutSeconds"), "needs TimeoutSeconds"),
    "timeout too short": (
        lambda it: it["States"]["Report"].update(TimeoutSeconds=3500),
        "its task has 3500 s (timeout_seconds), which must be less than its TimeoutSeconds of 3500",
    ),
    "heartbeat": (lambda it: it["States"]["Report"].update(HeartbeatSeconds=60), "cannot have HeartbeatSeconds"),
    "no group": (lambda it: _arguments(it).pop("MessageGroupId"), "needs MessageGroupId"),
    "retries are lost": (
        lambda it: _arguments(it).update(MessageDeduplicationId="{% $states.context.Task.Token %}"),
        "must be made of Task.Token and State.RetryCount",
    ),
    "no agent": (lambda it: _arguments(it)["MessageBody"].pop("agent"), "MessageBody needs 'agent'"),
    "unread member": (
        lambda it: _arguments(it)["MessageBody"].update(timeout=5),
        "MessageBody has 'timeout', which no worker reads; did you mean 'timeout_seconds'?",
    ),
    "wrong language": (lambda it: it["States"]["Report"].update(QueryLanguage="JSONPath"), "cannot be JSONPath"),
    "express items": (
        lambda it: _each(it)["ItemProcessor"]["ProcessorConfig"].update(ExecutionType="EXPRESS"),
        "needs ProcessorConfig.ExecutionType STANDARD",
    ),
    "unbounded": (lambda it: _each(it).pop("MaxConcurrency"), "needs MaxConcurrency, at least 1"),
    "zero is unbounded": (lambda it: _each(it).update(MaxConcurrency=0), "needs MaxConcurrency, at least 1"),
    "no label": (lambda it: _each(it).pop("Label"), "needs a Label that is its own name"),
    "items of no run": (lambda it: _each(it).pop("ItemSelector"), "ItemSelector needs 'workflow'"),
    "other bucket": (
        lambda it: _each(it)["ItemReader"]["Arguments"].update(Bucket="mine"),
        "ItemReader must use the bucket ${workflows_bucket}",
    ),
    "other objects": (
        lambda it: _each(it)["ResultWriter"]["Arguments"].update(Prefix="tenants/acme"),
        "ResultWriter: Prefix must begin with 'workflows/'",
    ),
    "inline results": (
        lambda it: it["States"]["Both"].update(
            {**inline("Call2"), "ResultWriter": {}, "Branches": None, "Next": "Report"}
        ),
        "ResultWriter need ProcessorConfig.Mode DISTRIBUTED",
    ),
}


class TestMistakes:
    def test_a_good_one_has_none(self, tmp_path: Path) -> None:
        assert told(good(), tmp_path) == []

    @pytest.mark.parametrize("name", MISTAKES)
    def test_each_is_said(self, tmp_path: Path, name: str) -> None:
        change, said = MISTAKES[name]
        document = good()
        change(document)
        found = told(document, tmp_path)
        assert any(said in each for each in found), found

    def test_a_state_is_found_by_its_line(self, tmp_path: Path) -> None:
        document = good()
        del document["States"]["Report"]["TimeoutSeconds"]
        (message,) = told(document, tmp_path)
        lines = (tmp_path / "w.asl.json").read_text(encoding="utf-8").splitlines()
        number = next(at for at, line in enumerate(lines, start=1) if '"Report": {' in line)
        assert message.startswith(f"statemachines/w.asl.json, line {number}, state 'Report': ")

    def test_a_key_that_stands_twice_is_said_before_json_forgets_it(self, tmp_path: Path) -> None:
        text = json.dumps(good())[:-1] + ', "StartAt": "Report"}'
        (tmp_path / "w.asl.json").write_text(text, encoding="utf-8")
        found = [each.message for each in mistakes(load("w", "w.asl.json", tmp_path), LANES)]
        assert any("'StartAt' stands twice" in each for each in found)

    def test_a_schema_that_is_none_is_said(self, tmp_path: Path) -> None:
        (tmp_path / "w.input.json").write_text('{"type": "objekt"}', encoding="utf-8")
        (message,) = told(good(), tmp_path)
        assert "is no JSON schema" in message

    def test_an_agent_that_is_not_deployed_is_said_with_the_one_that_was_meant(self, tmp_path: Path) -> None:
        definition = made(
            {"QueryLanguage": "JSONata", "StartAt": "A", "States": {"A": order("document.extrat")}}, tmp_path
        )
        (problem,) = workflow_problems(parse(""), {"w": definition}, AGENTS)
        assert problem.path == ("workflows", "w")
        assert "no agent is named 'document.extrat'; did you mean 'document.extract'?" in problem.message

    def test_an_agent_that_may_take_longer_than_its_lane_has_is_said(self, tmp_path: Path) -> None:
        definition = made({"QueryLanguage": "JSONata", "StartAt": "A", "States": {"A": order()}}, tmp_path)
        assert list(workflow_problems(parse(""), {"w": definition}, AGENTS)) == []
        (problem,) = workflow_problems(parse("[lanes.standard]\ntimeout_seconds = 179"), {"w": definition}, AGENTS)
        assert "state 'A': 'document.extract' may take 177 seconds, and lane 'standard' has 176" in problem.message


class TestSettings:
    def settings(self, tmp_path: Path, text: str) -> Path:
        file = tmp_path / "fleet.toml"
        file.write_text(text, encoding="utf-8")
        return file

    def test_a_mistake_is_told_with_the_line_that_names_the_workflow(self, tmp_path: Path) -> None:
        text = '\n[workflows]\ngone = "gone.asl.json"\n'
        with pytest.raises(ConfigError) as refusal:
            definitions_of(parse(text), tmp_path, self.settings(tmp_path, text))
        assert "line 3: workflows.gone: there is no file" in str(refusal.value)

    def test_one_that_is_local_is_told_with_its_own(self, tmp_path: Path) -> None:
        text = '[local]\n[local.workflows]\ngone = "gone.asl.json"\n'
        with pytest.raises(ConfigError) as refusal:
            definitions_of(parse(text, local=True), tmp_path, self.settings(tmp_path, text))
        assert "line 3: local.workflows.gone: there is no file" in str(refusal.value)

    def test_what_is_shipped_has_no_mistakes(self) -> None:
        file = REPOSITORY / "fleet.toml"
        fleet = parse(file.read_text(encoding="utf-8"))
        assert set(definitions_of(fleet, REPOSITORY / "statemachines", file)) == set(fleet.workflows)
        shipped = {path.name for path in (REPOSITORY / "statemachines").glob("*.asl.json")}
        assert shipped == set(fleet.workflows.values())

    @pytest.mark.parametrize(
        ("line", "said"),
        [
            ('Bad = "w.asl.json"', "workflows.Bad: 'Bad' is not allowed; allowed: a name of lower-case letters"),
            ('w = "w.json"', 'a file in statemachines/, "<file>.asl.json"'),
            ("w = 3", "workflows.w: 3 is not allowed"),
        ],
    )
    def test_names_and_files_are_checked(self, line: str, said: str) -> None:
        with pytest.raises(ConfigError) as refusal:
            parse(f"[workflows]\n{line}\n")
        assert said in str(refusal.value)

    def test_links_lead_to_a_host_that_is_reached_by_tls(self) -> None:
        assert parse('[api]\npublic_url = "https://agents.example.com"').api.public_url == "https://agents.example.com"
        for refused in ("http://agents.example.com", "https://agents.example.com/v1", "agents.example.com"):
            with pytest.raises(ConfigError) as refusal:
                parse(f'[api]\npublic_url = "{refused}"')
            assert "https:// and the name of a host" in str(refusal.value)
