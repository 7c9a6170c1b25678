"""The priority lanes."""

from __future__ import annotations

import pytest
from aws_cdk.assertions import Match, Template

from stacks.config import load
from tests.synthesis import REPOSITORY, Templates

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


def test_every_queue_is_encrypted_and_keeps_messages_as_long_as_sqs_can(lanes: Template) -> None:
    lanes.all_resources_properties(
        "AWS::SQS::Queue", {"SqsManagedSseEnabled": True, "MessageRetentionPeriod": 1_209_600}
    )


def test_every_queue_is_reached_by_tls_only(lanes: Template) -> None:
    lanes.resource_count_is("AWS::SQS::QueuePolicy", 2 * len(NAMES))
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
