"""States of Step Functions that are answered by their tokens: on the engine, where state machines run."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from flotilla.errors import StoreUnavailableError
from flotilla.stepfunctions.task_tokens import StepFunctionsTaskTokens
from tests.contracts.task_tokens import AskedToken, TaskTokensContract, ToldTo, fail, succeed
from tests.e2e.waiting import eventually
from tests.fakes import run_on_thread
from tests.fakes.workflows import Answer
from tests.integration.adapters.aws_failures import ERRORS, answering_with, answers_lost, requests_of, unreachable
from tests.integration.adapters.conftest import ONCE
from tests.synthesis import ACCOUNT, REGION

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_stepfunctions import SFNClient

NOBODY_WAITS = ["TaskTimedOut", "TaskDoesNotExist", "InvalidToken"]


@pytest.fixture(scope="module")
def session(bare_engine_url: str) -> Iterator[boto3.Session]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ENDPOINT_URL", bare_engine_url)
        yield boto3.Session(aws_access_key_id=ACCOUNT, aws_secret_access_key="testing", region_name=REGION)


@pytest.fixture(scope="module")
def client(session: boto3.Session) -> SFNClient:
    return session.client("stepfunctions", config=ONCE)


@pytest.fixture(scope="module")
def sqs(session: boto3.Session) -> SQSClient:
    return session.client("sqs", config=ONCE)


@pytest.fixture(scope="module")
def queue_url(sqs: SQSClient) -> Iterator[str]:
    url = sqs.create_queue(QueueName="asked")["QueueUrl"]
    yield url
    sqs.delete_queue(QueueUrl=url)


@pytest.fixture(scope="module")
def machine(client: SFNClient, queue_url: str) -> Iterator[str]:
    asking: dict[str, Any] = {
        "Type": "Task",
        "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
        "Parameters": {"QueueUrl": queue_url, "MessageBody": {"token.$": "$$.Task.Token"}},
        "TimeoutSeconds": 600,
        "End": True,
    }
    definition = json.dumps({"StartAt": "Ask", "States": {"Ask": asking}})
    role = f"arn:aws:iam::{ACCOUNT}:role/states"
    arn = client.create_state_machine(name="asking", definition=definition, roleArn=role)["stateMachineArn"]
    yield arn
    client.delete_state_machine(stateMachineArn=arn)


_numbers = itertools.count()


@pytest.fixture
def tokens(client: SFNClient) -> StepFunctionsTaskTokens:
    return StepFunctionsTaskTokens(lambda: client, run_on_thread)


@pytest.fixture
def by_token() -> dict[str, str]:
    """The executions that wait, by their tokens."""
    return {}


@pytest.fixture
def asked(client: SFNClient, sqs: SQSClient, machine: str, queue_url: str, by_token: dict[str, str]) -> AskedToken:
    def ask() -> str:
        name = f"asks-{next(_numbers)}"
        execution = client.start_execution(stateMachineArn=machine, name=name, input="{}")["executionArn"]

        def received() -> str | None:
            for message in sqs.receive_message(QueueUrl=queue_url, WaitTimeSeconds=1).get("Messages", []):
                sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
                return str(json.loads(message["Body"])["token"])
            return None

        token = eventually(received, "the state's message")
        by_token[token] = execution
        return token

    return ask


@pytest.fixture
def told_to(client: SFNClient, by_token: dict[str, str]) -> ToldTo:
    def told(token: str) -> Answer:
        def ended() -> dict[str, Any] | None:
            found: dict[str, Any] = dict(client.describe_execution(executionArn=by_token[token]))
            return None if found["status"] == "RUNNING" else found

        found = eventually(ended, "the end of the execution")
        output = found.get("output") if found["status"] == "SUCCEEDED" else None
        return Answer(token, output=output, error=found.get("error"), cause=found.get("cause"))

    return told


class TestStepFunctionsTaskTokens(TaskTokensContract):
    """The contract."""


@pytest.mark.parametrize("code", NOBODY_WAITS)
def test_whatever_says_that_nobody_waits_is_no_error(
    tokens: StepFunctionsTaskTokens, client: SFNClient, code: str
) -> None:
    with answering_with(client, "send_task_success", code):
        assert not succeed(tokens, "token")
    with answering_with(client, "send_task_failure", code):
        assert not fail(tokens, "token")


def test_what_does_not_answer_is_retryable(tokens: StepFunctionsTaskTokens, client: SFNClient) -> None:
    for code in [*ERRORS, "KmsThrottlingException"]:
        with answering_with(client, "send_task_success", code), pytest.raises(StoreUnavailableError) as telling:
            succeed(tokens, "token")
        assert telling.value.code == "step_functions_unavailable"
        with answering_with(client, "send_task_failure", code), pytest.raises(StoreUnavailableError):
            fail(tokens, "token")
    with unreachable(client, "SendTaskSuccess"), pytest.raises(StoreUnavailableError):
        succeed(tokens, "token")
    with unreachable(client, "SendTaskFailure"), pytest.raises(StoreUnavailableError):
        fail(tokens, "token")


def test_an_answer_whose_own_was_lost_is_given_again_in_vain(
    tokens: StepFunctionsTaskTokens, client: SFNClient, asked: AskedToken, told_to: ToldTo
) -> None:
    token = asked()
    with answers_lost(client, "SendTaskSuccess"), pytest.raises(StoreUnavailableError):
        succeed(tokens, token, '{"a":1}')
    assert json.loads(told_to(token).output or "") == {"a": 1}
    assert not succeed(tokens, token, '{"a":1}')


def test_an_answer_is_one_call_and_no_client_is_made_before(client: SFNClient) -> None:
    made: list[SFNClient] = []

    def make() -> SFNClient:
        made.append(client)
        return client

    tokens = StepFunctionsTaskTokens(make, run_on_thread)
    assert not made
    with requests_of(client, "SendTaskSuccess") as requests:
        succeed(tokens, "A" * 512)
    assert len(requests) == 1
