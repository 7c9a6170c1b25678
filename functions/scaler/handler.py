"""Entry point of the scaler function, which runs on a schedule.

Invoked by hand with `{"restore": true}` it gives each lane its own share, which is how it is turned off for good:
what it has set stays set.
"""

from __future__ import annotations

from dataclasses import asdict
from functools import cache
from typing import TYPE_CHECKING, Any

from flotilla.clock import SystemClock
from flotilla.cloudwatch.lane_meter import CloudWatchLaneMeter, Measured
from flotilla.dynamo.pauses import DynamoPauses
from flotilla.dynamo.scaling_memory import DynamoScalingMemories
from flotilla.lambda_scaling.capacity import LambdaLaneCapacity, Worker
from flotilla.runtime import clients, logging, threads
from flotilla.runtime.metrics import EmbeddedMetrics
from flotilla.runtime.settings import ScalerSettings
from flotilla.services.scale import Change, Scaler
from flotilla.sqs.lane_depths import SqsLaneDepths

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

_AWS_THREADS = 10


class ScalerFunction:
    """The scaler on AWS."""

    def __init__(self, settings: ScalerSettings) -> None:
        aws = threads.ThreadRunner("aws", _AWS_THREADS)
        clock = SystemClock()
        lanes = settings.scaling.lanes
        queues = {name: settings.lanes[name].queue_url for name in lanes}
        self._metrics = EmbeddedMetrics(settings.name, clock, print)
        self._scaler = Scaler(
            policy=settings.scaling.policy(),
            bounds={name: lane.bounds() for name, lane in lanes.items()},
            backlogs=SqsLaneDepths(clients.sqs(), queues, aws),
            meter=CloudWatchLaneMeter(
                clients.cloudwatch,
                {name: Measured(queues[name].rpartition("/")[2], lane.function) for name, lane in lanes.items()},
                clock,
                aws,
            ),
            pauses=DynamoPauses(clients.dynamodb(), settings.control_table, aws),
            capacity=LambdaLaneCapacity(
                clients.lambda_(), {name: Worker(lane.function, lane.mapping) for name, lane in lanes.items()}, aws
            ),
            memories=DynamoScalingMemories(clients.dynamodb(), settings.control_table, aws),
            clock=clock,
            metrics=self._metrics,
        )

    async def run(self, run_id: str, remaining_ms: int, *, restore: bool) -> list[Change]:
        """Scale once; see `Scaler.run`."""
        try:
            return await self._scaler.run(run_id, remaining_ms, restore=restore)
        finally:
            self._metrics.flush()


@cache
def _deployed() -> ScalerFunction:
    return ScalerFunction(ScalerSettings.read())


def handler(event: dict[str, Any], context: LambdaContext) -> list[dict[str, Any]]:
    """Scale once.

    Args:
        event: What the schedule sends says nothing; by hand, `{"restore": true}`.
        context: The invocation's context.

    Returns:
        What was changed.

    Raises:
        RetryableError: What lanes have is not known. The next run comes by itself.
    """
    logging.configured()
    remaining_ms = context.get_remaining_time_in_millis()
    restore = event.get("restore") is True
    changes = threads.run(_deployed().run(context.aws_request_id, remaining_ms, restore=restore))
    return [asdict(change) for change in changes]
