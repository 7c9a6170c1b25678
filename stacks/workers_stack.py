"""The agent pool: one function for each lane, the same code in all, and the scaler that says how many of each run."""

from __future__ import annotations

from collections.abc import Mapping

import aws_cdk as cdk
from constructs import Construct

from stacks import environment, model_settings
from stacks.background import reserved_concurrency
from stacks.bundling import Bundles
from stacks.constructs import permissions, workflow_permissions
from stacks.constructs.fifo_lane import FifoLane
from stacks.constructs.fleet_function import FunctionShape
from stacks.constructs.permissions import Permission
from stacks.constructs.worker_function import WorkerFunction
from stacks.functions_stack import FunctionsStack
from stacks.integration_settings import secrets_of
from stacks.lanes_stack import LanesStack
from stacks.settings_model import Fleet
from stacks.state_stack import StateStack

_PAUSES = "PAUSE"
_SESSIONS = "SESSION#*"
_CACHE = "CACHE#*"
_DIAGNOSTICS = "DIAGNOSTICS#*"
_CIRCUITS = "CIRCUIT#*"
_NAMES_OF_CIRCUITS = "CIRCUITS"
_BUCKETS = "BUCKET#*"
_BUDGETS = "BUDGET#*"
_LIMITS = "LIMITS"
_SLOTS = "SLOTS#*"
_SCALER = "SCALER"
"""Partitions of the control table. It also holds the keys of clients, which no agent may reach."""


_SCALER_TIMEOUT_SECONDS = 50
"""Shorter than the time between two runs: one that died stands in the way of none."""


class WorkersStack(FunctionsStack):
    """A worker function for each lane, and the scaler.

    They are one stack, so that the scaler knows the mappings without a lane's removal being held up by it.
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
        super().__init__(
            scope, construct_id, fleet=fleet, bundles=bundles, holds="a worker function for each lane, and the scaler"
        )
        self._state = state
        self._lanes = lanes
        workers = {name: self._worker(name, queues) for name, queues in lanes.lanes.items()}
        for name, worker in workers.items():
            cdk.CfnOutput(self, f"Worker{name.capitalize()}", value=worker.function.function_name)
        self._scaler(workers)

    def _worker(self, name: str, queues: FifoLane) -> WorkerFunction:
        lane = self.fleet.lanes[name]
        return WorkerFunction(
            self,
            name.capitalize(),
            shape=FunctionShape(
                name=environment.worker_name(self.fleet, name),
                package="worker",
                code=self._bundles.function("worker"),
                timeout_seconds=lane.timeout_seconds,
                memory_mb=lane.memory_mb,
                reserved_concurrency=lane.reserved_concurrency,
                loops_on_purpose=True,
            ),
            layers=self._layers,
            logging=self.fleet.logs,
            environment={
                **environment.event_log(self.fleet, self._state),
                **environment.task_payloads(self.fleet, self._state),
                **environment.control(self._state),
                **environment.lane_queues(self, self._lanes.lanes),
                **environment.delay_queues(self, self._lanes),
                **environment.session_memory(self.fleet),
                **environment.event_bus(self.fleet),
                **environment.compute_prices(self.fleet),
                **environment.state_machines(self.fleet),
                "FLOTILLA_LANE": name,
                "FLOTILLA_DEFAULT_LANE": self.fleet.default_lane,
            },
            permissions=[
                permissions.append_and_read(self._state.events),
                permissions.within(self._state.control, ["Query"], [_PAUSES, _SESSIONS]),
                permissions.within(self._state.control, ["PutItem"], [_SESSIONS, _CACHE]),
                permissions.keep_objects(self._state.payloads_name),
                permissions.see_payload_missing(self._state.payloads_name),
                permissions.see_file_missing(self._state.payloads_name),
                permissions.work_off(queues.queue),
                # What is parked goes down the ladder, or back to the lane itself where its time is that near; what can
                # never be read is put aside; and agents submit tasks to any lane.
                permissions.send(
                    [
                        *(each.queue for each in self._lanes.lanes.values()),
                        queues.dead_letters,
                        *self._lanes.delays.tiers.values(),
                    ]
                ),
                *workflow_permissions.answer_states(self.fleet.name, self._bundles.workflows),
                *self._granted_to_calls(),
                *self._granted_to_diagnostics(),
            ],
            source=queues,
            lane=lane,
        )

    def _scaler(self, workers: Mapping[str, WorkerFunction]) -> None:
        control = self._state.control
        function = self.add_function(
            "scaler",
            timeout_seconds=_SCALER_TIMEOUT_SECONDS,
            memory_mb=self.fleet.background.memory_mb,
            reserved_concurrency=reserved_concurrency(self.fleet)["scaler"],
            environment={
                "FLOTILLA_NAME": self.fleet.name,
                **environment.control(self._state),
                **environment.lane_queues(self, self._lanes.lanes),
                **environment.scaling(
                    self,
                    self.fleet,
                    {name: worker.mapping.event_source_mapping_id for name, worker in workers.items()},
                ),
            },
            statements=[
                permissions.inspect([lane.queue for lane in self._lanes.lanes.values()]),
                permissions.read_metrics(),
                permissions.within(control, ["Query"], [_PAUSES]),
                permissions.within(control, ["GetItem", "PutItem"], [_SCALER]),
                *(
                    permission
                    for worker in workers.values()
                    for permission in permissions.scale(
                        worker.function.function_arn, worker.mapping.event_source_mapping_arn
                    )
                ),
            ],
        )
        self.run_every(
            function,
            cdk.Duration.minutes(self.fleet.scaler.every_minutes),
            name="Scale",
            enabled=self.fleet.scaler.enabled,
        )

    def _granted_to_calls(self) -> list[Permission]:
        """What protects integrations and models is shared by all lanes; secrets and models are those that there are."""
        control = self._state.control
        shared = [
            permissions.within(control, ["Query"], [_CIRCUITS, _LIMITS, _SLOTS]),
            permissions.within(control, ["GetItem", "UpdateItem"], [_CIRCUITS, _BUCKETS]),
            permissions.within(control, ["UpdateItem"], [_BUDGETS]),
            permissions.within(control, ["PutItem"], [_CIRCUITS, _NAMES_OF_CIRCUITS, _SLOTS]),
            permissions.within(control, ["DeleteItem"], [_CIRCUITS, _SLOTS]),
        ]
        if self.fleet.broadcast.event_bus:
            shared.append(permissions.put_events_on(self.fleet.name))
        secrets = sorted({*secrets_of(self.fleet.integrations), *model_settings.secrets_of(self.fleet.models)})
        invoked = permissions.invoke_models(*model_settings.invoked(self.fleet.models))
        return [*shared, *([permissions.read_secrets(secrets)] if secrets else []), *invoked]

    def _granted_to_diagnostics(self) -> list[Permission]:
        # The diagnostic agents count what really happened outside the event log.
        if not self.fleet.diagnostics:
            return []
        return [permissions.within(self._state.control, ["UpdateItem"], [_DIAGNOSTICS])]
