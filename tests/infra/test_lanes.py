"""The priority lanes, the delay ladder, and the other queues."""

from __future__ import annotations

import pytest
from aws_cdk.assertions import Match, Template

from stacks.config import load
from tests.synthesis import ACCOUNT, REGION, REPOSITORY, Templates

NAMES = ("critical", "standard", "batch")
FLEET = load(REPOSITORY / "fleet.toml")


@pytest.mark.parametrize("name", NAMES)
def test_a_lane_is_a_high_throughput_fifo_queue_with_dead_letters_of_its_own(
    lanes: Template, templates: Templates, name: str
) -> None:
    dead_letters = templates.one("AWS::SQS::Queue", QueueName=f"flotilla-{name}-dlq.fifo")
    lanes.has_resource_properties(
        "AWS::SQS::Queue",
        {
            "QueueName": f"flotilla-{name}.fifo",
            "FifoQueue": True,
            "DeduplicationScope": "messageGroup",
            "FifoThroughputLimit": "perMessageGroupId",
            "ContentBasedDeduplication": Match.not_(True),
            "RedrivePolicy": {
                "deadLetterTargetArn": {"Fn::GetAtt": [dead_letters.logical_id, "Arn"]},
                "maxReceiveCount": FLEET.lanes[name].max_receive_count,
            },
        },
    )
    assert dead_letters.properties["FifoQueue"] is True


def test_a_message_stays_invisible_for_six_times_its_functions_timeout(templates: Templates) -> None:
    for name, lane in FLEET.lanes.items():
        queue = templates.one("AWS::SQS::Queue", QueueName=f"flotilla-{name}.fifo").properties
        worker = templates.one("AWS::Lambda::Function", FunctionName=f"flotilla-worker-{name}").properties
        assert worker["Timeout"] == lane.timeout_seconds
        assert queue["VisibilityTimeout"] == 6 * worker["Timeout"]


@pytest.mark.parametrize("seconds", FLEET.delays.tiers_seconds)
def test_a_tier_delays_all_of_its_messages_and_knows_duplicates_by_content(templates: Templates, seconds: int) -> None:
    tier = templates.one("AWS::SQS::Queue", QueueName=f"flotilla-delay-{seconds}.fifo").properties
    assert tier["DelaySeconds"] == seconds
    assert tier["ContentBasedDeduplication"] is True
    assert (tier["DeduplicationScope"], tier["FifoThroughputLimit"]) == ("messageGroup", "perMessageGroupId")
    dead_letters = templates.one("AWS::SQS::Queue", QueueName="flotilla-delays-dlq.fifo")
    assert tier["RedrivePolicy"]["deadLetterTargetArn"] == dead_letters.arn


def test_tiers_short_enough_only_still_hold_a_message_for_half_a_day(templates: Templates) -> None:
    holds = 12 * 3600 / 300  # held in place for five minutes at a time
    for seconds in FLEET.delays.tiers_seconds:
        tier = templates.one("AWS::SQS::Queue", QueueName=f"flotilla-delay-{seconds}.fifo").properties
        assert tier["RedrivePolicy"]["maxReceiveCount"] > 2 * holds


def test_what_cannot_be_delivered_is_put_aside(templates: Templates) -> None:
    deliveries = templates.one("AWS::SQS::Queue", QueueName="flotilla-webhooks").properties
    dead_letters = templates.one("AWS::SQS::Queue", QueueName="flotilla-webhooks-dlq")
    assert "FifoQueue" not in deliveries
    assert deliveries["RedrivePolicy"]["deadLetterTargetArn"] == dead_letters.arn


def test_schedules_may_enter_the_ladder_and_do_nothing_else(lanes: Template, templates: Templates) -> None:
    lanes.has_resource_properties("AWS::Scheduler::ScheduleGroup", {"Name": "flotilla"})
    role = templates.schedule_role.properties
    (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": "scheduler.amazonaws.com"}
    assert trust["Condition"]["StringEquals"] == {
        "aws:SourceAccount": ACCOUNT,
        "aws:SourceArn": f"arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule-group/flotilla",
    }
    (policy,) = role["Policies"]
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert statement == {
        "Action": "sqs:SendMessage",
        "Effect": "Allow",
        "Resource": f"arn:aws:sqs:{REGION}:{ACCOUNT}:flotilla-delay-1.fifo",
    }


def test_every_queue_is_encrypted_and_keeps_messages_as_long_as_sqs_can(lanes: Template) -> None:
    lanes.all_resources_properties(
        "AWS::SQS::Queue", {"SqsManagedSseEnabled": True, "MessageRetentionPeriod": 1_209_600}
    )


def test_every_queue_is_reached_by_tls_only(lanes: Template) -> None:
    lanes.resource_count_is("AWS::SQS::QueuePolicy", len(lanes.find_resources("AWS::SQS::Queue")))
    lanes.all_resources_properties(
        "AWS::SQS::QueuePolicy",
        {
            "PolicyDocument": {
                "Statement": [
                    Match.object_like({"Effect": "Deny", "Condition": {"Bool": {"aws:SecureTransport": "false"}}})
                ]
            }
        },
    )


def test_outputs_name_what_the_tools_look_for(lanes: Template) -> None:
    for name in NAMES:
        for kind in ("LaneQueue", "LaneDlq"):
            lanes.has_output(f"{kind}{name.capitalize()}", {"Export": Match.absent()})
    for tier in FLEET.delays.tiers_seconds:
        lanes.has_output(f"DelayQueue{tier}", {"Export": Match.absent()})
    for name in ("DelaysDlq", "WebhooksQueue", "WebhooksDlq"):
        lanes.has_output(name, {"Export": Match.absent()})
