"""The delay ladder: one FIFO queue for each tier, which delays all of its messages by the same time.

Failure policy: closed. A send that cannot be confirmed is an error to the caller, who sends again;
the deduplication id makes that one message.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from flotilla.errors import StoreUnavailableError
from flotilla.models import TaskMessage
from flotilla.ports import RunSync

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


class SqsDelays:
    """`Delays` over FIFO queues.

    Args:
        client: An SQS client.
        queue_urls: Queue URL by the tier's seconds.
        run_sync: Runs the client's blocking calls.
    """

    def __init__(self, client: SQSClient, queue_urls: Mapping[int, str], run_sync: RunSync) -> None:
        self._client = client
        self._queue_urls = queue_urls
        self._run_sync = run_sync

    async def send(self, message: TaskMessage, tier_seconds: int) -> None:
        """See `Delays.send`."""
        await self._run_sync(self._send, message, self._queue_urls[tier_seconds])

    def _send(self, message: TaskMessage, queue_url: str) -> None:
        try:
            self._client.send_message(
                QueueUrl=queue_url,
                MessageBody=message.to_body(),
                # The task and not its session: the ladder keeps no order, and one task waits for no other.
                MessageGroupId=message.task_id,
                # The same state of a task on its next round through the same tier is another message.
                MessageDeduplicationId=f"{message.deduplication_id}-{message.hops}",
            )
        except (ClientError, BotoCoreError) as error:
            raise StoreUnavailableError("the delay ladder did not answer", code="delays_unavailable") from error
