"""What functions may do: one permission for each thing they do, on exactly the resources they do it to.

Written by hand: the grants of the CDK library allow whole families of actions (its read-write grant on a table
includes deleting), and the event log's promise is that no function can change what is written. A resource with a
star in it is refused unless the permission says why it cannot be named.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs


@dataclass(frozen=True)
class Permission:
    """One thing a function may do.

    Attributes:
        actions: Named in full.
        resources: ARNs.
        wildcard_reason: Why `resources` cannot be named in full; empty where they are.
        conditions: What must hold besides, as a policy says it.
    """

    actions: Sequence[str]
    resources: Sequence[str]
    wildcard_reason: str = ""
    conditions: Mapping[str, Any] = field(default_factory=dict)

    def statement(self) -> iam.PolicyStatement:
        """As a policy says it."""
        return iam.PolicyStatement(
            actions=list(self.actions), resources=list(self.resources), conditions=dict(self.conditions)
        )


def append_and_read(table: dynamodb.Table) -> Permission:
    """Append events and read a task's log. Neither update nor delete: a log is only ever added to."""
    return Permission(["dynamodb:PutItem", "dynamodb:Query"], [table.table_arn])


def look_up(table: dynamodb.Table) -> Permission:
    """Read single items by their whole key."""
    return Permission(["dynamodb:GetItem"], [table.table_arn])


def query(table: dynamodb.Table, *, indexes: Sequence[str] = ()) -> Permission:
    """Read the items of a partition, of the table and of these of its indexes."""
    return Permission(["dynamodb:Query"], [table.table_arn, *(f"{table.table_arn}/index/{name}" for name in indexes)])


def put(table: dynamodb.Table) -> Permission:
    """Write whole items."""
    return Permission(["dynamodb:PutItem"], [table.table_arn])


def update(table: dynamodb.Table) -> Permission:
    """Change attributes of items."""
    return Permission(["dynamodb:UpdateItem"], [table.table_arn])


def prolong(table: dynamodb.Table) -> Permission:
    """Change the time at which an event expires. What else an event holds can be neither changed nor read this way."""
    return Permission(
        ["dynamodb:UpdateItem"],
        [table.table_arn],
        conditions={
            "ForAllValues:StringEquals": {"dynamodb:Attributes": ["task_id", "seq", "expires_at"]},
            "StringEqualsIfExists": {"dynamodb:ReturnValues": ["NONE", "UPDATED_OLD", "UPDATED_NEW"]},
        },
    )


def within(table: dynamodb.Table, actions: Sequence[str], partitions: Sequence[str]) -> Permission:
    """Do `actions` in these partitions and in no other.

    Args:
        table: Their table.
        actions: `PutItem` and the like.
        partitions: Partition keys; one that ends in a star stands for all that begin so.
    """
    return Permission(
        [f"dynamodb:{action}" for action in actions],
        [table.table_arn],
        conditions={"ForAllValues:StringLike": {"dynamodb:LeadingKeys": list(partitions)}},
    )


def follow(table: dynamodb.Table) -> list[Permission]:
    """Read a table's stream; this is Lambda's poller, which uses the function's role."""
    stream = table.table_stream_arn
    assert stream is not None
    actions = ["DescribeStream", "GetRecords", "GetShardIterator"]
    return [
        Permission([f"dynamodb:{action}" for action in actions], [stream]),
        Permission(
            ["dynamodb:ListStreams"],
            ["*"],
            wildcard_reason="Listing streams knows no resources: it is allowed on all or on nothing.",
        ),
    ]


def read_objects(bucket_name: str) -> Permission:
    """Read objects by their names."""
    return _objects(bucket_name, ["s3:GetObject"])


def write_objects(bucket_name: str) -> Permission:
    """Store objects."""
    return _objects(bucket_name, ["s3:PutObject"])


def keep_objects(bucket_name: str) -> Permission:
    """Store and read objects. Not list them: an object is reached through the event or entry that names it."""
    return _objects(bucket_name, ["s3:GetObject", "s3:PutObject"])


def write_objects_below(bucket_name: str, prefix: str) -> Permission:
    """Store objects whose names begin with `prefix`."""
    return Permission(
        ["s3:PutObject"],
        [f"arn:{cdk.Aws.PARTITION}:s3:::{bucket_name}/{prefix}*"],
        wildcard_reason="The objects below this one prefix: they are named by hours that are yet to come.",
    )


def list_objects(bucket_name: str, prefixes: Sequence[str]) -> Permission:
    """See which objects there are whose names begin with one of `prefixes`: each is asked for by itself."""
    return Permission(
        ["s3:ListBucket"],
        [f"arn:{cdk.Aws.PARTITION}:s3:::{bucket_name}"],
        conditions={"StringEquals": {"s3:prefix": list(prefixes)}},
    )


def see_payload_missing(bucket_name: str) -> Permission:
    """Tell a payload that is gone from one that may not be read, which S3 tells only to who may list.

    Nothing is found this way that is not known already: what is listed must begin with the whole name of a payload.
    """
    return Permission(
        ["s3:ListBucket"],
        [f"arn:{cdk.Aws.PARTITION}:s3:::{bucket_name}"],
        conditions={"StringLike": {"s3:prefix": "tenants/*/tasks/*/*.json"}},
    )


def see_file_missing(bucket_name: str) -> Permission:
    """Tell an agent's file that is not there from one that may not be read, as `see_payload_missing`.

    Files have names of their agents' choice, so more than one can be found this way; who may, may read them all anyway.
    """
    return Permission(
        ["s3:ListBucket"],
        [f"arn:{cdk.Aws.PARTITION}:s3:::{bucket_name}"],
        conditions={"StringLike": {"s3:prefix": ["workflows/*", "tenants/*/tasks/*/files/*"]}},
    )


