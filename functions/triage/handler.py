"""Entry point of the triage function: a batch from a dead letter queue in, the messages to keep out."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from flotilla.agents.catalog import Catalog
from flotilla.clock import SystemClock
from flotilla.dynamo.event_log import DynamoEventLog
from flotilla.dynamo.views import DynamoReadModel
from flotilla.models import Delivery
from flotilla.primitives.ladder import Ladder
from flotilla.runtime import clients, logging, threads
from flotilla.runtime.metrics import EmbeddedMetrics
from flotilla.runtime.settings import TriageSettings
from flotilla.s3.payload_store import S3PayloadStore
from flotilla.scheduler.schedules import EventBridgeSchedules
from flotilla.services.bridge import Bridge
from flotilla.services.callbacks import Callbacks
from flotilla.services.claim_check import ClaimCheck
from flotilla.services.dispatch import Dispatch
from flotilla.services.triage import DeadMessage, Orders, TriageService
from flotilla.sqs.delays import SqsDelays
from flotilla.sqs.lanes import SqsLaneReceipts, SqsLanes
from flotilla.stepfunctions.task_tokens import StepFunctionsTaskTokens

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

_AWS_THREADS = 10  # a full batch of groups


@dataclass(frozen=True, slots=True)
class _Source:
    """A dead letter queue.

    Attributes:
        name: Of the lane it belongs to; `delays` for that of the delay ladder.
    """

    name: str
    url: str


class Triage:
    """The triage, wired to AWS."""

    def __init__(self, settings: TriageSettings) -> None:
        self._settings = settings
        self._aws = threads.ThreadRunner("aws", _AWS_THREADS)
        self._clock = SystemClock()
        self._log = DynamoEventLog(clients.dynamodb(), settings.events_table, settings.retention_days, self._aws)
        self._read_model = DynamoReadModel(clients.dynamodb(), settings.views_table, self._aws)
        self._payloads = S3PayloadStore(clients.s3, settings.payloads_bucket, self._aws)
        self._random = random.Random()
        self._metrics = EmbeddedMetrics(settings.name, self._clock, print)
        schedules = EventBridgeSchedules(
            clients.scheduler,
            group=settings.schedules.group,
            role_arn=settings.schedules.role_arn,
            target_arn=settings.schedules.target_arn,
            run_sync=self._aws,
        )
        lane_urls = {name: lane.queue_url for name, lane in settings.lanes.items()}
        delay_urls = {seconds: queue.queue_url for seconds, queue in settings.delays.items()}
        self._dispatch = Dispatch(
            lanes=SqsLanes(clients.sqs(), lane_urls, self._aws),
            delays=SqsDelays(clients.sqs(), delay_urls, self._aws),
            schedules=schedules,
            ladder=Ladder(settings.delays),
            clock=self._clock,
        )
        urls = {name: lane.dlq_url for name, lane in settings.lanes.items()} | {"delays": settings.delays_dlq_url}
        self._sources = {_queue_name(url, "/"): _Source(name, url) for name, url in urls.items()}
        self._orders = None if settings.state_machines is None else Orders(self._bridge, _catalog)

    async def run(self, records: list[dict[str, Any]], actor: str) -> list[str]:
        """Sort out a batch; the ids of the messages to keep."""
        service = TriageService(
            log=self._log,
            read_model=self._read_model,
            dispatch=self._dispatch,
            payloads=self._payloads,
            lanes=self._settings.lanes.keys(),
            clock=self._clock,
            random=self._random,
            actor=actor,
            orders=self._orders,
            metrics=self._metrics,
        )
        # A batch is of one queue.
        source = self._sources[_queue_name(records[0]["eventSourceARN"], ":")]
        receipts = SqsLaneReceipts(clients.sqs(), source.url, source.url, self._aws)
        result = await service.run([_message(record, source.name) for record in records], receipts)
        self._metrics.flush()
        return [delivery.message_id for delivery in result.again]

    def _bridge(self, lane: str) -> Bridge:
        claim_check = ClaimCheck(self._payloads, self._settings.inline_payload_bytes)
        tokens = StepFunctionsTaskTokens(clients.stepfunctions, self._aws)
        return Bridge(
            log=self._log,
            claim_check=claim_check,
            dispatch=self._dispatch,
            callbacks=Callbacks(tokens, claim_check, self._metrics),
            clock=self._clock,
            lane=lane,
            lanes=self._settings.lanes.keys(),
        )


@cache
def _catalog() -> Catalog:
    return Catalog.deployed()


def _queue_name(place: str, separator: str) -> str:
    return place.rpartition(separator)[2]


def _message(record: dict[str, Any], queue: str) -> DeadMessage:
    attributes = record["attributes"]
    delivery = Delivery(
        message_id=record["messageId"],
        receipt_handle=record["receiptHandle"],
        group=attributes["MessageGroupId"],
        receive_count=int(attributes["ApproximateReceiveCount"]),
        body=record["body"],
    )
    reason = (record.get("messageAttributes") or {}).get("reason") or {}
    return DeadMessage(delivery, queue, reason.get("stringValue"))


@cache
def _triage() -> Triage:
    return Triage(TriageSettings.read())


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Sort out a batch.

    Args:
        event: What Lambda's SQS event source sends.
        context: The invocation's context.

    Returns:
        A partial batch response: the messages that must stay in the queue.
    """
    logging.configured()
    actor = f"triage:{context.function_name}/{context.aws_request_id}"
    keep = threads.run(_triage().run(event["Records"], actor))
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in keep]}
