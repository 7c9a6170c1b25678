"""`flotilla rebuild`: the read model made again from the logs.

Says how far it is on standard error, and a tally at the end. It may be stopped at any time, and begun again.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable

from cli.arguments import InputError
from cli.connection import Connection
from cli.deployed import Deployed, find_deployed
from flotilla.clock import Clock, SystemClock
from flotilla.dynamo.event_log import DynamoEventLog
from flotilla.dynamo.log_scan import DynamoLogScan
from flotilla.dynamo.retention_ledger import DynamoRetentionLedger
from flotilla.dynamo.view_mending import DynamoEntryMender
from flotilla.dynamo.views import DynamoReadModel
from flotilla.errors import RetryableError
from flotilla.runtime.threads import ThreadRunner
from flotilla.s3.archive_scan import S3ArchiveScan
from flotilla.services.rebuild import Rebuild, RebuildReport
from flotilla.services.settle import Settlement, Sources

_AWS_THREADS = 24
_BETWEEN_LINES_SECONDS = 2.0


async def rebuild(options: argparse.Namespace, connection: Connection, clock: Clock | None = None) -> int:
    """Make the read model again; 1 where a log was not read, or a store did not answer.

    Args:
        options: What was typed.
        connection: The deployment.
        clock: By which it waits; the machine's own by default.

    Raises:
        InputError: A rate that is none.
        NoConnectionError: The deployment cannot be reached.
    """
    if not options.rate > 0:
        raise InputError("--rate must be more than 0")
    deployed = find_deployed(options.fleet, connection)
    settings = deployed.settings
    print(
        f"{settings.views_table} from {settings.events_table}"
        + ("" if options.live else f" and {settings.archive_bucket}")
        + f" ({deployed.place})",
        file=sys.stderr,
    )
    progress = _Progress(time.monotonic)
    work = _rebuild_of(deployed, clock or SystemClock(), events_per_second=options.rate, told=progress)
    try:
        report = await work.run(archive=not options.live)
    except RetryableError as error:
        progress.say()
        cause = error.__cause__ or error
        print(f"error: {error.message}: {cause}\nwhat was done is done; run it again", file=sys.stderr)
        return 1
    _print(report, as_json=options.json)
    return 1 if report.failed else 0


def _rebuild_of(
    deployed: Deployed, clock: Clock, *, events_per_second: float, told: Callable[[RebuildReport], None]
) -> Rebuild:
    settings, dynamodb = deployed.settings, deployed.dynamodb
    aws, kept_days = ThreadRunner("aws", _AWS_THREADS), settings.archive_days
    sources = Sources(
        scan=DynamoLogScan(dynamodb, settings.events_table, aws),
        log=DynamoEventLog(dynamodb, settings.events_table, settings.retention_days, aws),
        archive=S3ArchiveScan(lambda: deployed.s3, settings.archive_bucket, aws),
    )
    settlement = Settlement(
        sources=sources,
        mender=DynamoEntryMender(dynamodb, settings.views_table, aws, kept_days=kept_days),
        ledger=DynamoRetentionLedger(dynamodb, settings.views_table, aws),
        clock=clock,
        retention_days=settings.retention_days,
    )
    return Rebuild(
        sources=sources,
        views=DynamoReadModel(dynamodb, settings.views_table, aws, kept_days=kept_days),
        settlement=settlement,
        clock=clock,
        events_per_second=events_per_second,
        told=told,
    )


class _Progress:
    """Says how far it is, every few seconds."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._next = monotonic() + _BETWEEN_LINES_SECONDS
        self._report = RebuildReport()

    def __call__(self, report: RebuildReport) -> None:
        self._report = report
        if self._monotonic() >= self._next:
            self._next = self._monotonic() + _BETWEEN_LINES_SECONDS
            self.say()

    def say(self) -> None:
        print(f"  {_counts(self._report)}", file=sys.stderr, flush=True)


def _counts(report: RebuildReport) -> str:
    return (
        f"{report.events} events of {report.logs} logs read, {report.objects} objects of the archive; "
        f"{report.stored} entries written"
    )


def _print(report: RebuildReport, *, as_json: bool) -> None:
    if as_json:
        tally = {
            "objects": report.objects,
            "events": report.events,
            "logs": report.logs,
            "stored": report.stored,
            "set_back": sorted(report.set_back),
            "failed": sorted(report.failed),
        }
        print(json.dumps(tally, indent=2))
        return
    print(_counts(report))
    for task_id in sorted(report.set_back):
        print(f"{task_id}  SET BACK: its entry said more than its log; was it altered, or the log cut?")
    for name in sorted(report.failed):
        print(f"{name}  NOT READ: corrupt, or of a later version")
