"""Makes the fleet's tables, buckets and queues in whatever AWS the clients reach, from the synthesized templates."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.synthesis import Templates

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient


def make_table(dynamodb: DynamoDBClient, templates: Templates, name: str) -> str:
    """The table, by its name in the template; it has the template's keys, indexes, stream and time to live."""
    properties = templates.one("AWS::DynamoDB::Table", TableName=name).properties
    request: dict[str, Any] = {
        key: properties[key] for key in ("TableName", "KeySchema", "AttributeDefinitions", "BillingMode")
    }
    if "GlobalSecondaryIndexes" in properties:
        request["GlobalSecondaryIndexes"] = properties["GlobalSecondaryIndexes"]
    if "StreamSpecification" in properties:
        request["StreamSpecification"] = {"StreamEnabled": True, **properties["StreamSpecification"]}
    dynamodb.create_table(**request)
    dynamodb.update_time_to_live(TableName=name, TimeToLiveSpecification=properties["TimeToLiveSpecification"])
    return name


def make_bucket(s3: S3Client, templates: Templates, kind: str = "payloads") -> str:
    """The bucket for `payloads`, or for the `archive`."""
    names = [str(bucket.properties["BucketName"]) for bucket in templates.resources("AWS::S3::Bucket")]
    (name,) = [name for name in names if name.startswith(f"flotilla-{kind}-")]
    region = s3.meta.region_name
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": region})  # type: ignore[typeddict-item]
    return name


_QUEUE_ATTRIBUTES = (
    "ContentBasedDeduplication",
    "DeduplicationScope",
    "DelaySeconds",
    "FifoQueue",
    "FifoThroughputLimit",
    "RedrivePolicy",
    "VisibilityTimeout",
)


def make_queues(sqs: SQSClient, templates: Templates) -> dict[str, str]:
    """URLs of all queues, by name: lanes, dead letters, the delay ladder, webhook deliveries and the rest."""
    urls: dict[str, str] = {}
    queues = [queue.properties for queue in templates.resources("AWS::SQS::Queue")]
    # What a queue refers to comes first.
    for properties in sorted(queues, key=lambda each: "RedrivePolicy" in each):
        # All as texts: numbers, true and false, and policies alike are as JSON writes them.
        attributes: dict[Any, str] = {
            name: value if isinstance(value := properties[name], str) else json.dumps(value)
            for name in _QUEUE_ATTRIBUTES
            if name in properties
        }
        name = properties["QueueName"]
        urls[name] = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    return urls
