"""Entry point of the relay function: a batch from a tier of the delay ladder in, the messages to keep there out."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from flotilla.clock import SystemClock
from flotilla.models import Delivery
from flotilla.primitives.ladder import Ladder
from flotilla.runtime import clients, logging, threads
from flotilla.runtime.settings import RelaySettings
from flotilla.services.relay import Relay
from flotilla.sqs.delays import SqsDelays
from flotilla.sqs.lanes import SqsLaneReceipts, SqsLanes

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

_AWS_THREADS = 10  # a full batch of messages that go on to the next tier


class RelayFunction:
    """The relay on AWS."""

    def __init__(self, settings: RelaySettings) -> None:
        aws = threads.ThreadRunner("aws", _AWS_THREADS)
        self._relay = Relay(
            lanes=SqsLanes(clients.sqs(), {name: lane.queue_url for name, lane in settings.lanes.items()}, aws),
            lane_names=settings.lanes.keys(),
            delays=SqsDelays(clients.sqs(), {tier: queue.queue_url for tier, queue in settings.delays.items()}, aws),
            ladder=Ladder(settings.delays),
            clock=SystemClock(),
        )
        self._receipts = {
            queue.queue_arn: SqsLaneReceipts(clients.sqs(), queue.queue_url, settings.delays_dlq_url, aws)
            for queue in settings.delays.values()
        }

    async def answer(self, event: dict[str, Any]) -> dict[str, Any]:
        """Pass on a batch, which is of one queue; the messages to keep."""
        records = event["Records"]
        if not records:
            return {"batchItemFailures": []}  # nothing to do but to get ready
        receipts = self._receipts[records[0]["eventSourceARN"]]
        result = await self._relay.run([_delivery(record) for record in records], receipts)
        return {"batchItemFailures": [{"itemIdentifier": delivery.message_id} for delivery in result.again]}


def _delivery(record: dict[str, Any]) -> Delivery:
    return Delivery(
        message_id=record["messageId"],
        receipt_handle=record["receiptHandle"],
        group=record["attributes"]["MessageGroupId"],
        receive_count=int(record["attributes"]["ApproximateReceiveCount"]),
        body=record["body"],
    )


@cache
def _deployed() -> RelayFunction:
    return RelayFunction(RelaySettings.read())


def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Pass on a batch.

    Args:
        event: What Lambda's SQS event source sends.
        _context: The invocation's context.

    Returns:
        A partial batch response: the messages that must stay in the queue.
    """
    logging.configured()
    return threads.run(_deployed().answer(event))
