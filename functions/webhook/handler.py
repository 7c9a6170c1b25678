"""Entry point of the webhook function: a batch of deliveries in, those to keep out."""

from __future__ import annotations

import random
from functools import cache
from typing import TYPE_CHECKING, Any

from flotilla.clock import SystemClock
from flotilla.dynamo.endpoints import DynamoEndpoints
from flotilla.models import Delivery
from flotilla.outbound.resolver import SystemResolver
from flotilla.outbound.sender import PinnedSender
from flotilla.runtime import clients, logging, threads
from flotilla.runtime.settings import WebhookSettings
from flotilla.services.destinations import Destinations
from flotilla.services.webhook_delivery import WebhookDeliveries
from flotilla.sqs.webhook_queue import SqsWebhookReceipts

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

_AWS_THREADS = 10  # a full batch
_RESOLVER_THREADS = 20  # a full batch, and lookups of the one before that hang


class WebhookFunction:
    """The deliveries on AWS."""

    def __init__(self, settings: WebhookSettings) -> None:
        aws = threads.ThreadRunner("aws", _AWS_THREADS)
        self._clock = SystemClock()
        self._deliveries = WebhookDeliveries(
            endpoints=DynamoEndpoints(clients.dynamodb(), settings.control_table, aws),
            destinations=Destinations(
                SystemResolver(threads.ThreadRunner("resolver", _RESOLVER_THREADS)), settings.allow
            ),
            sender=PinnedSender(),
            receipts=SqsWebhookReceipts(clients.sqs(), settings.webhooks_queue_url, settings.webhooks_dlq_url, aws),
            clock=self._clock,
            dice=random.Random(),
        )

    async def answer(self, event: dict[str, Any], remaining_ms: int) -> dict[str, Any]:
        """Work on a batch; the messages to keep."""
        deliveries = [_delivery(record) for record in event["Records"]]
        again = await self._deliveries.run(deliveries, self._clock.now_ms() + remaining_ms)
        return {"batchItemFailures": [{"itemIdentifier": delivery.message_id} for delivery in again]}


def _delivery(record: dict[str, Any]) -> Delivery:
    return Delivery(
        message_id=record["messageId"],
        receipt_handle=record["receiptHandle"],
        group="",  # a standard queue has none
        receive_count=int(record["attributes"]["ApproximateReceiveCount"]),
        body=record["body"],
    )


@cache
def _deployed() -> WebhookFunction:
    return WebhookFunction(WebhookSettings.read())


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Deliver a batch.

    Args:
        event: What Lambda's SQS event source sends.
        context: The invocation's context.

    Returns:
        A partial batch response: the messages that must stay in the queue.
    """
    logging.configured()
    return threads.run(_deployed().answer(event, context.get_remaining_time_in_millis()))
