"""How much waits on the lanes, as SQS estimates it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from botocore.exceptions import BotoCoreError, ClientError

from flotilla.errors import StoreUnavailableError
from flotilla.ports import RunSync
from flotilla.scaling_ports import Backlog

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

_Count = Literal["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]


class SqsLaneDepths:
    """`LaneDepths` and `LaneBacklogs` over FIFO queues.

    Args:
        client: An SQS client.
        queue_urls: Queue URL by lane name.
        run_sync: Runs the client's blocking calls.
    """

    def __init__(self, client: SQSClient, queue_urls: Mapping[str, str], run_sync: RunSync) -> None:
        self._client = client
        self._queue_urls = queue_urls
        self._run_sync = run_sync

    async def waiting(self, lane: str) -> int:
        """See `LaneDepths.waiting`."""
        (waiting,) = await self._run_sync(self._counts, self._queue_urls[lane], "ApproximateNumberOfMessages")
        return waiting

    async def backlog(self, lane: str) -> Backlog:
        """See `LaneBacklogs.backlog`."""
        counts = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
        return Backlog(*await self._run_sync(self._counts, self._queue_urls[lane], *counts))

    def _counts(self, queue_url: str, *counts: _Count) -> list[int]:
        try:
            answer = self._client.get_queue_attributes(QueueUrl=queue_url, AttributeNames=counts)
        except (ClientError, BotoCoreError) as error:
            raise StoreUnavailableError("the lane did not answer", code="lane_unavailable") from error
        return [int(answer["Attributes"][count]) for count in counts]
