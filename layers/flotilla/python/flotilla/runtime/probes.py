"""One cheap call to each thing that the API cannot do without, to learn whether it answers.

A probe returns if the dependency answered as it should and raises `RetryableError` otherwise. It
writes nothing, and reads nothing that belongs to a task.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from flotilla.errors import RetryableError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_stepfunctions import SFNClient

Probe = Callable[[], None]

_NOTHING = "readiness-probe"
"""A key that nothing has."""

_EXPECTED_OF_S3 = frozenset({"NoSuchKey", "AccessDenied", "403", "404"})
"""What S3 says of an object that is not there; without the right to list, that is "access denied"."""

_EXPECTED_OF_STATES = frozenset({"ExecutionDoesNotExist", "StateMachineDoesNotExist", "ThrottlingException"})
"""What Step Functions says of an execution that is not there, and that it was asked too often, which is an answer."""


def table(client_factory: Callable[[], DynamoDBClient], name: str, partition_key: str) -> Probe:
    """A probe of a DynamoDB table."""

    def probe() -> None:
        try:
            client_factory().query(
                TableName=name,
                KeyConditionExpression="#key = :nothing",
                ExpressionAttributeNames={"#key": partition_key},
                ExpressionAttributeValues={":nothing": {"S": _NOTHING}},
                Limit=1,
            )
        except (ClientError, BotoCoreError) as error:
            raise RetryableError("a table does not answer", code="not_ready") from error

    return probe


def queue(client_factory: Callable[[], SQSClient], url: str) -> Probe:
    """A probe of an SQS queue."""

    def probe() -> None:
        try:
            client_factory().get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        except (ClientError, BotoCoreError) as error:
            raise RetryableError("a queue does not answer", code="not_ready") from error

    return probe


def bucket(client_factory: Callable[[], S3Client], name: str) -> Probe:
    """A probe of an S3 bucket."""

    def probe() -> None:
        try:
            client_factory().get_object(Bucket=name, Key=_NOTHING)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") not in _EXPECTED_OF_S3:
                raise RetryableError("a bucket does not answer", code="not_ready") from error
        except BotoCoreError as error:
            raise RetryableError("a bucket does not answer", code="not_ready") from error

    return probe


def state_machines(client_factory: Callable[[], SFNClient], machines: str, workflow: str) -> Probe:
    """A probe of Step Functions.

    Args:
        client_factory: Makes (or returns the cached) client.
        machines: What the ARNs of the fleet's state machines begin with.
        workflow: One of the workflows.
    """
    execution = f"{machines.replace(':stateMachine:', ':execution:', 1)}{workflow}:{_NOTHING}"

    def probe() -> None:
        try:
            client_factory().describe_execution(executionArn=execution)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") not in _EXPECTED_OF_STATES:
                raise RetryableError("Step Functions does not answer", code="not_ready") from error
        except BotoCoreError as error:
            raise RetryableError("Step Functions does not answer", code="not_ready") from error

    return probe
