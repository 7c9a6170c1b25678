"""Workflows: their state machines, what these may do, and how the fleet learns of their ends."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from flotilla.workflows.declaration import declared_in
from tests.synthesis import ACCOUNT, REGION, REPOSITORY, Templates, synthesize

WORKFLOWS = ("document-analysis", "approval", "agent-loop", "saga")
DEFINITIONS = REPOSITORY / "statemachines"
STATES = f"arn:aws:states:{REGION}:{ACCOUNT}"
OBJECTS = f"arn:aws:s3:::flotilla-payloads-{ACCOUNT}-{REGION}/workflows/*"
QUEUES = f"arn:aws:sqs:{REGION}:{ACCOUNT}"


def machines(templates: Templates) -> dict[str, dict[str, Any]]:
    found = [machine.properties for machine in templates.resources("AWS::StepFunctions::StateMachine")]
    return {properties["StateMachineName"].removeprefix("flotilla-"): properties for properties in found}


def role_of(templates: Templates, workflow: str) -> dict[str, Any]:
    arn = machines(templates)[workflow]["RoleArn"]
    (role,) = [role.properties for role in templates.resources("AWS::IAM::Role") if role.arn == arn]
    return role


def allowed(templates: Templates, workflow: str) -> set[tuple[str, str]]:
    """What the machine's role allows, besides that its log is delivered."""
    (policy,) = role_of(templates, workflow)["Policies"]
    return {
        (action, resource)
        for statement in policy["PolicyDocument"]["Statement"]
        for action in _listed(statement["Action"])
        for resource in _listed(statement["Resource"])
        if not action.startswith("logs:")
    }


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def test_there_is_a_standard_machine_for_each(templates: Templates) -> None:
    assert set(machines(templates)) == set(WORKFLOWS)
    assert {machine["StateMachineType"] for machine in machines(templates).values()} == {"STANDARD"}


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_a_machines_definition_is_the_file_and_all_its_substitutions_are_made(
    templates: Templates, workflow: str
) -> None:
    machine = machines(templates)[workflow]
    text = (DEFINITIONS / f"{workflow}.asl.json").read_text(encoding="utf-8")
    assert machine["DefinitionString"] == text
    for name, value in machine["DefinitionSubstitutions"].items():
        assert f"${{{name}}}" in text
        text = text.replace(f"${{{name}}}", value)
    assert "${" not in text
    assert json.loads(text)["StartAt"]


def test_substitutions_are_what_the_fleet_has(templates: Templates) -> None:
    made = machines(templates)
    queue = f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/flotilla"
    assert made["document-analysis"]["DefinitionSubstitutions"] == {
        "lane_batch": f"{queue}-batch.fifo",
        "workflows_bucket": f"flotilla-payloads-{ACCOUNT}-{REGION}",
    }
    assert made["approval"]["DefinitionSubstitutions"] == {"default_lane": f"{queue}-standard.fifo"}


@pytest.mark.parametrize("workflow", ["approval", "agent-loop", "saga"])
def test_a_machine_may_put_tasks_on_the_lanes_it_uses_and_nothing_else(templates: Templates, workflow: str) -> None:
    assert allowed(templates, workflow) == {("sqs:SendMessage", f"{QUEUES}:flotilla-standard.fifo")}


def test_one_with_a_distributed_map_may_start_itself_and_reach_the_objects_of_workflows(templates: Templates) -> None:
    name = "flotilla-document-analysis"
    executions = (f"{STATES}:execution:{name}:*", f"{STATES}:execution:{name}/*")
    objects = ("GetObject", "PutObject", "ListMultipartUploadParts", "AbortMultipartUpload")
    assert allowed(templates, "document-analysis") == {
        ("sqs:SendMessage", f"{QUEUES}:flotilla-batch.fifo"),
        ("states:StartExecution", f"{STATES}:stateMachine:{name}"),
        *((f"states:{action}", arn) for action in ("DescribeExecution", "StopExecution") for arn in executions),
        *((f"s3:{action}", OBJECTS) for action in objects),
    }


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_no_other_than_the_fleets_machines_can_borrow_a_machines_role(templates: Templates, workflow: str) -> None:
    (trust,) = role_of(templates, workflow)["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": "states.amazonaws.com"}
    assert trust["Condition"]["StringEquals"] == {"aws:SourceAccount": ACCOUNT}
    pattern = trust["Condition"]["ArnLike"]["aws:SourceArn"]
    assert fnmatchcase(f"{STATES}:stateMachine:flotilla-{workflow}", pattern)
    assert not fnmatchcase(f"{STATES}:stateMachine:other-{workflow}", pattern)


