"""The lanes: one FIFO queue per priority, written to by the API, handed out to workers by Lambda."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from flotilla.errors import StoreUnavailableError
from flotilla.models import Delivery, TaskMessage
from flotilla.ports import RunSync
from flotilla.primitives.packing import packed

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import (
        ChangeMessageVisibilityBatchRequestEntryTypeDef,
        SendMessageBatchRequestEntryTypeDef,
    )

logger = logging.getLogger(__name__)

_BATCH = 10
_BATCH_BYTES = 1_048_576
"""Of all messages of a call together."""
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

    async def send_batch(self, messages: Sequence[TaskMessage]) -> list[bool]:
        """See `Lanes.send_batch`.

        Of each group one message is under way at a time, and the next one only after it is known to be there: what a
        call holds may be taken in part, and calls overtake each other.
        """
        groups: dict[tuple[str, str], list[int]] = {}
        for position, message in enumerate(messages):
            groups.setdefault((message.lane, message.group), []).append(position)
        lanes: dict[str, list[list[int]]] = {}
        for (lane, _), positions in groups.items():
            lanes.setdefault(lane, []).append(positions)
        durable = [False] * len(messages)
        await asyncio.gather(*(self._send_lane(lane, of_lane, messages, durable) for lane, of_lane in lanes.items()))
        return durable

    async def _send_lane(
        self, lane: str, groups: Sequence[Sequence[int]], messages: Sequence[TaskMessage], durable: list[bool]
    ) -> None:
        """Send the groups of one lane, and note in `durable` what is there."""
        for wave in _waves(groups, durable):
            entries = [_entry(position, messages[position]) for position in wave]
            calls = packed(entries, _body_bytes, max_items=_BATCH, max_bytes=_BATCH_BYTES)
            sent = await asyncio.gather(*(self._run_sync(self._send_entries, lane, call) for call in calls))
            for position in (position for positions in sent for position in positions):
                durable[position] = True

    def _send_entries(self, lane: str, entries: Sequence[SendMessageBatchRequestEntryTypeDef]) -> list[int]:
        """Send entries of different groups in one call; returns the ids of those that are surely there."""
        try:
            answer = self._client.send_message_batch(QueueUrl=self._queue_urls[lane], Entries=entries)
        except (ClientError, BotoCoreError) as error:
            logger.warning("messages not sent", extra={"lane": lane, "messages": len(entries), "error": str(error)})
            return []
        if answer.get("Failed"):
            codes = sorted({failed["Code"] for failed in answer["Failed"]})
            extra = {"lane": lane, "messages": len(answer["Failed"]), "error": ", ".join(codes)}
            logger.warning("messages not sent", extra=extra)
        return [int(taken["Id"]) for taken in answer.get("Successful", ())]

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


def _waves(groups: Sequence[Sequence[int]], durable: Sequence[bool]) -> Iterator[list[int]]:
    """The first message of each group, then the second of each whose first is there, and so on."""
    before: list[int | None] = [None] * len(groups)
    for nth in zip_longest(*groups):
        wave = [
            position
            for position, last in zip(nth, before, strict=True)
            if position is not None and (last is None or durable[last])
        ]
        if not wave:
            return
        yield wave
        before = list(nth)


def _entry(position: int, message: TaskMessage) -> SendMessageBatchRequestEntryTypeDef:
    return {
        "Id": str(position),
        "MessageBody": message.to_body(),
        "MessageGroupId": message.group,
        "MessageDeduplicationId": message.deduplication_id,
    }


def _body_bytes(entry: SendMessageBatchRequestEntryTypeDef) -> int:
    return len(entry["MessageBody"])  # it is ASCII


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
