"""Executions on Step Functions."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.stub import Stubber
from moto.stepfunctions.models import stepfunctions_backends

from flotilla.errors import StoreUnavailableError
from flotilla.stepfunctions.executions import StepFunctionsExecutions
from flotilla.workflow_ports import ExecutionStatus, MapProgress
from tests.contracts.executions import (
    CAUSE,
    ERROR,
    OUTPUT,
    WELL,
    WORKFLOW,
    EndedExecutionsContract,
    ExecutionsContract,
    LetEnd,
    find,
    start,
    status,
    stop,
)
from tests.e2e.waiting import eventually
from tests.fakes import run_on_thread
from tests.integration.adapters.aws_failures import ERRORS, answering_with, answers_lost, requests_of, unreachable
from tests.integration.adapters.conftest import ONCE
from tests.synthesis import ACCOUNT, REGION

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

PREFIX = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:fleet-"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/states"
MAPPING = "mapping"

TOLD: dict[str, Any] = {
    "StartAt": "Told",
    "States": {
        "Told": {
            "Type": "Choice",
            "Choices": [
                {"Variable": "$.end", "StringEquals": "well", "Next": "Well"},
                {"Variable": "$.end", "StringEquals": "badly", "Next": "Badly"},
            ],
            "Default": "Never",
        },
        "Well": {"Type": "Pass", "Result": OUTPUT, "End": True},
        "Badly": {"Type": "Fail", "Error": ERROR, "Cause": CAUSE},
        "Never": {"Type": "Wait", "Seconds": 3600, "End": True},
    },
}

ITEMS: dict[str, Any] = {
    "StartAt": "Items",
    "States": {
        "Items": {
            "Type": "Map",
            "Label": "Items",
            "ItemsPath": "$.items",
            "ToleratedFailurePercentage": 100,
            "ItemProcessor": {
                "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
                "StartAt": "Each",
                "States": {
                    "Each": {
                        "Type": "Choice",
                        "Choices": [{"Variable": "$", "NumericEquals": 2, "Next": "Bad"}],
                        "Default": "Good",
                    },
                    "Good": {"Type": "Pass", "End": True},
                    "Bad": {"Type": "Fail", "Error": "bad"},
                },
            },
            "End": True,
        }
    },
}


on_the_engine = pytest.mark.parametrize("aws", ["engine"], indirect=True)
"""Moto's state machines do not run."""


@pytest.fixture(scope="module")
def client(aws: boto3.Session) -> Iterator[SFNClient]:
    sfn = aws.client("stepfunctions", config=ONCE)
    machines = {WORKFLOW: TOLD, MAPPING: ITEMS}
    made = [
        sfn.create_state_machine(name=f"fleet-{name}", definition=json.dumps(definition), roleArn=ROLE)
        for name, definition in machines.items()
    ]
    yield sfn
    for machine in made:
        sfn.delete_state_machine(stateMachineArn=machine["stateMachineArn"])


@pytest.fixture
def executions(client: SFNClient) -> StepFunctionsExecutions:
    return StepFunctionsExecutions(lambda: client, PREFIX, run_on_thread)


@pytest.fixture
def on_moto(request: pytest.FixtureRequest) -> bool:
    return str(request.node.callspec.params["aws"]) == "moto"


@pytest.fixture
def let_end(executions: StepFunctionsExecutions, *, on_moto: bool) -> LetEnd:
    def end(name: str) -> None:
        if on_moto:
            _end_on_moto(name)
        eventually(lambda: status(executions, name) is not ExecutionStatus.RUNNING, f"the end of {name}")

    return end


def _end_on_moto(name: str) -> None:
    """What moto's state machines do not do by themselves."""
    machines = stepfunctions_backends[ACCOUNT][REGION].state_machines
    (found,) = [each for machine in machines for each in machine.executions if each.name == name]
    found.stop_date = found.start_date
    if found.execution_input == WELL:
        found.status, found.output = "SUCCEEDED", json.dumps(OUTPUT)
    else:
        found.status, found.error, found.cause = "FAILED", ERROR, CAUSE


class TestStepFunctionsExecutions(ExecutionsContract):
    """The contract."""


@on_the_engine
class TestEndedStepFunctionsExecutions(EndedExecutionsContract):
    """The part of it that moto does not keep to."""


@on_the_engine
def test_the_maps_of_an_execution_tell_how_far_they_are(executions: StepFunctionsExecutions) -> None:
    asyncio.run(executions.start(MAPPING, "maps", json.dumps({"items": [1, 2, 3]})))

    def ended() -> bool:
        found = asyncio.run(executions.find(MAPPING, "maps"))
        return found is not None and found.status is not ExecutionStatus.RUNNING

    eventually(ended, "the end of the map")
    assert asyncio.run(executions.maps(MAPPING, "maps")) == [MapProgress("Items", 3, 0, 0, 2, 1)]


