"""What follows the event log: the read model with its archive, broadcasts, and webhooks; and what tries it all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_events as events
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from aws_cdk.aws_lambda_event_sources import SqsDlq
from aws_cdk.aws_sns_subscriptions import SqsSubscription
from constructs import Construct

from stacks import environment
from stacks.api_stack import ApiStack
from stacks.background import (
    ARCHIVED,
    BROADCASTER,
    PROJECTOR,
    SUMMED_UP,
    WEBHOOK,
    StreamBatches,
    reserved_concurrency,
)
from stacks.bundling import Bundles
from stacks.constructs import permissions, workflow_permissions
from stacks.constructs.permissions import Permission
from stacks.constructs.queues import standard_queue
from stacks.functions_stack import FunctionsStack
from stacks.lanes_stack import LanesStack
from stacks.local_differences import Place
from stacks.settings_model import ENDS, Fleet
from stacks.state_stack import StateStack

_KEEPER_TIMEOUT_SECONDS = 900

_ROLLUP_TIMEOUT_SECONDS = 900

_CANARY_TIMEOUT_SECONDS = 60

_KEEPER_NOTES = "KEEPER"
"""What the keeper has to come back to, in the read model's table."""

_WEBHOOK_PARTITIONS = "WEBHOOKS#*"
"""Endpoints of webhooks, by tenant."""

_PAUSES = "PAUSE"
"""Where runs that were stopped are marked."""

_APPENDED = {"eventName": lambda_.FilterRule.is_equal("INSERT")}
"""An event was appended. What expires, or is kept longer, is in the stream too and tells nothing new."""

_TRANSITIONS = {
    **_APPENDED,
    "dynamodb": {"NewImage": {"kind": {"S": lambda_.FilterRule.not_equals("step_recorded")}}},
}
"""An event was appended that changes its task's status. What a filter leaves out costs no invocation."""


