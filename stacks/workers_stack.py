"""The agent pool: one function for each lane, the same code in all."""

from __future__ import annotations

import aws_cdk as cdk
from constructs import Construct

from stacks import environment, model_settings
from stacks.bundling import Bundles
from stacks.constructs import permissions, workflow_permissions
from stacks.constructs.fifo_lane import FifoLane
from stacks.constructs.fleet_function import FunctionShape
from stacks.constructs.permissions import Permission
from stacks.constructs.runtime_layers import RuntimeLayers
from stacks.constructs.worker_function import WorkerFunction
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
"""Partitions of the control table. It also holds the keys of clients, which no agent may reach."""


class WorkersStack(cdk.Stack):
    """A worker function for each lane."""

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
        super().__init__(scope, construct_id, description=f"{fleet.name}: a worker function for each lane")
        self._fleet = fleet
        self._bundles = bundles
        self._state = state
        self._lanes = lanes
        self._layers = RuntimeLayers(self, "Layers", bundles=bundles, fleet=fleet.name)
        for name, queues in lanes.lanes.items():
            worker = self._worker(name, queues)
            cdk.CfnOutput(self, f"Worker{name.capitalize()}", value=worker.function.function_name)

    def _worker(self, name: str, queues: FifoLane) -> WorkerFunction:
        lane = self._fleet.lanes[name]
        return WorkerFunction(
            self,
            name.capitalize(),
            shape=FunctionShape(
                name=environment.worker_name(self._fleet, name),
                package="worker",
                code=self._bundles.function("worker"),
                timeout_seconds=lane.timeout_seconds,
                memory_mb=lane.memory_mb,
                reserved_concurrency=lane.reserved_concurrency,
                loops_on_purpose=True,
            ),
            layers=self._layers,
            logging=self._fleet.logs,
            environment={
                **environment.event_log(self._fleet, self._state),
                **environment.task_payloads(self._fleet, self._state),
                **environment.control(self._state),
                **environment.lane_queues(self, self._lanes.lanes),
                **environment.delay_queues(self, self._lanes),
                **environment.session_memory(self._fleet),
                **environment.event_bus(self._fleet),
                **environment.state_machines(self._fleet),
                "FLOTILLA_LANE": name,
                "FLOTILLA_DEFAULT_LANE": self._fleet.default_lane,
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
                *workflow_permissions.answer_states(self._fleet.name, self._bundles.workflows),
                *self._granted_to_calls(),
                *self._granted_to_diagnostics(),
            ],
            source=queues,
            lane=lane,
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
        if self._fleet.broadcast.event_bus:
            shared.append(permissions.put_events_on(self._fleet.name))
        secrets = sorted({*secrets_of(self._fleet.integrations), *model_settings.secrets_of(self._fleet.models)})
        invoked = permissions.invoke_models(*model_settings.invoked(self._fleet.models))
        return [*shared, *([permissions.read_secrets(secrets)] if secrets else []), *invoked]

    def _granted_to_diagnostics(self) -> list[Permission]:
        # The diagnostic agents count what really happened outside the event log.
        if not self._fleet.diagnostics:
            return []
        return [permissions.within(self._state.control, ["UpdateItem"], [_DIAGNOSTICS])]
