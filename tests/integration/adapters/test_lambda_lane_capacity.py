"""What lanes may have at once, on Lambda."""

from __future__ import annotations

import asyncio
import io
import json
import zipfile
from collections.abc import Iterator
from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.stub import Stubber

from flotilla.errors import RetryableError, StoreUnavailableError
from flotilla.lambda_scaling.capacity import LambdaLaneCapacity, Worker
from flotilla.scaling_ports import Capacity, MappingState
from tests.contracts.scaling import Disable, LaneCapacityContract
from tests.fakes import run_on_thread
from tests.integration.adapters.aws_failures import ERRORS, answering_with, answers_lost, requests_of, unreachable
from tests.integration.adapters.conftest import ONCE
from tests.synthesis import ACCOUNT, REGION

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_sqs import SQSClient

LANES = ("standard", "batch")


def package() -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr("handler.py", "def handler(event, context): ...\n")
    return held.getvalue()


@pytest.fixture(scope="module")
def functions(aws: boto3.Session) -> LambdaClient:
    return aws.client("lambda", config=ONCE)


@pytest.fixture(scope="module")
def role(aws: boto3.Session) -> str:
    trust = {"Principal": {"Service": "lambda.amazonaws.com"}, "Effect": "Allow", "Action": "sts:AssumeRole"}
    made = aws.client("iam").create_role(
        RoleName="worker", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    )
    return made["Role"]["Arn"]


@pytest.fixture
def workers(functions: LambdaClient, sqs: SQSClient, role: str) -> Iterator[dict[str, Worker]]:
    made, queues = {}, []
    for lane in LANES:
        name = f"fleet-worker-{lane}"
        functions.create_function(
            FunctionName=name, Runtime="python3.12", Role=role, Handler="handler.handler", Code={"ZipFile": package()}
        )
        queues.append(sqs.create_queue(QueueName=f"fleet-{lane}.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"])
        mapping = functions.create_event_source_mapping(
            FunctionName=name,
            EventSourceArn=f"arn:aws:sqs:{REGION}:{ACCOUNT}:fleet-{lane}.fifo",
            ScalingConfig={"MaximumConcurrency": 5},
        )
        made[lane] = Worker(name, mapping["UUID"])
    functions.put_function_concurrency(FunctionName=made["standard"].function, ReservedConcurrentExecutions=7)
    yield made
    for worker in made.values():
        functions.delete_event_source_mapping(UUID=worker.mapping)
        functions.delete_function(FunctionName=worker.function)
    for queue in queues:
        sqs.delete_queue(QueueUrl=queue)


@pytest.fixture
def capacity(functions: LambdaClient, workers: dict[str, Worker]) -> LambdaLaneCapacity:
    return LambdaLaneCapacity(functions, workers, run_on_thread)


@pytest.fixture
def disable(functions: LambdaClient, workers: dict[str, Worker]) -> Disable:
    def disable(lane: str) -> None:
        functions.update_event_source_mapping(UUID=workers[lane].mapping, Enabled=False)

    return disable


class TestLambdaLaneCapacity(LaneCapacityContract):
    """The contract, on functions fed from FIFO queues."""


def test_nothing_but_the_maximum_concurrency_of_a_mapping_is_said(
    capacity: LambdaLaneCapacity, functions: LambdaClient, workers: dict[str, Worker]
) -> None:
    with requests_of(functions, "UpdateEventSourceMapping") as requests:
        asyncio.run(capacity.limit("standard", 9))
    assert requests == [{"UUID": workers["standard"].mapping, "ScalingConfig": {"MaximumConcurrency": 9}}]


@pytest.mark.parametrize("code", ["ResourceInUseException", "ResourceConflictException"])
def test_a_mapping_that_is_being_changed_takes_no_change(
    capacity: LambdaLaneCapacity, functions: LambdaClient, code: str
) -> None:
    with answering_with(functions, "update_event_source_mapping", code):
        assert not asyncio.run(capacity.limit("standard", 9))
    assert asyncio.run(capacity.read("standard")) == Capacity(5, 7)


@pytest.mark.parametrize("state", ["Creating", "Enabling", "Disabling", "Updating", "Deleting"])
def test_a_mapping_on_its_way_to_another_state_is_being_changed(
    capacity: LambdaLaneCapacity, functions: LambdaClient, workers: dict[str, Worker], state: str
) -> None:
    with Stubber(functions) as stub:
        stub.add_response("get_event_source_mapping", {"State": state, "ScalingConfig": {"MaximumConcurrency": 5}})
        found = capacity._mapping(workers["standard"])
    assert found == (5, MappingState.CHANGING)


def test_a_reservation_beyond_the_accounts_limit_is_refused(
    capacity: LambdaLaneCapacity, functions: LambdaClient
) -> None:
    with answering_with(functions, "put_function_concurrency", "InvalidParameterValueException"):
        assert not asyncio.run(capacity.reserve("standard", 9000))
    assert asyncio.run(capacity.read("standard")) == Capacity(5, 7)


def test_every_other_error_of_lambda_is_retryable(capacity: LambdaLaneCapacity, functions: LambdaClient) -> None:
    for code in [*ERRORS, "TooManyRequestsException", "ServiceException"]:
        with answering_with(functions, "update_event_source_mapping", code), pytest.raises(StoreUnavailableError):
            asyncio.run(capacity.limit("standard", 9))
        with answering_with(functions, "put_function_concurrency", code), pytest.raises(StoreUnavailableError):
            asyncio.run(capacity.reserve("standard", 9))
    for operation in ("GetEventSourceMapping", "GetFunctionConcurrency"):
        with unreachable(functions, operation), pytest.raises(RetryableError) as reading:
            asyncio.run(capacity.read("standard"))
        assert reading.value.code == "capacity_unavailable"


def test_a_change_whose_answer_was_lost_may_have_been_made(
    capacity: LambdaLaneCapacity, functions: LambdaClient
) -> None:
    with answers_lost(functions, "PutFunctionConcurrency"), pytest.raises(RetryableError):
        asyncio.run(capacity.reserve("standard", 11))
    with answers_lost(functions, "UpdateEventSourceMapping"), pytest.raises(RetryableError):
        asyncio.run(capacity.limit("standard", 9))
    assert asyncio.run(capacity.read("standard")) == Capacity(9, 11)