class FollowersStack(FunctionsStack):
    """The functions on the event log's stream, and what depends on them.

    The projector folds events into the read model and archives finished logs; the keeper sees to it that no log expires
    before it is archived; the rollup adds up what the archived logs of each hour say that tasks used. The broadcaster
    tells whoever asked of transitions, and workflows of how their tasks ended; the webhook function delivers to
    clients' endpoints.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        fleet: Fleet,
        place: Place,
        bundles: Bundles,
        state: StateStack,
        lanes: LanesStack,
        api: ApiStack,
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            fleet=fleet,
            bundles=bundles,
            holds="read model, archive, broadcasts, webhooks, canaries",
        )
        self._state = state
        self._lanes = lanes
        self._reserved = reserved_concurrency(fleet)
        self._bus = self._event_bus() if fleet.broadcast.event_bus else None
        self._topic = self._transitions_topic() if fleet.broadcast.topic else None
        self._projector()
        self._keeper()
        self._rollup()
        self._broadcaster(environment.api_url(fleet, place, api.url))
        self._webhook()
        self._canary(environment.own_address(place, api.url))

    def _event_bus(self) -> events.EventBus:
        bus = events.EventBus(self, "Bus", event_bus_name=self.fleet.name, description="Transitions of tasks")
        cdk.CfnOutput(self, "EventBus", value=bus.event_bus_name)
        return bus

    def _transitions_topic(self) -> sns.Topic:
        topic = sns.Topic(
            self,
            "Transitions",
            topic_name=f"{self.fleet.name}-transitions",
            display_name=f"Transitions of tasks of {self.fleet.name}",
            enforce_ssl=True,
        )
        cdk.CfnOutput(self, "TransitionsTopic", value=topic.topic_arn)
        if self.fleet.broadcast.example_subscriber:
            self._example_subscriber(topic)
        return topic

    def _example_subscriber(self, topic: sns.Topic) -> None:
        """A subscriber to look at and to copy: a queue of its own that is sent the bare message, of how tasks end."""
        dead_letters = standard_queue(self, "ExampleDeadLetters", f"{self.fleet.name}-example-subscriber-dlq")
        queue = standard_queue(
            self,
            "ExampleSubscriber",
            f"{self.fleet.name}-example-subscriber",
            dead_letter_queue=sqs.DeadLetterQueue(queue=dead_letters, max_receive_count=10),
        )
        topic.add_subscription(
            SqsSubscription(
                queue,
                raw_message_delivery=True,
                dead_letter_queue=dead_letters,
                # Whatever else `broadcast.transitions` has published for others.
                filter_policy={"status": sns.SubscriptionFilter.string_filter(allowlist=list(ENDS))},
            )
        )
        cdk.CfnOutput(self, "ExampleSubscriberQueue", value=queue.queue_url)

    def _projector(self) -> None:
        function = self.add_function(
            "projector",
            timeout_seconds=PROJECTOR.timeout_seconds,
            memory_mb=self.fleet.background.memory_mb,
            environment={
                **environment.event_log(self.fleet, self._state),
                **environment.views(self._state),
                **environment.archiving(self.fleet, self._state),
                **environment.tenant_classes(self.fleet),
            },
            statements=[
                permissions.query(self._state.events),
                permissions.put(self._state.views),
                permissions.write_objects(self._state.archive_name),
                *self._may_follow(self._lanes.unprojected),
            ],
        )
        self._follow("ProjectorStream", function, PROJECTOR, matching=_APPENDED, given_up=self._lanes.unprojected)

    def _keeper(self) -> None:
        function = self.add_function(
            "keeper",
            timeout_seconds=_KEEPER_TIMEOUT_SECONDS,
            memory_mb=self.fleet.background.memory_mb,
            reserved_concurrency=self._reserved["keeper"],
            environment={
                **environment.event_log(self.fleet, self._state),
                **environment.views(self._state),
                **environment.archiving(self.fleet, self._state),
            },
            statements=[
                permissions.query(self._state.views),
                permissions.put(self._state.views),
                # Its own notes on what has come to its end.
                permissions.within(self._state.views, ["DeleteItem"], [_KEEPER_NOTES]),
                permissions.query(self._state.events),
                # The only one that may: it moves the time at which an event expires, and never its content.
                permissions.prolong(self._state.events),
                permissions.write_objects(self._state.archive_name),
            ],
        )
        self.run_every(function, cdk.Duration.days(1), name="Keep")

    def _rollup(self) -> None:
        function = self.add_function(
            "rollup",
            timeout_seconds=_ROLLUP_TIMEOUT_SECONDS,
            memory_mb=self.fleet.background.memory_mb,
            reserved_concurrency=self._reserved["rollup"],
            environment={
                "FLOTILLA_NAME": self.fleet.name,
                "FLOTILLA_RETENTION_DAYS": str(self.fleet.retention.days),
                **environment.archive(self._state),
                **environment.list_prices(),
            },
            statements=[
                permissions.list_objects(self._state.archive_name, [ARCHIVED, SUMMED_UP]),
                permissions.read_objects(self._state.archive_name),
                permissions.write_objects_below(self._state.archive_name, SUMMED_UP),
            ],
        )
        self.run_every(function, cdk.Duration.hours(1), name="AddUp")

    def _broadcaster(self, api_url: environment.Environment) -> None:
        told = {
            "transitions": list(self.fleet.broadcast.transitions),
            "event_bus": self._bus.event_bus_name if self._bus else None,
            "topic_arn": self._topic.topic_arn if self._topic else None,
        }
        function = self.add_function(
            "broadcaster",
            timeout_seconds=BROADCASTER.timeout_seconds,
            memory_mb=self.fleet.background.memory_mb,
            environment={
                **environment.event_log(self.fleet, self._state),
                **environment.payloads(self._state),
                **environment.control(self._state),
                **environment.views(self._state),
                **environment.state_machines(self.fleet),
                **environment.decisions(self._state),
                **api_url,
                **environment.webhook_deliveries(self._lanes),
                # Not the stack's own way of writing JSON: it leaves out what is null.
                "FLOTILLA_BROADCAST": json.dumps(told),
            },
            statements=[
                # It ends the tasks of runs that were cancelled.
                permissions.append_and_read(self._state.events),
                permissions.query(self._state.views, indexes=["run"]),
                permissions.within(self._state.control, ["Query"], [_WEBHOOK_PARTITIONS]),
                permissions.within(self._state.control, ["PutItem"], [_PAUSES]),
                permissions.read_secrets([self._state.decisions_name]),
                *workflow_permissions.stop_runs(self.fleet.name, self.workflows),
                # What would not be stopped may have ended.
                *workflow_permissions.see_runs(self.fleet.name, self.workflows),
                *workflow_permissions.answer_states(self.fleet.name, self.workflows),
                permissions.read_objects(self._state.payloads_name),
                permissions.see_payload_missing(self._state.payloads_name),
                permissions.send([self._lanes.webhooks]),
                *([permissions.put_events(self._bus)] if self._bus else []),
                *([permissions.publish(self._topic)] if self._topic else []),
                *self._may_follow(self._lanes.unbroadcast),
            ],
        )
        self._follow(
            "BroadcasterStream", function, BROADCASTER, matching=_TRANSITIONS, given_up=self._lanes.unbroadcast
        )

    def _webhook(self) -> None:
        function = self.add_function(
            "webhook",
            timeout_seconds=WEBHOOK.timeout_seconds,
            memory_mb=self.fleet.background.memory_mb,
            reserved_concurrency=self._reserved["webhook"],
            environment={
                "FLOTILLA_NAME": self.fleet.name,
                **environment.control(self._state),
                **environment.webhook_deliveries(self._lanes),
                **environment.webhook_dead_letters(self._lanes),
                **environment.webhook_targets(self.fleet),
            },
            statements=[
                permissions.within(self._state.control, ["GetItem", "UpdateItem"], [_WEBHOOK_PARTITIONS]),
                permissions.work_off(self._lanes.webhooks),
                # What is given up is put aside.
                permissions.send([self._lanes.webhook_dead_letters]),
            ],
        )
        self.feed(
            function,
            self._lanes.webhooks,
            name="Deliveries",
            batches=WEBHOOK,
            maximum_concurrency=self.fleet.webhooks.maximum_concurrency,
        )

    def _canary(self, api_url: environment.Environment) -> None:
        queues = self._lanes.lanes
        function = self.add_function(
            "canary",
            timeout_seconds=_CANARY_TIMEOUT_SECONDS,
            memory_mb=self.fleet.background.memory_mb,
            reserved_concurrency=self._reserved["canary"],
            environment={
                **environment.event_log(self.fleet, self._state),
                **environment.control(self._state),
                **environment.lane_queues(self, queues),
                **environment.canaries(self.fleet),
                **api_url,
            },
            statements=[
                permissions.append_and_read(self._state.events),
                permissions.within(self._state.control, ["Query"], [_PAUSES]),
                permissions.send([lane.queue for lane in queues.values()]),
            ],
        )
        if self.fleet.canary.every_minutes:
            self.run_every(function, cdk.Duration.minutes(self.fleet.canary.every_minutes), name="TryLanes")

    def _may_follow(self, given_up: sqs.Queue) -> list[Permission]:
        # Lambda tells of what it gave up with the function's role.
        return [*permissions.follow(self._state.events), permissions.send([given_up])]

    def _follow(
        self,
        name: str,
        function: lambda_.Function,
        batches: StreamBatches,
        *,
        matching: Mapping[str, Any],
        given_up: sqs.Queue,
    ) -> None:
        lambda_.EventSourceMapping(
            self,
            name,
            target=function,
            event_source_arn=self._state.events.table_stream_arn,
            starting_position=lambda_.StartingPosition.TRIM_HORIZON,
            filters=[lambda_.FilterCriteria.filter(dict(matching))],
            batch_size=batches.batch_size,
            max_batching_window=cdk.Duration.seconds(batches.window_seconds),
            parallelization_factor=batches.parallelization,
            report_batch_item_failures=True,
            bisect_batch_on_error=True,
            max_record_age=cdk.Duration.seconds(batches.longest_trouble_seconds),
            on_failure=SqsDlq(given_up),
        )
