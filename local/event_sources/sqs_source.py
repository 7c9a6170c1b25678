"""Feeds a function from an SQS queue, FIFO or standard.

Order within a message group needs no care here: SQS hands out nothing of a group while a message of it is in flight.
So batches of different groups run side by side, up to the mapping's and the function's limits. Nothing is received
without a slot to run it in, and a message is deleted only after the function reported it done.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import Executor, Future
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from local.event_sources.activity import Activity
from local.event_sources.invocation import Invoker
from local.event_sources.mappings import Mapping
from local.event_sources.partial_batch import failed_items
from local.event_sources.poller import Poller
from local.event_sources.slots import Slot, SlotLedger
from local.event_sources.sqs_event import sqs_event

_LOG = logging.getLogger("local.event_sources")
# A receive cannot be called back without risking what it would have received, so this is also what a stop may wait.
_LONG_POLL_SECONDS = 3
_SLOT_WAIT_SECONDS = 1.0
_TROUBLE_PAUSE_SECONDS = 1.0
_RETURN_AFTER_SECONDS = 2
_DEFAULT_VISIBILITY_SECONDS = 30


class SqsSource(Poller):
    """The poller of one mapping: one thread that receives, and a pool that invokes.

    One receiver suffices, because it hands every batch on and receives again at once.
    """

    def __init__(
        self,
        mapping: Mapping,
        *,
        queues: Any,
        invoker: Invoker,
        ledger: SlotLedger,
        pool: Executor,
        activity: Activity,
    ) -> None:
        super().__init__(f"sqs {mapping.function}")
        self.mapping = mapping
        self._activity = activity
        self._queues = queues
        self._invoker = invoker
        self._ledger = ledger
        self._pool = pool

    def _poll(self) -> None:
        queue_url = ""
        patience_seconds = 0.0
        while not self._stopping.is_set():
            slot = self._ledger.acquire(self.mapping.uuid, timeout_seconds=_SLOT_WAIT_SECONDS)
            if slot is None:
                continue
            handed_on = False
            try:
                if not queue_url:
                    queue_url, visibility_seconds = self._find_queue()
                    patience_seconds = visibility_seconds / 2
                messages = self._receive(queue_url)
                if messages:
                    self._activity.stir()
                    delivery = self._pool.submit(self._deliver, slot, queue_url, messages, patience_seconds)
                    handed_on = True
                    delivery.add_done_callback(_log_failure)
            except (ClientError, BotoCoreError) as error:
                _LOG.warning("cannot receive from %s: %s", self.mapping.source_arn, error)
                self._stopping.wait(_TROUBLE_PAUSE_SECONDS)
            finally:
                if not handed_on:
                    slot.release()

    def _find_queue(self) -> tuple[str, int]:
        name = self.mapping.source_arn.split(":")[5]
        queue_url = str(self._queues.get_queue_url(QueueName=name)["QueueUrl"])
        answer = self._queues.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["VisibilityTimeout"])
        attributes = answer.get("Attributes", {})
        return queue_url, int(attributes.get("VisibilityTimeout", _DEFAULT_VISIBILITY_SECONDS))

    def _receive(self, queue_url: str) -> list[dict[str, Any]]:
        answer = self._queues.receive_message(
            QueueUrl=queue_url,
            MaxNumberOfMessages=self.mapping.batch_size,
            WaitTimeSeconds=_LONG_POLL_SECONDS,
            MessageSystemAttributeNames=["All"],
            MessageAttributeNames=["All"],
        )
        return list(answer.get("Messages", []))

    def _deliver(self, slot: Slot, queue_url: str, messages: Sequence[dict[str, Any]], patience_seconds: float) -> None:
        mapping = self.mapping
        try:
            event = sqs_event(messages, queue_arn=mapping.source_arn)
            invocation = self._invoker.invoke(mapping.function_arn, event, patience_seconds=patience_seconds)
        finally:
            slot.release()
        self._activity.stir()
        if invocation.outcome == "succeeded":
            failed = failed_items(
                invocation.answer,
                [message["MessageId"] for message in messages],
                reports_item_failures=mapping.reports_item_failures,
            )
            self._delete(queue_url, [message for message in messages if message["MessageId"] not in failed])
        elif invocation.outcome == "not-run":
            self._return(queue_url, messages)
        # After an error of the function, or where nobody knows, the messages come back when their visibility ends.

    def _delete(self, queue_url: str, messages: Sequence[dict[str, Any]]) -> None:
        if not messages:
            return
        entries = [
            {"Id": str(index), "ReceiptHandle": message["ReceiptHandle"]} for index, message in enumerate(messages)
        ]
        answer = self._queues.delete_message_batch(QueueUrl=queue_url, Entries=entries)
        for failure in answer.get("Failed", []):
            _LOG.warning("cannot delete a message from %s: %s", queue_url, failure)

    def _return(self, queue_url: str, messages: Sequence[dict[str, Any]]) -> None:
        """Makes messages that no function has seen visible again soon."""
        entries = [
            {
                "Id": str(index),
                "ReceiptHandle": message["ReceiptHandle"],
                "VisibilityTimeout": _RETURN_AFTER_SECONDS,
            }
            for index, message in enumerate(messages)
        ]
        self._queues.change_message_visibility_batch(QueueUrl=queue_url, Entries=entries)


def _log_failure(delivery: Future[None]) -> None:
    error = delivery.exception()
    if error is not None:
        _LOG.warning("a delivery failed, its messages come back by themselves: %r", error)
