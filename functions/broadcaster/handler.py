"""Entry point of the broadcaster: a batch of the event log's stream in, the record to go on from out.

It tells whoever asked of transitions, and workflows of how their tasks ended. Each does its part of every batch; where
one is held up, the batch comes again to both, which does no harm.
"""

from __future__ import annotations

import asyncio
import logging as standard_logging
import random
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from flotilla.broadcast_ports import Publisher
from flotilla.clock import Clock, SystemClock
from flotilla.dynamo.endpoints import DynamoEndpoints
from flotilla.dynamo.event_log import DynamoEventLog
from flotilla.dynamo.pauses import DynamoPauses
from flotilla.dynamo.stream import appended, sequence_number
from flotilla.dynamo.views import DynamoReadModel
from flotilla.errors import CorruptLogError, RetryableError
from flotilla.eventbridge.bus import EventBridgeBus
from flotilla.events import Event
from flotilla.runtime import clients, logging, threads
from flotilla.runtime.metrics import EmbeddedMetrics
from flotilla.runtime.settings import BroadcasterSettings, BroadcastTargets
from flotilla.s3.payload_store import S3PayloadStore
from flotilla.secretsmanager.secrets import SecretsManagerSecrets
from flotilla.services.broadcast import Broadcaster
from flotilla.services.callbacks import Callbacks
from flotilla.services.cancel import CancelService
from flotilla.services.claim_check import ClaimCheck
from flotilla.services.decision_links import DecisionLinks, SigningKey
from flotilla.services.endpoint_directory import EndpointDirectory
from flotilla.services.notices import Notices
from flotilla.services.open_logs import OpenLogs
from flotilla.services.run_follower import RunFollower
from flotilla.services.run_remains import RunRemains
from flotilla.sns.topic import SnsTopic
from flotilla.sqs.webhook_queue import SqsWebhookQueue
from flotilla.stepfunctions.executions import StepFunctionsExecutions
from flotilla.stepfunctions.task_tokens import StepFunctionsTaskTokens

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

logger = standard_logging.getLogger("flotilla.broadcaster")

SOURCE = "flotilla"
"""What events on the bus say they come from."""

_AWS_THREADS = 16

_CLEARING_MS = 60_000
"""So long it clears up behind runs of workflows; what is left then comes again."""


class BroadcasterFunction:
    """The broadcaster on AWS."""

    def __init__(self, settings: BroadcasterSettings) -> None:
        aws = threads.ThreadRunner("aws", _AWS_THREADS)
        self._clock = clock = SystemClock()
        store = S3PayloadStore(clients.s3, settings.payloads_bucket, aws)
        log = DynamoEventLog(clients.dynamodb(), settings.events_table, settings.retention_days, aws)
        claim_check = ClaimCheck(store, inline_bytes=0)  # it only checks out
        self._metrics = EmbeddedMetrics(settings.name, clock, print)
        self._broadcaster = Broadcaster(
            log=log,
            notices=Notices(claim_check),
            publishers=list(_publishers(settings.broadcast, aws)),
            queue=SqsWebhookQueue(clients.sqs(), settings.webhooks_queue_url, aws),
            directory=EndpointDirectory(DynamoEndpoints(clients.dynamodb(), settings.control_table, aws), clock),
            transitions=settings.broadcast.transitions,
            clock=clock,
            dice=random.Random(),
            links=_decision_links(settings, aws, clock),
        )
        # Of a run's tasks none is delayed, and what has not ended is in the table.
        logs = OpenLogs(log=log, past=None, clock=clock, retention_days=settings.retention_days)
        self._follower = RunFollower(
            log=log,
            callbacks=Callbacks(StepFunctionsTaskTokens(clients.stepfunctions, aws), claim_check, self._metrics),
            remains=RunRemains(
                views=DynamoReadModel(clients.dynamodb(), settings.views_table, aws),
                executions=StepFunctionsExecutions(clients.stepfunctions, settings.state_machines, aws),
                pauses=DynamoPauses(clients.dynamodb(), settings.control_table, aws),
                cancel=CancelService(logs=logs, schedules=None, clock=clock),
                clock=clock,
            ),
        )

    async def answer(self, stream_event: Mapping[str, Any]) -> dict[str, Any]:
        """Tell what a batch holds; the first record that must come again, with all after it."""
        records = stream_event["Records"]
        events, numbers, unread = _read(records)
        positions = await asyncio.gather(
            self._broadcaster.run(events),
            self._follower.run(events, give_up_ms=self._clock.now_ms() + _CLEARING_MS),
        )
        position = min((each for each in positions if each is not None), default=None)
        again = unread if position is None else numbers[position]
        self._metrics.flush()
        logger.info("batch told", extra={"records": len(records), "events": len(events), "again_from": again})
        return {"batchItemFailures": [] if again is None else [{"itemIdentifier": again}]}


def _publishers(targets: BroadcastTargets, aws: threads.ThreadRunner) -> Iterator[Publisher]:
    if targets.event_bus is not None:
        yield EventBridgeBus(clients.eventbridge(), targets.event_bus, SOURCE, aws)
    if targets.topic_arn is not None:
        yield SnsTopic(clients.sns(), targets.topic_arn, aws)


def _decision_links(settings: BroadcasterSettings, aws: threads.ThreadRunner, clock: Clock) -> DecisionLinks | None:
    if settings.decisions_secret is None:
        return None
    key = SigningKey(SecretsManagerSecrets(clients.secretsmanager, aws), settings.decisions_secret, clock)
    return DecisionLinks(key, settings.api_url)


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
