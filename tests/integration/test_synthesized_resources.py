"""The resources that the other integration tests stand on behave as the templates promise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.synthesis import Templates

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_sqs import SQSClient


def test_an_event_can_be_written_once_at_each_place_of_a_log(dynamodb: DynamoDBClient, events_table: str) -> None:
    item = {"task_id": {"S": "t"}, "seq": {"N": "0"}}
    condition = "attribute_not_exists(task_id)"
    dynamodb.put_item(TableName=events_table, Item=item, ConditionExpression=condition)
    dynamodb.put_item(TableName=events_table, Item={**item, "seq": {"N": "1"}}, ConditionExpression=condition)
    with pytest.raises(dynamodb.exceptions.ConditionalCheckFailedException):
        dynamodb.put_item(TableName=events_table, Item=item, ConditionExpression=condition)


def test_tables_forget_what_has_expired(dynamodb: DynamoDBClient, events_table: str, control_table: str) -> None:
    for table in (events_table, control_table):
        described = dynamodb.describe_time_to_live(TableName=table)["TimeToLiveDescription"]
        assert described == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires_at"}


def test_a_message_received_too_often_moves_to_its_lanes_dead_letters(
    sqs: SQSClient, queue_urls: dict[str, str], templates: Templates
) -> None:
    url = queue_urls["flotilla-critical.fifo"]
    sqs.send_message(QueueUrl=url, MessageBody="x", MessageGroupId="g", MessageDeduplicationId="d")
    queue = templates.one("AWS::SQS::Queue", QueueName="flotilla-critical.fifo").properties
    for _ in range(queue["RedrivePolicy"]["maxReceiveCount"] + 1):
        sqs.receive_message(QueueUrl=url, VisibilityTimeout=0)
    dead = sqs.receive_message(QueueUrl=queue_urls["flotilla-critical-dlq.fifo"])
    assert [message["Body"] for message in dead["Messages"]] == ["x"]
