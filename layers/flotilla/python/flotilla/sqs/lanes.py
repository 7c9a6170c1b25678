"""The lanes: one FIFO queue per priority, written to by the API, handed out to workers by Lambda."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from flotilla.errors import StoreUnavailableError
from flotilla.models import Delivery, TaskMessage
from flotilla.ports import RunSync

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import ChangeMessageVisibilityBatchRequestEntryTypeDef

logger = logging.getLogger(__name__)

_BATCH = 10
_REASON_CHARACTERS = 256


class SqsLanes:
    """`Lanes` over FIFO queues.

    Args:
        client: An SQS client.
        queue_urls: Queue URL by lane name.
        run_sync: Runs the client's blocking calls.
    """

    def __init__(self, client: SQSClient, queue_urls: Mapping[str, str], run_sync: RunSync) -> None:
        self._client = client
        self._queue_urls = queue_urls
        self._run_sync = run_sync

    async def send(self, message: TaskMessage) -> None:
        """See `Lanes.send`."""
        await self._run_sync(self._send, message)

    def _send(self, message: TaskMessage) -> None:
        try:
            self._client.send_message(
                QueueUrl=self._queue_urls[message.lane],
                MessageBody=message.to_body(),
                MessageGroupId=message.group,
                MessageDeduplicationId=message.deduplication_id,
            )
        except (ClientError, BotoCoreError) as error:
            raise StoreUnavailableError("the lane did not answer", code="lane_unavailable") from error


class SqsLaneReceipts:
    """`LaneReceipts` over one lane's queue and its dead letter queue."""

    def __init__(self, client: SQSClient, queue_url: str, dead_letter_queue_url: str, run_sync: RunSync) -> None:
        self._client = client
        self._queue_url = queue_url
        self._dead_letter_queue_url = dead_letter_queue_url
        self._run_sync = run_sync

    async def set_visibility(self, timeouts: Sequence[tuple[Delivery, int]]) -> None:
        """See `LaneReceipts.set_visibility`."""
        for start in range(0, len(timeouts), _BATCH):
            await self._run_sync(self._set_visibility, timeouts[start : start + _BATCH])

    async def delete(self, deliveries: Sequence[Delivery]) -> None:
        """See `LaneReceipts.delete`."""
        for start in range(0, len(deliveries), _BATCH):
            await self._run_sync(self._delete, deliveries[start : start + _BATCH])

    async def put_aside(self, delivery: Delivery, reason: str) -> None:
        """See `LaneReceipts.put_aside`."""
        await self._run_sync(self._put_aside, delivery, reason)

    def _set_visibility(self, timeouts: Sequence[tuple[Delivery, int]]) -> None:
        entries: list[ChangeMessageVisibilityBatchRequestEntryTypeDef] = [
            {"Id": str(position), "ReceiptHandle": delivery.receipt_handle, "VisibilityTimeout": seconds}
            for position, (delivery, seconds) in enumerate(timeouts)
        ]
        try:
            answer = self._client.change_message_visibility_batch(QueueUrl=self._queue_url, Entries=entries)
        except (ClientError, BotoCoreError) as error:
            logger.warning("visibility not changed", extra={"messages": len(entries), "error": str(error)})
            return
        if answer.get("Failed"):
            logger.info("visibility not changed for some", extra={"failed": answer["Failed"]})

    def _delete(self, deliveries: Sequence[Delivery]) -> None:
        try:
            self._client.delete_message_batch(
                QueueUrl=self._queue_url,
                Entries=[
                    {"Id": str(position), "ReceiptHandle": delivery.receipt_handle}
                    for position, delivery in enumerate(deliveries)
                ],
            )
        except (ClientError, BotoCoreError) as error:
            logger.warning("messages not deleted", extra={"messages": len(deliveries), "error": str(error)})

    def _put_aside(self, delivery: Delivery, reason: str) -> None:
        try:
            self._client.send_message(
                QueueUrl=self._dead_letter_queue_url,
                MessageBody=delivery.body,
                MessageGroupId=delivery.group,
                # The message's own id: putting the same message aside twice leaves one.
                MessageDeduplicationId=delivery.message_id,
                MessageAttributes={
                    "reason": {"DataType": "String", "StringValue": reason[:_REASON_CHARACTERS] or "unknown"}
                },
            )
        except (ClientError, BotoCoreError) as error:
            raise StoreUnavailableError("the dead letter queue did not answer", code="lane_unavailable") from error
