"""The function that works off a lane."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from stacks.constructs.fifo_lane import FifoLane
from stacks.constructs.fleet_function import FleetFunction, FunctionShape
from stacks.constructs.permissions import Permission
from stacks.constructs.runtime_layers import RuntimeLayers
from stacks.settings_model import Lane, Logs


class WorkerFunction(FleetFunction):
    """A function fed by a lane's queue.

    A FIFO queue takes no batching window, and a failed message must not bring its whole batch back. What may run at
    once is bounded at the mapping, below what is reserved: bounding it by throttling would use up receive counts. Both
    are where a lane begins: the scaler moves them.

    Attributes:
        mapping: What feeds it.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        shape: FunctionShape,
        layers: RuntimeLayers,
        logging: Logs,
        environment: Mapping[str, str],
        permissions: Sequence[Permission],
        source: FifoLane,
        lane: Lane,
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            shape=shape,
            layers=layers,
            logging=logging,
            environment=environment,
            permissions=permissions,
        )
        self.mapping = lambda_.EventSourceMapping(
            self,
            "Source",
            target=self._kept_warm(lane.provisioned_concurrency) if lane.provisioned_concurrency else self.function,
            event_source_arn=source.queue.queue_arn,
            batch_size=lane.batch_size,
            max_concurrency=lane.maximum_concurrency,
            report_batch_item_failures=True,
        )

    def _kept_warm(self, environments: int) -> lambda_.Alias:
        """The alias `live` of the version that is deployed: only versions are kept warm.

        A deployment moves it when the new version's environments are there.
        """
        return lambda_.Alias(
            self,
            "Live",
            alias_name="live",
            version=self.function.current_version,
            provisioned_concurrent_executions=environments,
        )
