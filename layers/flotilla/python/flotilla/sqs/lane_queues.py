"""How many messages lie on the lanes, as SQS estimates it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from flotilla.errors import StoreUnavailableError
from flotilla.models import LaneCounts
from flotilla.ports import RunSync

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


class SqsLaneQueues:
    """`LaneQueues` over FIFO queues.

    Args:
        client: An SQS client.
        queue_urls: By lane, the URL of its queue and that of its dead letter queue.
        run_sync: Runs the client's blocking calls.
    """

    def __init__(self, client: SQSClient, queue_urls: Mapping[str, tuple[str, str]], run_sync: RunSync) -> None:
        self._client = client
        self._queue_urls = queue_urls
        self._run_sync = run_sync

    async def counts(self, lane: str) -> LaneCounts:
        """See `LaneQueues.counts`."""
        queue, dead = await asyncio.gather(*(self._run_sync(self._counts, url) for url in self._queue_urls[lane]))
        return LaneCounts(waiting=queue[0], in_flight=queue[1], undeliverable=sum(dead))

    def _counts(self, queue_url: str) -> tuple[int, int]:
        try:
            answer = self._client.get_queue_attributes(
                QueueUrl=queue_url,
                AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"],
            )
        except (ClientError, BotoCoreError) as error:
            raise StoreUnavailableError("the lane did not answer", code="lane_unavailable") from error
        attributes = answer["Attributes"]
        return (
            int(attributes["ApproximateNumberOfMessages"]),
            int(attributes["ApproximateNumberOfMessagesNotVisible"]),
        )
