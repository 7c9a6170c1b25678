"""The agent pool: one function for each lane, the same code in all."""

from __future__ import annotations

import aws_cdk as cdk
from constructs import Construct

from stacks.bundling import Bundles
from stacks.constructs import permissions
from stacks.constructs.fifo_lane import FifoLane
from stacks.constructs.fleet_function import FunctionShape
from stacks.constructs.permissions import Permission
from stacks.constructs.runtime_layers import RuntimeLayers
from stacks.constructs.worker_function import WorkerFunction
from stacks.environment import lane_queues, task_environment
from stacks.lanes_stack import LanesStack
from stacks.settings_model import Fleet
from stacks.state_stack import StateStack

_DIAGNOSTICS_PREFIX = "DIAGNOSTICS#"
"""Begins the keys under which diagnostic agents count."""


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
                name=f"{self._fleet.name}-worker-{name}",
                package="worker",
                code=self._bundles.functions["worker"],
                timeout_seconds=lane.timeout_seconds,
                memory_mb=lane.memory_mb,
                reserved_concurrency=lane.reserved_concurrency,
            ),
            layers=self._layers,
            logging=self._fleet.logs,
            environment={
                **task_environment(self._fleet, self._state),
                "FLOTILLA_LANES": lane_queues(self, {name: queues}),
                "FLOTILLA_LANE": name,
                **self._told_to_diagnostics(),
            },
            permissions=[
                permissions.append_and_read(self._state.events),
                permissions.keep_payloads(self._state.payloads_name),
                permissions.work_off(queues.queue),
                # A message that can never be read is put aside.
                permissions.send([queues.dead_letters]),
                *self._granted_to_diagnostics(),
            ],
            source=queues,
            lane=lane,
        )

    def _told_to_diagnostics(self) -> dict[str, str]:
        if not self._fleet.diagnostics:
            return {}
        return {"FLOTILLA_CONTROL_TABLE": self._state.control.table_name}

    def _granted_to_diagnostics(self) -> list[Permission]:
        # The diagnostic agents count what really happened outside the event log. Their table also holds the keys of
        # clients, which no agent may reach.
        return [permissions.count(self._state.control, _DIAGNOSTICS_PREFIX)] if self._fleet.diagnostics else []
