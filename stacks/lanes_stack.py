"""Every queue: a stack of its own, so that code can be deployed, or rolled back, without touching one."""

from __future__ import annotations

from collections.abc import Mapping

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from stacks.background import WEBHOOK
from stacks.constructs import permissions
from stacks.constructs.acknowledgements import acknowledge
from stacks.constructs.delay_ladder import DelayLadder
from stacks.constructs.fifo_lane import FifoLane
from stacks.constructs.queues import standard_queue
from stacks.settings_model import Fleet

_WEBHOOK_MAX_RECEIVE_COUNT = 1000
"""A backstop, as high as SQS has it: a delivery that is held for days while its endpoint's breaker is open is looked at
every quarter of an hour or so, and when to give it up is the webhook function's to decide."""


class LanesStack(cdk.Stack):
    """The priority lanes, the delay ladder with what schedules into it, and the queues beside the event log's stream.

    Attributes:
        lanes: By name.
        delays: The delay ladder.
        schedule_group: Name of the group of one-time schedules, for what lies beyond the ladder.
        schedule_role: What EventBridge Scheduler acts as: it may enter the ladder and nothing else.
        webhooks: Deliveries to clients' endpoints.
        webhook_dead_letters: Deliveries that were given up.
        unprojected: Where Lambda tells of stream records that the projector could not work on.
        unbroadcast: The same of the broadcaster.
    """

    def __init__(self, scope: Construct, construct_id: str, *, fleet: Fleet) -> None:
        super().__init__(scope, construct_id, description=f"{fleet.name}: priority lanes, delay ladder, other queues")
        self.lanes: Mapping[str, FifoLane] = {
            name: FifoLane(self, name.capitalize(), fleet=fleet.name, name=name, lane=lane)
            for name, lane in fleet.lanes.items()
        }
        self.delays = DelayLadder(self, "DelayLadder", fleet=fleet.name, delays=fleet.delays)
        self.schedule_group = fleet.name
        self.schedule_role = self._schedules()
        self.webhook_dead_letters = standard_queue(self, "WebhookDeadLetters", f"{fleet.name}-webhooks-dlq")
        self.webhooks = standard_queue(
            self,
            "WebhookDeliveries",
            f"{fleet.name}-webhooks",
            visibility_timeout=cdk.Duration.seconds(WEBHOOK.visibility_timeout_seconds),
            dead_letter_queue=sqs.DeadLetterQueue(
                queue=self.webhook_dead_letters, max_receive_count=_WEBHOOK_MAX_RECEIVE_COUNT
            ),
        )
        self.unprojected = self._told_by_lambda("NotProjected", f"{fleet.name}-projector-failures")
        self.unbroadcast = self._told_by_lambda("NotBroadcast", f"{fleet.name}-broadcaster-failures")
        for name, queues in self.lanes.items():
            cdk.CfnOutput(self, f"LaneQueue{name.capitalize()}", value=queues.queue.queue_url)
            cdk.CfnOutput(self, f"LaneDlq{name.capitalize()}", value=queues.dead_letters.queue_url)
        for seconds, tier in self.delays.tiers.items():
            cdk.CfnOutput(self, f"DelayQueue{seconds}", value=tier.queue_url)
        cdk.CfnOutput(self, "DelaysDlq", value=self.delays.dead_letters.queue_url)
        cdk.CfnOutput(self, "WebhooksQueue", value=self.webhooks.queue_url)
        cdk.CfnOutput(self, "WebhooksDlq", value=self.webhook_dead_letters.queue_url)

    def _told_by_lambda(self, construct_id: str, name: str) -> sqs.Queue:
        queue = standard_queue(self, construct_id, name)
        acknowledge(
            queue,
            {"AwsSolutions-SQS3": "It is itself where failures end, those of a stream, and no function works it off."},
        )
        return queue

    def _schedules(self) -> iam.Role:
        group = scheduler.CfnScheduleGroup(self, "Schedules", name=self.schedule_group)
        enter = permissions.send([self.delays.entrance])
        return iam.Role(
            self,
            "ScheduleRole",
            # Only for schedules of this group: no other can borrow the role.
            assumed_by=iam.ServicePrincipal(
                "scheduler.amazonaws.com",
                conditions={"StringEquals": {"aws:SourceAccount": self.account, "aws:SourceArn": group.attr_arn}},
            ),
            description="What EventBridge Scheduler may do: bring a task to the delay ladder",
            inline_policies={"enter": iam.PolicyDocument(statements=[enter.statement()])},
        )
