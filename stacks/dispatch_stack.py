"""What sees to it that every accepted task gets to its lane: the relay, the triage and the reconciler."""

from __future__ import annotations

import aws_cdk as cdk
from constructs import Construct

from stacks import environment
from stacks.background import RELAY, TRIAGE, TRIAGE_CONCURRENCY, reserved_concurrency
from stacks.bundling import Bundles
from stacks.constructs import permissions, workflow_permissions
from stacks.functions_stack import FunctionsStack
from stacks.lanes_stack import LanesStack
from stacks.settings_model import Fleet
from stacks.state_stack import StateStack

_PAUSES = "PAUSE"
_CIRCUITS = "CIRCUIT#*"
_CIRCUIT_NAMES = "CIRCUITS"
"""Where runs that were stopped are marked."""

_RECONCILER_TIMEOUT_SECONDS = 240
"""Longer than the time between two runs: one that starts while another works is left out."""


class DispatchStack(FunctionsStack):
    """Three functions.

    The relay moves messages down the delay ladder and, when their time has come, into their lane. The triage turns what
    SQS itself put on a dead letter queue into a record of the task. The reconciler sends the message again of each task
    that the read model shows without a sign of life.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        fleet: Fleet,
        bundles: Bundles,
        state: StateStack,
        lanes: LanesStack,
    ) -> None:
        super().__init__(scope, construct_id, fleet=fleet, bundles=bundles, holds="relay, triage and reconciler")
        self._state = state
        self._lanes = lanes
        self._reserved = reserved_concurrency(fleet)
        self._where_work_goes = {
            **environment.lane_queues(self, lanes.lanes),
            **environment.delay_queues(self, lanes),
        }
        self._may_dispatch = permissions.send(
            [*(lane.queue for lane in lanes.lanes.values()), *lanes.delays.tiers.values()]
        )
        self._relay()
        self._triage()
        self._reconciler()

    def _relay(self) -> None:
        delays = self._lanes.delays
        function = self.add_function(
            "relay",
            timeout_seconds=RELAY.timeout_seconds,
            memory_mb=self.fleet.background.memory_mb,
            reserved_concurrency=self._reserved["relay"],
            loops_on_purpose=True,
            environment={
                "FLOTILLA_NAME": self.fleet.name,
                **environment.delay_dead_letters(self._lanes),
                **self._where_work_goes,
            },
            statements=[
                permissions.work_off(*delays.tiers.values()),
                self._may_dispatch,
                # A message that can never be read is put aside.
                permissions.send([delays.dead_letters]),
            ],
        )
        for seconds, tier in delays.tiers.items():
            self.feed(
                function,
                tier,
                name=f"RelayTier{seconds}",
                batches=RELAY,
                maximum_concurrency=self.fleet.delays.maximum_concurrency,
            )

    def _triage(self) -> None:
        dead_letters = {name.capitalize(): lane.dead_letters for name, lane in self._lanes.lanes.items()}
        dead_letters["DelayLadder"] = self._lanes.delays.dead_letters
        function = self.add_function(
            "triage",
            timeout_seconds=TRIAGE.timeout_seconds,
            memory_mb=self.fleet.background.memory_mb,
            reserved_concurrency=self._reserved["triage"],
            loops_on_purpose=True,
            environment={
                **environment.event_log(self.fleet, self._state),
                **environment.task_payloads(self.fleet, self._state),
                **environment.views(self._state),
                **environment.schedules(self, self._lanes),
                **environment.state_machines(self.fleet),
                "FLOTILLA_DELAYS_DLQ_URL": self._lanes.delays.dead_letters.queue_url,
                **self._where_work_goes,
            },
            statements=[
                permissions.work_off(*dead_letters.values()),
                permissions.append_and_read(self._state.events),
                permissions.put(self._state.views),
                # What workflows ordered is accepted here too, with the outputs of tasks that it refers to.
                permissions.keep_objects(self._state.payloads_name),
                permissions.see_payload_missing(self._state.payloads_name),
                *workflow_permissions.answer_states(self.fleet.name, self.workflows),
                self._may_dispatch,
                *permissions.schedule(self._lanes.schedule_group, self._lanes.schedule_role),
            ],
        )
        for name, queue in dead_letters.items():
            self.feed(function, queue, name=f"Triage{name}", batches=TRIAGE, maximum_concurrency=TRIAGE_CONCURRENCY)

    def _reconciler(self) -> None:
        function = self.add_function(
            "reconciler",
            timeout_seconds=_RECONCILER_TIMEOUT_SECONDS,
            memory_mb=self.fleet.background.memory_mb,
            reserved_concurrency=self._reserved["reconciler"],
            environment={
                **environment.event_log(self.fleet, self._state),
                **environment.task_payloads(self.fleet, self._state),
                **environment.control(self._state),
                **environment.views(self._state),
                **environment.schedules(self, self._lanes),
                **environment.state_machines(self.fleet),
                **self._where_work_goes,
            },
            statements=[
                permissions.query(self._state.views, indexes=["watch", "run"]),
                permissions.update(self._state.views),
                # An entry that is behind its log is stored anew.
                permissions.put(self._state.views),
                # It records how runs ended, where that was lost, and ends the tasks that some left.
                permissions.append_and_read(self._state.events),
                permissions.keep_objects(self._state.payloads_name),
                permissions.see_payload_missing(self._state.payloads_name),
                permissions.within(self._state.control, ["PutItem"], [_PAUSES]),
                # It tells of circuits that stay open.
                permissions.within(self._state.control, ["Query"], [_CIRCUIT_NAMES]),
                permissions.within(self._state.control, ["GetItem"], [_CIRCUITS]),
                self._may_dispatch,
                permissions.inspect([lane.queue for lane in self._lanes.lanes.values()]),
                *permissions.schedule(self._lanes.schedule_group, self._lanes.schedule_role),
                *workflow_permissions.start_runs(self.fleet.name, self.workflows),
                *workflow_permissions.see_runs(self.fleet.name, self.workflows),
                *workflow_permissions.stop_runs(self.fleet.name, self.workflows),
            ],
        )
        self.run_every(function, cdk.Duration.minutes(self.fleet.reconciler.every_minutes), name="Reconcile")
