"""Entry point of the projector: a batch of the event log's stream in, the records to come again out."""

from __future__ import annotations

import logging as standard_logging
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from flotilla.clock import SystemClock
from flotilla.dynamo.event_log import DynamoEventLog
from flotilla.dynamo.retention_ledger import DynamoRetentionLedger
from flotilla.dynamo.stream import appended, sequence_number
from flotilla.dynamo.views import DynamoReadModel
from flotilla.errors import CorruptLogError, RetryableError
from flotilla.events import Event
from flotilla.runtime import clients, logging, threads
from flotilla.runtime.metrics import EmbeddedMetrics
from flotilla.runtime.settings import ProjectorSettings
from flotilla.s3.archive import S3Archive
from flotilla.services.archive_logs import LogArchiver
from flotilla.services.project import Projector
from flotilla.services.task_metrics import TaskMetrics

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

logger = standard_logging.getLogger("flotilla.projector")

_AWS_THREADS = 20  # the calls for a batch's tasks are made side by side


class ProjectorFunction:
    """The projector on AWS."""

    def __init__(self, settings: ProjectorSettings) -> None:
        aws = threads.ThreadRunner("aws", _AWS_THREADS)
        dynamodb = clients.dynamodb()
        self._metrics = EmbeddedMetrics(settings.name, SystemClock(), print)
        self._projector = Projector(
            log=DynamoEventLog(dynamodb, settings.events_table, settings.retention_days, aws),
            views=DynamoReadModel(dynamodb, settings.views_table, aws, kept_days=settings.archive_days),
            archiver=LogArchiver(S3Archive(clients.s3, settings.archive_bucket, aws)),
            ledger=DynamoRetentionLedger(dynamodb, settings.views_table, aws),
            retention_days=settings.retention_days,
            metrics=TaskMetrics(self._metrics, settings.tenant_classes),
        )

    async def answer(self, stream_event: Mapping[str, Any]) -> dict[str, Any]:
        """Project a batch.

        Returns:
            A partial batch response: for each task whose entry may not be up to its log its first record. Lambda
            goes on from the first of them; what comes again after it changes nothing.
        """
        records: Sequence[Mapping[str, Any]] = stream_event["Records"]
        events: list[Event] = []
        first_of: dict[str, str] = {}
        again: list[str] = []
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
                again.append(number)
                continue
            if event is not None:
                events.append(event)
                first_of.setdefault(event.task_id, number)
        again += [first_of[task_id] for task_id in await self._projector.project(events)]
        self._metrics.flush()
        extra = {"records": len(records), "tasks": len(first_of), "again": len(again)}
        logger.info("batch projected", extra=extra)
        return {"batchItemFailures": [{"itemIdentifier": number} for number in again]}


@cache
def _deployed() -> ProjectorFunction:
    return ProjectorFunction(ProjectorSettings.read())


def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Project a batch of the stream.

    Args:
        event: What Lambda's DynamoDB stream event source sends.
        _context: The invocation's context.

    Returns:
        A partial batch response.
    """
    logging.configured()
    return threads.run(_deployed().answer(event))
