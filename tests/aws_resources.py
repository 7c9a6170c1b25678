"""Makes the fleet's tables, bucket and queues in whatever AWS the clients reach, from the synthesized templates."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.synthesis import Templates

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient


def make_table(dynamodb: DynamoDBClient, templates: Templates, name: str) -> str:
    """The table, by its name in the template; it has the template's keys, stream and time to live."""
    properties = templates.one("AWS::DynamoDB::Table", TableName=name).properties
    request: dict[str, Any] = {
        key: properties[key] for key in ("TableName", "KeySchema", "AttributeDefinitions", "BillingMode")
    }
    if "StreamSpecification" in properties:
        request["StreamSpecification"] = {"StreamEnabled": True, **properties["StreamSpecification"]}
    dynamodb.create_table(**request)
    dynamodb.update_time_to_live(TableName=name, TimeToLiveSpecification=properties["TimeToLiveSpecification"])
    return name


def make_bucket(s3: S3Client, templates: Templates) -> str:
    """The payloads bucket."""
    (bucket,) = templates.resources("AWS::S3::Bucket")
    name: str = bucket.properties["BucketName"]
    region = s3.meta.region_name
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": region})  # type: ignore[typeddict-item]
    return name


def make_queues(sqs: SQSClient, templates: Templates) -> dict[str, str]:
    """URLs of all lanes' queues and dead letter queues, by name."""
    urls: dict[str, str] = {}
    queues = [queue.properties for queue in templates.resources("AWS::SQS::Queue")]
    # What a queue refers to comes first.
    for properties in sorted(queues, key=lambda each: "RedrivePolicy" in each):
        attributes: dict[Any, str] = {
            "FifoQueue": "true",
            "DeduplicationScope": properties["DeduplicationScope"],
            "FifoThroughputLimit": properties["FifoThroughputLimit"],
        }
        if "VisibilityTimeout" in properties:
            attributes["VisibilityTimeout"] = str(properties["VisibilityTimeout"])
        if "RedrivePolicy" in properties:
            attributes["RedrivePolicy"] = json.dumps(properties["RedrivePolicy"])
        name = properties["QueueName"]
        urls[name] = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    return urls
