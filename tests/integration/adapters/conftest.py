"""An AWS for each module of adapter tests, with fresh tables, buckets and queues for each test.

Each test is run twice: on moto in this process, and on an embedded engine into which nothing is deployed. The clients
check what they are given against the services' models, which the functions' own do not, and try each call once: what is
tried again is the business of whoever calls the adapter.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.config import Config
from moto import mock_aws

from local.engine_process import engine_url, start_engine, stop_engine
from local.instance import Instance
from local.progress import Step
from tests.aws_resources import make_bucket, make_queues, make_table
from tests.synthesis import ACCOUNT, REGION, Templates

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

ONCE = Config(retries={"total_max_attempts": 1, "mode": "standard"})


@pytest.fixture(scope="session")
def bare_engine_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where an embedded engine answers that holds nothing."""
    instance = Instance(root=tmp_path_factory.mktemp("bare-engine"), port=0, owner_pid=os.getpid())
    instance.make_directories()
    try:
        yield engine_url(start_engine(instance, Step("engine")))
    finally:
        stop_engine(instance)


@pytest.fixture(scope="module", params=["moto", "engine"])
def aws(request: pytest.FixtureRequest) -> Iterator[boto3.Session]:
    with pytest.MonkeyPatch.context() as environment:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            environment.delenv(name)
        for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
            environment.setenv(name, os.devnull)
        # The engine takes an access key that looks like an account for the account.
        session = boto3.Session(aws_access_key_id=ACCOUNT, aws_secret_access_key="testing", region_name=REGION)
        if request.param == "engine":
            environment.setenv("AWS_ENDPOINT_URL", request.getfixturevalue("bare_engine_url"))
            yield session
            return
        environment.setenv("MOTO_ACCOUNT_ID", ACCOUNT)
        with mock_aws():
            yield session


@pytest.fixture(scope="module")
def dynamodb(aws: boto3.Session) -> DynamoDBClient:
    return aws.client("dynamodb", config=ONCE)


@pytest.fixture(scope="module")
def s3(aws: boto3.Session) -> S3Client:
    return aws.client("s3", config=ONCE)


@pytest.fixture(scope="module")
def sqs(aws: boto3.Session) -> SQSClient:
    return aws.client("sqs", config=ONCE)


@pytest.fixture
def events_table(dynamodb: DynamoDBClient, templates: Templates) -> Iterator[str]:
    name = make_table(dynamodb, templates, "flotilla-events")
    yield name
    dynamodb.delete_table(TableName=name)


@pytest.fixture
def control_table(dynamodb: DynamoDBClient, templates: Templates) -> Iterator[str]:
    name = make_table(dynamodb, templates, "flotilla-control")
    yield name
    dynamodb.delete_table(TableName=name)


@pytest.fixture
def views_table(dynamodb: DynamoDBClient, templates: Templates) -> Iterator[str]:
    name = make_table(dynamodb, templates, "flotilla-views")
    yield name
    dynamodb.delete_table(TableName=name)


@pytest.fixture
def archive_bucket(s3: S3Client, templates: Templates) -> Iterator[str]:
    name = make_bucket(s3, templates, "archive")
    yield name
    for content in s3.list_objects_v2(Bucket=name).get("Contents", []):
        s3.delete_object(Bucket=name, Key=content["Key"])
    s3.delete_bucket(Bucket=name)


@pytest.fixture
def payloads_bucket(s3: S3Client, templates: Templates) -> Iterator[str]:
    name = make_bucket(s3, templates)
    yield name
    for content in s3.list_objects_v2(Bucket=name).get("Contents", []):
        s3.delete_object(Bucket=name, Key=content["Key"])
    s3.delete_bucket(Bucket=name)


@pytest.fixture
def queue_urls(sqs: SQSClient, templates: Templates) -> Iterator[dict[str, str]]:
    urls = make_queues(sqs, templates)
    yield urls
    for url in urls.values():
        sqs.delete_queue(QueueUrl=url)
