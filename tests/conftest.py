"""One synth for the whole run, also where the run is spread over several processes, and an AWS in memory made of it."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.synthesis import ACCOUNT, REGION, Templates, synthesize

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Templates:
    """What the repository's own fleet.toml synthesizes to for AWS."""
    return _once(tmp_path_factory, "aws", local=False)


@pytest.fixture(scope="session")
def local_templates(tmp_path_factory: pytest.TempPathFactory) -> Templates:
    """The same for the embedded engine."""
    return _once(tmp_path_factory, "local", local=True)


def _once(tmp_path_factory: pytest.TempPathFactory, name: str, *, local: bool) -> Templates:
    shared = tmp_path_factory.getbasetemp()
    if shared.name.startswith("popen-"):
        shared = shared.parent  # one process of several: what they share is one level up
    directory = shared / f"assembly-{name}"
    with Path(f"{directory}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (directory / "manifest.json").exists():
            synthesize(directory, local=local)
    return Templates(directory)


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every AWS call of this process goes to an AWS in memory; nothing of this machine's configuration is seen."""
    from moto import mock_aws

    for name, value in {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "MOTO_ACCOUNT_ID": ACCOUNT,
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    with mock_aws():
        yield


@pytest.fixture
def dynamodb(aws: None) -> DynamoDBClient:
    import boto3

    return boto3.client("dynamodb")


@pytest.fixture
def sqs(aws: None) -> SQSClient:
    import boto3

    return boto3.client("sqs")


@pytest.fixture
def s3(aws: None) -> S3Client:
    import boto3

    return boto3.client("s3")


@pytest.fixture
def events_table(dynamodb: DynamoDBClient, templates: Templates) -> str:
    """Name of the events table, made from the template's key schema."""
    from tests.aws_resources import make_table

    return make_table(dynamodb, templates, "flotilla-events")


@pytest.fixture
def control_table(dynamodb: DynamoDBClient, templates: Templates) -> str:
    """Name of the control table, made from the template's key schema."""
    from tests.aws_resources import make_table

    return make_table(dynamodb, templates, "flotilla-control")


@pytest.fixture
def views_table(dynamodb: DynamoDBClient, templates: Templates) -> str:
    """Name of the read model's table, made from the template's keys and indexes."""
    from tests.aws_resources import make_table

    return make_table(dynamodb, templates, "flotilla-views")


@pytest.fixture
def archive_bucket(s3: S3Client, templates: Templates) -> str:
    """Name of the archive bucket."""
    from tests.aws_resources import make_bucket

    return make_bucket(s3, templates, "archive")


@pytest.fixture
def payloads_bucket(s3: S3Client, templates: Templates) -> str:
    """Name of the payloads bucket."""
    from tests.aws_resources import make_bucket

    return make_bucket(s3, templates)


@pytest.fixture
def queue_urls(sqs: SQSClient, templates: Templates) -> dict[str, str]:
    """URLs of all queues, by the queues' names."""
    from tests.aws_resources import make_queues

    return make_queues(sqs, templates)
