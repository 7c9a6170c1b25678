"""What outlives every deployment: the event log, coordination, and large payloads."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_s3 as s3
from constructs import Construct

from stacks.constructs.acknowledgements import acknowledge
from stacks.local_differences import Place
from stacks.settings_model import Fleet

_EXPIRES_AT = "expires_at"

_GRACE_DAYS = 2
"""DynamoDB drops expired items within two days of their time: until then an event still finds its payload."""


class StateStack(cdk.Stack):
    """Two tables and a bucket.

    Attributes:
        events: The append-only log of every task. Key: `task_id`, `seq`.
        control: Keys and mutable coordination. Key: `pk`, `sk`.
        payloads: Values too large for an event.
        payloads_name: The bucket's name, known to other stacks without a reference.
    """

    def __init__(self, scope: Construct, construct_id: str, *, fleet: Fleet, place: Place) -> None:
        super().__init__(scope, construct_id, description=f"{fleet.name}: event log, coordination, payloads")
        self._keeps_data = place.keeps_data
        self.events = self._table(
            "Events",
            f"{fleet.name}-events",
            partition_key=dynamodb.Attribute(name="task_id", type=dynamodb.AttributeType.STRING),
            sort_key=dynamodb.Attribute(name="seq", type=dynamodb.AttributeType.NUMBER),
            stream=dynamodb.StreamViewType.NEW_IMAGE,
        )
        self.control = self._table(
            "Control",
            f"{fleet.name}-control",
            partition_key=dynamodb.Attribute(name="pk", type=dynamodb.AttributeType.STRING),
            sort_key=dynamodb.Attribute(name="sk", type=dynamodb.AttributeType.STRING),
        )
        # Bucket names are the world's, not the account's.
        self.payloads_name = f"{fleet.name}-payloads-{cdk.Aws.ACCOUNT_ID}-{cdk.Aws.REGION}"
        self.payloads = self._bucket(self.payloads_name, fleet.retention.days)
        cdk.CfnOutput(self, "EventsTable", value=self.events.table_name)
        cdk.CfnOutput(self, "ControlTable", value=self.control.table_name)
        cdk.CfnOutput(self, "PayloadsBucket", value=self.payloads.bucket_name)

    @property
    def _removal_policy(self) -> cdk.RemovalPolicy:
        return cdk.RemovalPolicy.RETAIN if self._keeps_data else cdk.RemovalPolicy.DESTROY

    def _table(
        self,
        construct_id: str,
        name: str,
        *,
        partition_key: dynamodb.Attribute,
        sort_key: dynamodb.Attribute,
        stream: dynamodb.StreamViewType | None = None,
    ) -> dynamodb.Table:
        return dynamodb.Table(
            self,
            construct_id,
            table_name=name,
            partition_key=partition_key,
            sort_key=sort_key,
            stream=stream,
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            time_to_live_attribute=_EXPIRES_AT,
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            deletion_protection=self._keeps_data,
            removal_policy=self._removal_policy,
        )

    def _bucket(self, name: str, retention_days: int) -> s3.Bucket:
        bucket = s3.Bucket(
            self,
            "Payloads",
            bucket_name=name,
            encryption=s3.BucketEncryption.S3_MANAGED,
            enforce_ssl=True,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            versioned=False,
            lifecycle_rules=[
                s3.LifecycleRule(
                    id="forget",
                    expiration=cdk.Duration.days(retention_days + _GRACE_DAYS),
                    abort_incomplete_multipart_upload_after=cdk.Duration.days(1),
                )
            ],
            removal_policy=self._removal_policy,
        )
        acknowledge(
            bucket,
            {
                "AwsSolutions-S1": "Who stored and read what is in the event log, hash-chained; access logs would "
                "repeat it, at a price for each payload."
            },
        )
        return bucket
