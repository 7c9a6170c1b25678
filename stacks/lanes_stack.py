"""The priority lanes: a stack of its own, so that code can be deployed, or rolled back, without touching a queue."""

from __future__ import annotations

from collections.abc import Mapping

import aws_cdk as cdk
from constructs import Construct

from stacks.constructs.fifo_lane import FifoLane
from stacks.settings_model import Fleet


class LanesStack(cdk.Stack):
    """The queues of every lane.

    Attributes:
        lanes: By name.
    """

    def __init__(self, scope: Construct, construct_id: str, *, fleet: Fleet) -> None:
        super().__init__(scope, construct_id, description=f"{fleet.name}: priority lanes and their dead letters")
        self.lanes: Mapping[str, FifoLane] = {
            name: FifoLane(self, name.capitalize(), fleet=fleet.name, name=name, lane=lane)
            for name, lane in fleet.lanes.items()
        }
        for name, queues in self.lanes.items():
            cdk.CfnOutput(self, f"LaneQueue{name.capitalize()}", value=queues.queue.queue_url)
            cdk.CfnOutput(self, f"LaneDlq{name.capitalize()}", value=queues.dead_letters.queue_url)
