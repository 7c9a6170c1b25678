"""How much waits on the lanes, as SQS estimates it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from flotilla.errors import StoreUnavailableError
from flotilla.ports import RunSync

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


class SqsLaneDepths:
    """`LaneDepths` over FIFO queues.

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
        return await self._run_sync(self._waiting, self._queue_urls[lane])

    def _waiting(self, queue_url: str) -> int:
        try:
            answer = self._client.get_queue_attributes(
                QueueUrl=queue_url, AttributeNames=["ApproximateNumberOfMessages"]
            )
        except (ClientError, BotoCoreError) as error:
            raise StoreUnavailableError("the lane did not answer", code="lane_unavailable") from error
        return int(answer["Attributes"]["ApproximateNumberOfMessages"])
