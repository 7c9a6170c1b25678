"""What CloudWatch has measured of the lanes: how long the oldest message waits, how many workers run.

SQS tells the age of its oldest message nowhere else, and Lambda how many of a function run.

Failure policy: open. What cannot be learned is not known; an operator who looks at the lanes is shown the rest.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from flotilla.clock import Clock, rfc3339
from flotilla.models import LaneReading
from flotilla.ports import RunSync

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient

logger = logging.getLogger(__name__)

_PERIOD_SECONDS = 60
_WINDOW_SECONDS = 300
"""A metric of a minute may come some minutes late."""

_REMEMBERED_MS = 30_000
"""Metrics come by the minute, and each that is asked for costs."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Names by which a lane is known to CloudWatch."""

    queue: str
    function: str


class CloudWatchLaneMeter:
    """`LaneMeter` over the metrics that SQS and Lambda publish themselves.

    Args:
        client_factory: Makes (or returns the cached) CloudWatch client.
        lanes: What to look up, by lane.
        clock: Tells what is recent.
        run_sync: Runs the client's blocking calls.
    """

    def __init__(
        self,
        client_factory: Callable[[], CloudWatchClient],
        lanes: Mapping[str, Measured],
        clock: Clock,
        run_sync: RunSync,
    ) -> None:
        self._client_factory = client_factory
        self._lanes = dict(lanes)
        self._clock = clock
        self._run_sync = run_sync
        self._known: dict[str, LaneReading] = {}
        self._known_ms: int | None = None

    async def latest(self) -> Mapping[str, LaneReading]:
        """See `LaneMeter.latest`."""
        now_ms = self._clock.now_ms()
        if self._known_ms is None or not 0 <= now_ms - self._known_ms < _REMEMBERED_MS:
            self._known = await self._run_sync(self._latest, now_ms)
            self._known_ms = now_ms
        return self._known

    def _latest(self, now_ms: int) -> dict[str, LaneReading]:
        queries: list[dict[str, Any]] = []
        for number, lane in enumerate(self._lanes.values()):
            oldest = ("AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName", lane.queue)
            running = ("AWS/Lambda", "ConcurrentExecutions", "FunctionName", lane.function)
            queries += [_query(f"oldest{number}", *oldest), _query(f"running{number}", *running)]
        try:
            answer = self._client_factory().get_metric_data(
                MetricDataQueries=queries,  # type: ignore[arg-type]
                StartTime=rfc3339(now_ms - _WINDOW_SECONDS * 1000),
                EndTime=rfc3339(now_ms),
                ScanBy="TimestampDescending",
            )
        except (ClientError, BotoCoreError) as error:
            logger.warning("no metrics of the lanes", extra={"error": str(error)})
            return {}
        newest = {
            # By its own time and not by its place: the embedded engine knows one order only, oldest first.
            result["Id"]: int(max(zip(result["Timestamps"], result["Values"], strict=True))[1])
            for result in answer["MetricDataResults"]
            if result["Values"]
        }
        return {
            name: LaneReading(newest.get(f"oldest{number}"), newest.get(f"running{number}"))
            for number, name in enumerate(self._lanes)
        }


def _query(query_id: str, namespace: str, metric: str, dimension: str, value: str) -> dict[str, Any]:
    return {
        "Id": query_id,
        "MetricStat": {
            "Metric": {
                "Namespace": namespace,
                "MetricName": metric,
                "Dimensions": [{"Name": dimension, "Value": value}],
            },
            "Period": _PERIOD_SECONDS,
            "Stat": "Maximum",
        },
    }