def test_maps_are_told_in_the_order_in_which_they_began_over_all_pages(
    executions: StepFunctionsExecutions, client: SFNClient
) -> None:
    execution = f"arn:aws:states:{REGION}:{ACCOUNT}:execution:fleet-told:x"
    zero = dict.fromkeys(("pending", "running", "succeeded", "failed", "timedOut", "aborted", "resultsWritten"), 0)

    def run(label: str, second: int) -> dict[str, Any]:
        arn = f"arn:aws:states:{REGION}:{ACCOUNT}:mapRun:fleet-told/{label}:0f-1"
        began = datetime(2026, 11, 21, 0, 0, second, tzinfo=UTC)
        return {
            "executionArn": execution,
            "mapRunArn": arn,
            "stateMachineArn": f"{PREFIX}told/{label}",
            "startDate": began,
        }

    def described(label: str, counts: dict[str, int]) -> dict[str, Any]:
        return run(label, 0) | {
            "status": "RUNNING",
            "maxConcurrency": 1,
            "toleratedFailurePercentage": 0.0,
            "toleratedFailureCount": 0,
            "itemCounts": zero | counts,
            "executionCounts": zero | {"total": 0},
        }

    with Stubber(client) as stubber:
        stubber.add_response("list_map_runs", {"mapRuns": [run("Second", 2)], "nextToken": "more"})
        stubber.add_response("list_map_runs", {"mapRuns": [run("First", 1)]})
        for label, counts in (
            ("First", {"total": 10, "succeeded": 4, "failed": 3, "timedOut": 2, "aborted": 1}),
            ("Second", {"total": 3, "running": 1, "pending": 2}),
        ):
            answer = described(label, counts)
            del answer["stateMachineArn"]
            stubber.add_response("describe_map_run", answer)
        found = asyncio.run(executions.maps(WORKFLOW, "x"))
        stubber.assert_no_pending_responses()
    assert found == [MapProgress("First", 10, 0, 0, 4, 6), MapProgress("Second", 3, 2, 1, 0, 0)]


def test_a_start_and_a_stop_are_one_call_each(executions: StepFunctionsExecutions, client: SFNClient) -> None:
    with (
        requests_of(client, "StartExecution") as started,
        requests_of(client, "StopExecution") as stopped,
        requests_of(client, "DescribeExecution") as described,
    ):
        start(executions, "counted")
        stop(executions, "counted")
    assert (len(started), len(stopped), len(described)) == (1, 1, 0)


def test_what_does_not_answer_is_retryable(executions: StepFunctionsExecutions, client: SFNClient) -> None:
    for code in [*ERRORS, "ExecutionLimitExceeded", "StateMachineDeleting", "KmsThrottlingException"]:
        with answering_with(client, "start_execution", code), pytest.raises(StoreUnavailableError) as starting:
            start(executions, "refused")
        assert starting.value.code == "step_functions_unavailable"
        with answering_with(client, "describe_execution", code), pytest.raises(StoreUnavailableError):
            find(executions, "refused")
        with answering_with(client, "list_map_runs", code), pytest.raises(StoreUnavailableError):
            asyncio.run(executions.maps(WORKFLOW, "refused"))
    with unreachable(client, "StartExecution"), pytest.raises(StoreUnavailableError):
        start(executions, "refused")
    with unreachable(client, "StopExecution"), pytest.raises(StoreUnavailableError):
        stop(executions, "refused")
    with unreachable(client, "DescribeExecution"), pytest.raises(StoreUnavailableError):
        find(executions, "refused")


def test_a_stop_that_is_refused_is_no_stop_of_what_runs(executions: StepFunctionsExecutions, client: SFNClient) -> None:
    start(executions, "throttled")
    with Stubber(client) as stubber:
        stubber.add_client_error("stop_execution", "ThrottlingException")
        machine = f"{PREFIX}told"
        arn = f"arn:aws:states:{REGION}:{ACCOUNT}:execution:fleet-told:throttled"
        now = datetime(2026, 11, 21, tzinfo=UTC)
        running = {"executionArn": arn, "stateMachineArn": machine, "status": "RUNNING", "startDate": now}
        stubber.add_response("describe_execution", running)
        with pytest.raises(StoreUnavailableError):
            stop(executions, "throttled")


def test_a_start_whose_answer_was_lost_may_be_repeated(executions: StepFunctionsExecutions, client: SFNClient) -> None:
    with answers_lost(client, "StartExecution"), pytest.raises(StoreUnavailableError):
        start(executions, "lost-answer")
    assert start(executions, "lost-answer")
