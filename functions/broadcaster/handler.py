"""Entry point of the broadcaster: a batch of the event log's stream in, the record to go on from out."""

from __future__ import annotations

import logging as standard_logging
import random
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from flotilla.broadcast_ports import Publisher
from flotilla.clock import SystemClock
from flotilla.dynamo.endpoints import DynamoEndpoints
from flotilla.dynamo.event_log import DynamoEventLog
from flotilla.dynamo.stream import appended, sequence_number
from flotilla.errors import CorruptLogError, RetryableError
from flotilla.eventbridge.bus import EventBridgeBus
from flotilla.events import Event
from flotilla.runtime import clients, logging, threads
from flotilla.runtime.settings import BroadcasterSettings, BroadcastTargets
from flotilla.s3.payload_store import S3PayloadStore
from flotilla.services.broadcast import Broadcaster
from flotilla.services.claim_check import ClaimCheck
from flotilla.services.endpoint_directory import EndpointDirectory
from flotilla.services.notices import Notices
from flotilla.sns.topic import SnsTopic
from flotilla.sqs.webhook_queue import SqsWebhookQueue

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

logger = standard_logging.getLogger("flotilla.broadcaster")

SOURCE = "flotilla"
"""What events on the bus say they come from."""

_AWS_THREADS = 16


class BroadcasterFunction:
    """The broadcaster on AWS."""

    def __init__(self, settings: BroadcasterSettings) -> None:
        aws = threads.ThreadRunner("aws", _AWS_THREADS)
        clock = SystemClock()
        store = S3PayloadStore(clients.s3, settings.payloads_bucket, aws)
        self._broadcaster = Broadcaster(
            log=DynamoEventLog(clients.dynamodb(), settings.events_table, settings.retention_days, aws),
            notices=Notices(ClaimCheck(store, inline_bytes=0)),  # it only checks out
            publishers=list(_publishers(settings.broadcast, aws)),
            queue=SqsWebhookQueue(clients.sqs(), settings.webhooks_queue_url, aws),
            directory=EndpointDirectory(DynamoEndpoints(clients.dynamodb(), settings.control_table, aws), clock),
            transitions=settings.broadcast.transitions,
            clock=clock,
            dice=random.Random(),
        )

    async def answer(self, stream_event: Mapping[str, Any]) -> dict[str, Any]:
        """Tell what a batch holds; the first record that must come again, with all after it."""
        records = stream_event["Records"]
        events, numbers, unread = _read(records)
        position = await self._broadcaster.run(events)
        again = unread if position is None else numbers[position]
        logger.info("batch told", extra={"records": len(records), "events": len(events), "again_from": again})
        return {"batchItemFailures": [] if again is None else [{"itemIdentifier": again}]}


def _publishers(targets: BroadcastTargets, aws: threads.ThreadRunner) -> Iterator[Publisher]:
    if targets.event_bus is not None:
        yield EventBridgeBus(clients.eventbridge(), targets.event_bus, SOURCE, aws)
    if targets.topic_arn is not None:
        yield SnsTopic(clients.sns(), targets.topic_arn, aws)


def _read(records: Sequence[Mapping[str, Any]]) -> tuple[list[Event], list[str], str | None]:
    """The events of a batch, their sequence numbers, and that of the record where reading stopped."""
    events: list[Event] = []
    numbers: list[str] = []
    for record in records:
        number = sequence_number(record)
        try:
            event = appended(record)
        except CorruptLogError as error:
            # It stays so however often the stream brings it, and others wait behind it.
            logger.error("a record that is no event", extra={"sequence_number": number, "error": error.message})
            continue
        except RetryableError as error:
            # Written by a later version, which is being deployed to this function too.
            logger.warning("an event of a later version", extra={"sequence_number": number, "error": error.message})
            return events, numbers, number
        if event is not None:
            events.append(event)
            numbers.append(number)
    return events, numbers, None


@cache
def _deployed() -> BroadcasterFunction:
    return BroadcasterFunction(BroadcasterSettings.read())


def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Tell what a batch of the stream holds.

    Args:
        event: What Lambda's DynamoDB stream event source sends.
        _context: The invocation's context.

    Returns:
        A partial batch response: the record from which the stream must come again.
    """
    logging.configured()
    return threads.run(_deployed().answer(event))
