"""Entry point of the retention keeper, which runs once a day."""

from __future__ import annotations

import logging as standard_logging
from dataclasses import asdict
from functools import cache
from typing import TYPE_CHECKING, Any

from flotilla.clock import SystemClock
from flotilla.dynamo.event_log import DynamoEventLog
from flotilla.dynamo.log_retention import DynamoLogRetention
from flotilla.dynamo.retention_ledger import DynamoRetentionLedger
from flotilla.dynamo.views import DynamoReadModel
from flotilla.errors import RetryableError
from flotilla.runtime import clients, logging, threads
from flotilla.runtime.settings import KeeperSettings
from flotilla.s3.archive import S3Archive
from flotilla.services.archive_logs import LogArchiver
from flotilla.services.retention import KeeperReport, RetentionKeeper

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

logger = standard_logging.getLogger("flotilla.keeper")

_AWS_THREADS = 20
_MARGIN_MS = 60_000
"""What is begun needs some time to end: a hundred logs, read and archived."""


class KeeperFunction:
    """The retention keeper on AWS."""

    def __init__(self, settings: KeeperSettings) -> None:
        aws = threads.ThreadRunner("aws", _AWS_THREADS)
        dynamodb = clients.dynamodb()
        self._clock = SystemClock()
        self._keeper = RetentionKeeper(
            log=DynamoEventLog(dynamodb, settings.events_table, settings.retention_days, aws),
            views=DynamoReadModel(dynamodb, settings.views_table, aws, kept_days=settings.archive_days),
            archiver=LogArchiver(S3Archive(clients.s3, settings.archive_bucket, aws)),
            retention=DynamoLogRetention(dynamodb, settings.events_table, aws),
            ledger=DynamoRetentionLedger(dynamodb, settings.views_table, aws),
            clock=self._clock,
            retention_days=settings.retention_days,
        )

    async def keep(self, remaining_ms: int) -> KeeperReport:
        """Look after the logs that are near to being dropped, as long as there is time.

        Raises:
            RetryableError: A store did not answer. What was done is done.
        """
        return await self._keeper.run(self._clock.now_ms() + remaining_ms - _MARGIN_MS)


@cache
def _deployed() -> KeeperFunction:
    return KeeperFunction(KeeperSettings.read())


def handler(_event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Run once.

    Args:
        _event: The schedule's event; says nothing.
        context: The invocation's context.

    Returns:
        What was done.

    Raises:
        RetryableError: Some logs were not seen to. Lambda runs the function again, twice within minutes.
    """
    logging.configured()
    report = threads.run(_deployed().keep(context.get_remaining_time_in_millis()))
    done = report.complete and not report.failed
    logger.log(standard_logging.INFO if done else standard_logging.WARNING, "logs kept", extra=asdict(report))
    if report.failed:
        raise RetryableError(f"{report.failed} logs were not seen to", code="logs_not_kept")
    return asdict(report)
