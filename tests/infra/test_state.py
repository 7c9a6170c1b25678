"""The event log and its archive, the read model, coordination and payloads."""

from __future__ import annotations

from aws_cdk.assertions import Match, Template

from tests.synthesis import Templates


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


def test_the_read_models_indexes_hold_only_what_has_their_keys(state: Template) -> None:
    indexes = {
        name: [
            {"AttributeName": f"{name}_pk", "KeyType": "HASH"},
            {"AttributeName": f"{name}_sk", "KeyType": "RANGE"},
        ]
        for name in ("attention", "dead", "watch", "run")
    }
    projected = {"watch": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["head_seq", "looks"]}}
    everything = {"ProjectionType": "ALL"}
    state.has_resource_properties(
        "AWS::DynamoDB::Table",
        {
            "TableName": "flotilla-views",
            "BillingMode": "PAY_PER_REQUEST",
            "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            "GlobalSecondaryIndexes": [
                Match.object_like({"IndexName": name, "KeySchema": keys, "Projection": projected.get(name, everything)})
                for name, keys in indexes.items()
            ],
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


def kept_days(templates: Templates, kind: str) -> int:
    (bucket,) = [
        bucket.properties
        for bucket in templates.resources("AWS::S3::Bucket")
        if bucket.properties["BucketName"].startswith(f"flotilla-{kind}-")
    ]
    (rule,) = bucket["LifecycleConfiguration"]["Rules"]
    assert rule["Status"] == "Enabled"
    days: int = rule["ExpirationInDays"]
    return days


def test_buckets_are_private_encrypted_and_outlive_their_stack(state: Template) -> None:
    state.resource_count_is("AWS::S3::Bucket", 2)
    state.all_resources(
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
            },
        },
    )


def test_a_payload_outlives_every_event_that_may_name_it(templates: Templates) -> None:
    longest_delay, retention, margin = 365, 30, 14
    assert kept_days(templates, "payloads") >= longest_delay + retention + margin


def test_the_archive_outlives_the_logs(templates: Templates) -> None:
    assert kept_days(templates, "archive") == 365


def test_buckets_are_reached_by_tls_only(state: Template) -> None:
    state.resource_count_is("AWS::S3::BucketPolicy", 2)
    state.all_resources_properties(
        "AWS::S3::BucketPolicy",
        {
            "PolicyDocument": {
                "Statement": Match.array_with(
                    [Match.object_like({"Effect": "Deny", "Condition": {"Bool": {"aws:SecureTransport": "false"}}})]
                )
            }
        },
    )


def test_links_to_decisions_are_signed_by_a_secret_that_is_made_up_once(state: Template) -> None:
    state.has_resource(
        "AWS::SecretsManager::Secret",
        {
            "Properties": {
                "Name": "flotilla/decisions",
                # Of a length that is said: without it some have none at all.
                "GenerateSecretString": {"PasswordLength": 64, "ExcludePunctuation": True},
                "SecretString": Match.absent(),
            },
            "DeletionPolicy": "Retain",
        },
    )


def test_outputs_name_what_the_tools_look_for(state: Template) -> None:
    for name in ("EventsTable", "ControlTable", "ViewsTable", "PayloadsBucket", "ArchiveBucket"):
        state.has_output(name, {"Export": Match.absent()})
