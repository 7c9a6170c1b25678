"""Entry point of the rollup, which runs once an hour."""

from __future__ import annotations

import logging as standard_logging
from functools import cache
from typing import TYPE_CHECKING, Any

from flotilla.clock import SystemClock
from flotilla.runtime import clients, logging, threads
from flotilla.runtime.settings import RollupSettings
from flotilla.s3.archive_scan import S3ArchiveScan
from flotilla.s3.usage_hours import S3UsageHours
from flotilla.services.rollup import Rollup, RollupReport
from flotilla.services.usage_folding import RequestPrices

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

logger = standard_logging.getLogger("flotilla.rollup")

_AWS_THREADS = 4
_MARGIN_MS = 30_000
"""What is begun needs some time to end: two objects, read and added up, and the hour stored."""


class RollupFunction:
    """The rollup on AWS."""

    def __init__(self, settings: RollupSettings) -> None:
        aws = threads.ThreadRunner("aws", _AWS_THREADS)
        prices = settings.prices
        self._clock = SystemClock()
        self._rollup = Rollup(
            logs=S3ArchiveScan(clients.s3, settings.archive_bucket, aws),
            hours=S3UsageHours(clients.s3, settings.archive_bucket, aws),
            prices=RequestPrices() if prices is None else RequestPrices(prices.write_unit_usd, prices.message_usd),
            clock=self._clock,
            retention_days=settings.retention_days,
        )

    async def run(self, remaining_ms: int) -> RollupReport:
        """Add up what is over, as long as there is time.

        Raises:
            RetryableError: A store did not answer. What was done is done.
        """
        return await self._rollup.run(self._clock.now_ms() + remaining_ms - _MARGIN_MS)


@cache
def _deployed() -> RollupFunction:
    return RollupFunction(RollupSettings.read())


def handler(_event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Run once.

    Args:
        _event: The schedule's event; says nothing.
        context: The invocation's context.

    Returns:
        What was done.
    """
    logging.configured()
    report = threads.run(_deployed().run(context.get_remaining_time_in_millis()))
    done = {
        "hours": report.hours,
        "unchanged": report.unchanged,
        "objects": report.objects,
        "failed": len(report.failed),
        "complete": report.complete,
    }
    whole = report.complete and not report.failed
    logger.log(standard_logging.INFO if whole else standard_logging.WARNING, "hours added up", extra=done)
    return done