def _objects(bucket_name: str, actions: Sequence[str]) -> Permission:
    return Permission(
        actions,
        [f"arn:{cdk.Aws.PARTITION}:s3:::{bucket_name}/*"],
        wildcard_reason="The objects of this one bucket: they are named by tasks that are yet to come.",
    )


def send(queues: Sequence[sqs.Queue]) -> Permission:
    """Put messages on queues."""
    return Permission(["sqs:SendMessage"], [queue.queue_arn for queue in queues])


def inspect(queues: Sequence[sqs.Queue]) -> Permission:
    """See that queues are there and how full they are."""
    return Permission(["sqs:GetQueueAttributes"], [queue.queue_arn for queue in queues])


def read_metrics() -> Permission:
    """Read what CloudWatch has measured."""
    return Permission(
        ["cloudwatch:GetMetricData"],
        ["*"],
        wildcard_reason="Reading metrics knows no resources: it is allowed on all or on nothing.",
    )


def scale(function_arn: str, mapping_arn: str) -> list[Permission]:
    """Read and set how much of a function may run at once, and how much of it one mapping may ask for."""
    return [
        Permission(["lambda:GetFunctionConcurrency", "lambda:PutFunctionConcurrency"], [function_arn]),
        Permission(["lambda:GetEventSourceMapping", "lambda:UpdateEventSourceMapping"], [mapping_arn]),
    ]


def work_off(*queues: sqs.Queue) -> Permission:
    """Receive and delete (for Lambda's poller, which uses the function's role), and hold a message back for a while."""
    actions = ["ReceiveMessage", "DeleteMessage", "GetQueueAttributes", "ChangeMessageVisibility"]
    return Permission([f"sqs:{action}" for action in actions], [queue.queue_arn for queue in queues])


def schedule(group: str, role: iam.Role) -> list[Permission]:
    """Make and remove one-time schedules of a group, each acting as `role`."""
    schedules = f"arn:{cdk.Aws.PARTITION}:scheduler:{cdk.Aws.REGION}:{cdk.Aws.ACCOUNT_ID}:schedule/{group}/*"
    return [
        Permission(
            ["scheduler:CreateSchedule", "scheduler:DeleteSchedule"],
            [schedules],
            wildcard_reason="The schedules of this one group: they are named by tasks that are yet to come.",
        ),
        Permission(
            ["iam:PassRole"],
            [role.role_arn],
            conditions={"StringEquals": {"iam:PassedToService": "scheduler.amazonaws.com"}},
        ),
    ]


def read_secrets(names: Sequence[str]) -> Permission:
    """Read these secrets."""
    # Secrets Manager adds a hyphen and six characters of its own to the name.
    secrets = f"arn:{cdk.Aws.PARTITION}:secretsmanager:{cdk.Aws.REGION}:{cdk.Aws.ACCOUNT_ID}:secret"
    return Permission(["secretsmanager:GetSecretValue"], [f"{secrets}:{name}-??????" for name in names])


def invoke_models(models: Sequence[str], profiles: Mapping[str, str]) -> list[Permission]:
    """Invoke these models of Bedrock.

    Args:
        models: Their ids.
        profiles: Ids of inference profiles, and the id of the model behind each.
    """
    bedrock = f"arn:{cdk.Aws.PARTITION}:bedrock"
    here = f"{bedrock}:{cdk.Aws.REGION}:{cdk.Aws.ACCOUNT_ID}:inference-profile"
    named = [
        *(f"{bedrock}:{cdk.Aws.REGION}::foundation-model/{model}" for model in models),
        *(f"{here}/{profile}" for profile in profiles),
    ]
    direct = [Permission(["bedrock:InvokeModel"], named)] if named else []
    return [
        *direct,
        *(
            Permission(
                ["bedrock:InvokeModel"],
                [f"{bedrock}:*::foundation-model/{model}"],
                wildcard_reason="One model, in the regions that its inference profile sends to, and only through it.",
                conditions={"StringEquals": {"bedrock:InferenceProfileArn": f"{here}/{profile}"}},
            )
            for profile, model in profiles.items()
        ),
    ]


def put_events(bus: events.EventBus) -> Permission:
    """Put events on a bus."""
    return Permission(["events:PutEvents"], [bus.event_bus_arn])


def put_events_on(bus_name: str) -> Permission:
    """Put events on a bus of this account that another stack makes."""
    bus = f"arn:{cdk.Aws.PARTITION}:events:{cdk.Aws.REGION}:{cdk.Aws.ACCOUNT_ID}:event-bus/{bus_name}"
    return Permission(["events:PutEvents"], [bus])


def publish(topic: sns.Topic) -> Permission:
    """Publish on a topic."""
    return Permission(["sns:Publish"], [topic.topic_arn])


def observing(log_group_name: str, *, tracing: bool) -> list[Permission]:
    """What every function needs to be seen at work."""
    group = f"arn:{cdk.Aws.PARTITION}:logs:{cdk.Aws.REGION}:{cdk.Aws.ACCOUNT_ID}:log-group:{log_group_name}"
    logs = Permission(
        ["logs:CreateLogStream", "logs:PutLogEvents"],
        [f"{group}:log-stream:*"],
        wildcard_reason="The streams of this one log group: Lambda makes and names them.",
    )
    traces = Permission(
        ["xray:PutTraceSegments", "xray:PutTelemetryRecords"],
        ["*"],
        wildcard_reason="X-Ray's write actions know no resources: they are allowed on all or on nothing.",
    )
    return [logs, traces] if tracing else [logs]
