"""What outlives every deployment: the event log and its archive, the read model, coordination, payloads, and a key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import aws_cdk as cdk
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from stacks.constructs.acknowledgements import acknowledge
from stacks.local_differences import Place
from stacks.settings_model import Fleet

_EXPIRES_AT = "expires_at"

_VIEW_INDEXES: Mapping[str, Sequence[str]] = {
    "attention": (),
    "dead": (),
    "watch": ("head_seq", "looks"),
    "run": (),
}
"""Indexes of the read model, the keys of each named after it, and what they hold besides; nothing said means all."""

_KEY = dynamodb.AttributeType.STRING
_PK = dynamodb.Attribute(name="pk", type=_KEY)
_SK = dynamodb.Attribute(name="sk", type=_KEY)

_EVENT_MARGIN_DAYS = 14
"""How much longer than `retention.days` an event is kept: what the keeper has to archive it before it expires."""

_KEY_LENGTH = 64
"""Of letters and digits: more than a digest of 256 bits can use."""

_LONGEST_DELAY_DAYS = 365
"""How far ahead a task may be due."""

_GRACE_DAYS = 2
"""DynamoDB drops expired items within two days of their time: until then an event still finds its payload."""


class StateStack(cdk.Stack):
    """Three tables, two buckets and a secret.

    Attributes:
        events: The append-only log of every task. Key: `task_id`, `seq`.
        control: Keys and mutable coordination. Key: `pk`, `sk`.
        views: The read model: one entry for each task, made of the log. Key: `pk`, `sk`. Its indexes hold only what
            needs somebody's attention (`attention`, `dead`) or the reconciler's (`watch`), so a task that meets no
            trouble writes none of them; and, of tasks that a workflow asked for, to whose run they belong (`run`).
        payloads: Values too large for an event.
        payloads_name: The bucket's name, known to other stacks without a reference.
        archive: Finished logs.
        archive_name: As `payloads_name`.
        decisions_name: The name of the secret by which links to decisions are signed.
    """

    def __init__(self, scope: Construct, construct_id: str, *, fleet: Fleet, place: Place) -> None:
        super().__init__(
            scope, construct_id, description=f"{fleet.name}: event log, read model, coordination, payloads"
        )
        self._keeps_data = place.keeps_data
        self.events = self._table(
            "Events",
            f"{fleet.name}-events",
            partition_key=dynamodb.Attribute(name="task_id", type=_KEY),
            sort_key=dynamodb.Attribute(name="seq", type=dynamodb.AttributeType.NUMBER),
            stream=dynamodb.StreamViewType.NEW_IMAGE,
        )
        self.control = self._table("Control", f"{fleet.name}-control")
        self.views = self._table("Views", f"{fleet.name}-views")
        for index, included in _VIEW_INDEXES.items():
            self.views.add_global_secondary_index(
                index_name=index,
                partition_key=dynamodb.Attribute(name=f"{index}_pk", type=_KEY),
                sort_key=dynamodb.Attribute(name=f"{index}_sk", type=_KEY),
                projection_type=dynamodb.ProjectionType.INCLUDE if included else dynamodb.ProjectionType.ALL,
                non_key_attributes=list(included) if included else None,
            )
        # Bucket names are the world's, not the account's.
        place_in_the_world = f"{cdk.Aws.ACCOUNT_ID}-{cdk.Aws.REGION}"
        self.payloads_name = f"{fleet.name}-payloads-{place_in_the_world}"
        # An object's age does not tell when its task is due: the input of one that is a year away must still be there.
        kept_days = fleet.retention.days + _LONGEST_DELAY_DAYS + _EVENT_MARGIN_DAYS + _GRACE_DAYS
        self.payloads = self._bucket("Payloads", self.payloads_name, kept_days)
        self.archive_name = f"{fleet.name}-archive-{place_in_the_world}"
        self.archive = self._bucket("Archive", self.archive_name, fleet.retention.archive_days)
        self.decisions_name = f"{fleet.name}/decisions"
        self._signing_key("Decisions", self.decisions_name, "Signs links by which people decide")
        cdk.CfnOutput(self, "EventsTable", value=self.events.table_name)
        cdk.CfnOutput(self, "ControlTable", value=self.control.table_name)
        cdk.CfnOutput(self, "ViewsTable", value=self.views.table_name)
        cdk.CfnOutput(self, "PayloadsBucket", value=self.payloads.bucket_name)
        cdk.CfnOutput(self, "ArchiveBucket", value=self.archive.bucket_name)

    @property
    def _removal_policy(self) -> cdk.RemovalPolicy:
        return cdk.RemovalPolicy.RETAIN if self._keeps_data else cdk.RemovalPolicy.DESTROY

    def _table(
        self,
        construct_id: str,
        name: str,
        *,
        partition_key: dynamodb.Attribute = _PK,
        sort_key: dynamodb.Attribute = _SK,
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

    def _signing_key(self, construct_id: str, name: str, description: str) -> None:
        secret = secretsmanager.Secret(
            self,
            construct_id,
            secret_name=name,
            description=description,
            generate_secret_string=secretsmanager.SecretStringGenerator(
                password_length=_KEY_LENGTH, exclude_punctuation=True
            ),
            removal_policy=self._removal_policy,
        )
        acknowledge(
            secret,
            {
                "AwsSolutions-SMG4": "What it has signed is with people and must hold until they decide; nothing but "
                "functions of the fleet reads it, and an operator who has reason to changes it by hand."
            },
        )

    def _bucket(self, construct_id: str, name: str, kept_days: int) -> s3.Bucket:
        bucket = s3.Bucket(
            self,
            construct_id,
            bucket_name=name,
            encryption=s3.BucketEncryption.S3_MANAGED,
            enforce_ssl=True,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            versioned=False,
            lifecycle_rules=[
                s3.LifecycleRule(
                    id="forget",
                    expiration=cdk.Duration.days(kept_days),
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
