"""The event log, coordination and payloads."""

from __future__ import annotations

from aws_cdk.assertions import Match, Template


def test_events_are_kept_by_task_and_sequence_with_a_stream_of_new_images(state: Template) -> None:
    state.has_resource_properties(
        "AWS::DynamoDB::Table",
        {
            "TableName": "flotilla-events",
            "BillingMode": "PAY_PER_REQUEST",
            "KeySchema": [
                {"AttributeName": "task_id", "KeyType": "HASH"},
                {"AttributeName": "seq", "KeyType": "RANGE"},
            ],
            "AttributeDefinitions": Match.array_with(
                [{"AttributeName": "task_id", "AttributeType": "S"}, {"AttributeName": "seq", "AttributeType": "N"}]
            ),
            "StreamSpecification": {"StreamViewType": "NEW_IMAGE"},
        },
    )


def test_coordination_is_a_table_of_its_own(state: Template) -> None:
    state.has_resource_properties(
        "AWS::DynamoDB::Table",
        {
            "TableName": "flotilla-control",
            "BillingMode": "PAY_PER_REQUEST",
            "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            "StreamSpecification": Match.absent(),
        },
    )


def test_tables_expire_items_and_can_be_restored_and_cannot_be_lost_with_their_stack(state: Template) -> None:
    state.all_resources(
        "AWS::DynamoDB::Table",
        Match.object_like(
            {
                "DeletionPolicy": "Retain",
                "UpdateReplacePolicy": "Retain",
                "Properties": {
                    "TimeToLiveSpecification": {"AttributeName": "expires_at", "Enabled": True},
                    "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True},
                    "DeletionProtectionEnabled": True,
                },
            }
        ),
    )


def test_payloads_are_private_encrypted_and_outlive_the_events_that_name_them(state: Template) -> None:
    state.has_resource(
        "AWS::S3::Bucket",
        {
            "DeletionPolicy": "Retain",
            "Properties": {
                "BucketEncryption": Match.any_value(),
                "VersioningConfiguration": Match.absent(),
                "PublicAccessBlockConfiguration": {
                    "BlockPublicAcls": True,
                    "BlockPublicPolicy": True,
                    "IgnorePublicAcls": True,
                    "RestrictPublicBuckets": True,
                },
                "LifecycleConfiguration": {"Rules": [Match.object_like({"ExpirationInDays": 32, "Status": "Enabled"})]},
            },
        },
    )


def test_payloads_are_reached_by_tls_only(state: Template) -> None:
    state.has_resource_properties(
        "AWS::S3::BucketPolicy",
        {
            "PolicyDocument": {
                "Statement": Match.array_with(
                    [Match.object_like({"Effect": "Deny", "Condition": {"Bool": {"aws:SecureTransport": "false"}}})]
                )
            }
        },
    )


def test_outputs_name_what_the_tools_look_for(state: Template) -> None:
    for name in ("EventsTable", "ControlTable", "PayloadsBucket"):
        state.has_output(name, {"Export": Match.absent()})