def test_machines_log_all_that_happens_and_nothing_of_what_tasks_hold(templates: Templates) -> None:
    groups = {group.arn: group.properties for group in templates.resources("AWS::Logs::LogGroup")}
    for name, machine in machines(templates).items():
        logging = machine["LoggingConfiguration"]
        assert (logging["Level"], logging["IncludeExecutionData"]) == ("ALL", False)
        (destination,) = logging["Destinations"]
        group = groups[destination["CloudWatchLogsLogGroup"]["LogGroupArn"]]
        assert group["LogGroupName"] == f"/aws/vendedlogs/states/flotilla-{name}"
        assert group["RetentionInDays"] == 30


def test_the_recorder_is_told_of_every_end_of_a_run_and_of_no_item_of_a_map(templates: Templates) -> None:
    rule = templates.one("AWS::Events::Rule", Name="flotilla-execution-ends").properties
    assert "EventBusName" not in rule, "Step Functions tells the default bus"
    assert rule["EventPattern"] == {
        "source": ["aws.states"],
        "detail-type": ["Step Functions Execution Status Change"],
        "detail": {
            "status": ["SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"],
            "stateMachineArn": [f"{STATES}:stateMachine:flotilla-{name}" for name in WORKFLOWS],
        },
    }
    (target,) = rule["Targets"]
    assert target["Arn"] == f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:flotilla-recorder"


def test_news_that_cannot_be_recorded_is_tried_for_hours_and_then_kept(templates: Templates) -> None:
    kept = f"{QUEUES}:flotilla-recorder-failures"
    (target,) = templates.one("AWS::Events::Rule", Name="flotilla-execution-ends").properties["Targets"]
    assert target["DeadLetterConfig"] == {"Arn": kept}
    assert target["RetryPolicy"] == {"MaximumEventAgeInSeconds": 6 * 3600}
    invoking = templates.one("AWS::Lambda::EventInvokeConfig", FunctionName="flotilla-recorder").properties
    assert invoking["DestinationConfig"] == {"OnFailure": {"Destination": kept}}
    assert (invoking["MaximumEventAgeInSeconds"], invoking["MaximumRetryAttempts"]) == (6 * 3600, 2)


def test_stacks_are_deployed_in_an_order_in_which_each_knows_what_it_is_asked(templates: Templates) -> None:
    manifest = json.loads((templates.directory / "manifest.json").read_text(encoding="utf-8"))
    needed = {
        name: set(artifact.get("dependencies", ()))
        for name, artifact in manifest["artifacts"].items()
        if artifact["type"] == "aws:cloudformation:stack"
    }
    # A state asks for tasks in words of a message that workers know; the API starts machines that are there.
    assert {"flotilla-workers", "flotilla-lanes"} <= needed["flotilla-workflows"]
    assert "flotilla-workflows" in needed["flotilla-api"]


def test_a_fleet_without_workflows_records_none_and_is_told_of_none(tmp_path: Path) -> None:
    settings = tmp_path / "fleet.toml"
    settings.write_text("", encoding="utf-8")
    without = Templates(synthesize(tmp_path / "assembly", settings=settings))
    assert without.resources("AWS::StepFunctions::StateMachine") == []
    assert [rule for rule in without.resources("AWS::Events::Rule") if "EventPattern" in rule.properties] == []
    assert '"states:' not in "".join(json.dumps(without[stack]) for stack in without)


def test_the_library_tells_of_the_workflows_that_are_deployed(templates: Templates) -> None:
    (library,) = {
        layer.asset
        for layer in templates.resources("AWS::Lambda::LayerVersion")
        if "LayersFlotilla" in layer.logical_id
    }
    file = library / "python" / "flotilla" / "workflows" / "declared.json"
    declared = declared_in(file.read_text(encoding="utf-8"))
    assert set(declared) == set(WORKFLOWS)
    analysis = declared["document-analysis"]
    assert [(step.name, step.agent, step.map) for step in analysis.steps] == [
        ("Manifest", "document.manifest", None),
        ("Extract", "document.extract", "Analyze"),
        ("Classify", "document.classify", "Analyze"),
        ("Summarize", "document.summarize", "Analyze"),
        ("Report", "document.report", None),
    ]
    assert [(step.name, step.agent) for step in declared["approval"].steps][1] == ("Ask", "approval.ask")
    for name, workflow in declared.items():
        assert len(workflow.version) == 12
        assert workflow.description
        assert workflow.input_schema == json.loads((DEFINITIONS / f"{name}.input.json").read_text(encoding="utf-8"))
        jsonschema_rs.validator_for(workflow.input_schema)
