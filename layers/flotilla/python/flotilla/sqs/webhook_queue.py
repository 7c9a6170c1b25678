"""The webhooks' queue: a standard queue between the broadcaster and the webhook function."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from flotilla.broadcast import WebhookMessage
from flotilla.errors import StoreUnavailableError
from flotilla.models import Delivery
from flotilla.ports import RunSync
from flotilla.primitives.packing import packed

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

logger = logging.getLogger(__name__)

_ENTRIES = 10
_REQUEST_BYTES = 1_000_000
_REASON_CHARACTERS = 256


class SqsWebhookQueue:
    """`WebhookQueue` over a standard queue.

    Args:
        client: An SQS client.
        queue_url: The queue.
        run_sync: Runs the client's blocking calls.
    """

    def __init__(self, client: SQSClient, queue_url: str, run_sync: RunSync) -> None:
        self._client = client
        self._queue_url = queue_url
        self._run_sync = run_sync

    async def send_batch(self, messages: Sequence[WebhookMessage]) -> list[bool]:
        """See `WebhookQueue.send_batch`."""
        through: list[bool] = []
        bodies = [message.to_body() for message in messages]
        for pack in packed(bodies, len, max_items=_ENTRIES, max_bytes=_REQUEST_BYTES):
            through += await self._run_sync(self._send, pack)
            if not any(through[-len(pack) :]):
                break  # it does not answer: what comes after would only wait as long again
        return through + [False] * (len(messages) - len(through))

    def _send(self, bodies: Sequence[str]) -> list[bool]:
        try:
            answer = self._client.send_message_batch(
                QueueUrl=self._queue_url,
                Entries=[{"Id": str(position), "MessageBody": body} for position, body in enumerate(bodies)],
            )
        except (ClientError, BotoCoreError) as error:
            logger.warning("webhooks not queued", extra={"messages": len(bodies), "error": str(error)})
            return [False] * len(bodies)
        if answer.get("Failed"):
            logger.warning("some webhooks not queued", extra={"failed": answer["Failed"]})
        done = {entry["Id"] for entry in answer.get("Successful", [])}
        return [str(position) in done for position in range(len(bodies))]


class SqsWebhookReceipts:
    """`WebhookReceipts` over the webhooks' queue and its dead letter queue."""

    def __init__(self, client: SQSClient, queue_url: str, dead_letter_queue_url: str, run_sync: RunSync) -> None:
        self._client = client
        self._queue_url = queue_url
        self._dead_letter_queue_url = dead_letter_queue_url
        self._run_sync = run_sync

    async def hold(self, delivery: Delivery, seconds: int) -> None:
        """See `WebhookReceipts.hold`."""
        await self._run_sync(self._hold, delivery, seconds)

    async def put_aside(self, delivery: Delivery, reason: str) -> None:
        """See `WebhookReceipts.put_aside`."""
        await self._run_sync(self._put_aside, delivery, reason)

    def _hold(self, delivery: Delivery, seconds: int) -> None:
        try:
            self._client.change_message_visibility(
                QueueUrl=self._queue_url, ReceiptHandle=delivery.receipt_handle, VisibilityTimeout=seconds
            )
        except (ClientError, BotoCoreError) as error:
            logger.warning("visibility not changed", extra={"message_id": delivery.message_id, "error": str(error)})

    def _put_aside(self, delivery: Delivery, reason: str) -> None:
        try:
            self._client.send_message(
                QueueUrl=self._dead_letter_queue_url,
                MessageBody=delivery.body,
                MessageAttributes={
                    "reason": {"DataType": "String", "StringValue": reason[:_REASON_CHARACTERS] or "unknown"}
                },
            )
        except (ClientError, BotoCoreError) as error:
            raise StoreUnavailableError("the dead letter queue did not answer", code="webhooks_unavailable") from error
