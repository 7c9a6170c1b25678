"""AWS clients, each made once per process, when first asked for.

They share one botocore session: loading its data is most of what a first client costs.
"""

from __future__ import annotations

import threading
from functools import cache
from typing import TYPE_CHECKING, Any

from flotilla import trace_context

if TYPE_CHECKING:
    from botocore.session import Session
    from mypy_boto3_bedrock_runtime import BedrockRuntimeClient
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_scheduler import EventBridgeSchedulerClient
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_stepfunctions import SFNClient

_CONNECT_TIMEOUT_SECONDS = 2.0
_READ_TIMEOUT_SECONDS = 6.0
_ATTEMPTS = 3
_CONNECTIONS = 24

_ANSWERS_SECONDS = (5.0, 20.0, 60.0, 180.0, 900.0)
"""How long clients of models wait for an answer: a few lengths, since each takes a client with its own connections."""

_MODEL_CONNECTIONS = 64


_making = threading.RLock()
"""Held while a client is made: `cache` alone would let two threads make two, on a session that is not made for that."""


@cache
def _session() -> Session:
    from botocore.session import get_session

    return get_session()


@cache
def _made(service: str, model_seconds: float | None = None) -> Any:
    from botocore.config import Config

    models = model_seconds is not None
    config = Config(
        connect_timeout=_CONNECT_TIMEOUT_SECONDS,
        read_timeout=model_seconds if models else _READ_TIMEOUT_SECONDS,
        # A model is asked once: a repetition is paid for, and is for those to decide who know of other models.
        retries={"mode": "standard", "total_max_attempts": 1 if models else _ATTEMPTS},
        max_pool_connections=_MODEL_CONNECTIONS if models else _CONNECTIONS,
        # It thinks in silence for longer than a gateway on the way keeps a silent connection.
        tcp_keepalive=models,
        # Given whole: assembling botocore's own for every call costs a tenth of the call.
        user_agent="flotilla",
        # What is sent is built by the adapters and tested against the service model there.
        parameter_validation=False,
    )
    client = _session().create_client(service, config=config)
    if models:
        client.meta.events.register("before-call", _with_trace)
    return client


def _with_trace(params: dict[str, Any], **_: Any) -> None:
    params["headers"].update(trace_context.headers())


def _client(service: str, model_seconds: float | None = None) -> Any:
    with _making:
        return _made(service, model_seconds)


def dynamodb() -> DynamoDBClient:
    """The DynamoDB client."""
    client: DynamoDBClient = _client("dynamodb")
    return client


def sqs() -> SQSClient:
    """The SQS client."""
    client: SQSClient = _client("sqs")
    return client


def s3() -> S3Client:
    """The S3 client."""
    client: S3Client = _client("s3")
    return client


def scheduler() -> EventBridgeSchedulerClient:
    """The EventBridge Scheduler client."""
    client: EventBridgeSchedulerClient = _client("scheduler")
    return client


def eventbridge() -> EventBridgeClient:
    """The EventBridge client."""
    client: EventBridgeClient = _client("events")
    return client


def sns() -> SNSClient:
    """The SNS client."""
    client: SNSClient = _client("sns")
    return client


def cloudwatch() -> CloudWatchClient:
    """The CloudWatch client."""
    client: CloudWatchClient = _client("cloudwatch")
    return client


def lambda_() -> LambdaClient:
    """The Lambda client."""
    client: LambdaClient = _client("lambda")
    return client


def secretsmanager() -> SecretsManagerClient:
    """The Secrets Manager client."""
    client: SecretsManagerClient = _client("secretsmanager")
    return client


def stepfunctions() -> SFNClient:
    """The Step Functions client."""
    client: SFNClient = _client("stepfunctions")
    return client


def bedrock_runtime(seconds: float) -> BedrockRuntimeClient:
    """A Bedrock Runtime client that tries once and waits for an answer for `seconds`, or up to four times as long."""
    waits = next((each for each in _ANSWERS_SECONDS if each >= seconds), _ANSWERS_SECONDS[-1])
    client: BedrockRuntimeClient = _client("bedrock-runtime", waits)
    return client
