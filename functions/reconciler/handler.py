"""Entry point of the reconciler function, which runs on a schedule."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from flotilla.clock import SystemClock
from flotilla.dynamo.circuits import DynamoCircuits
from flotilla.dynamo.event_log import DynamoEventLog
from flotilla.dynamo.pauses import DynamoPauses
from flotilla.dynamo.views import DynamoReadModel
from flotilla.dynamo.watchlist import DynamoWatchlist
from flotilla.primitives.ladder import Ladder
from flotilla.runtime import clients, logging, threads
from flotilla.runtime.metrics import EmbeddedMetrics
from flotilla.runtime.settings import ReconcilerSettings
from flotilla.s3.payload_store import S3PayloadStore
from flotilla.scheduler.schedules import EventBridgeSchedules
from flotilla.services.cancel import CancelService
from flotilla.services.circuit_watch import OpenCircuits
from flotilla.services.claim_check import ClaimCheck
from flotilla.services.dispatch import Dispatch
from flotilla.services.executions import RunEnds, RunStarter
from flotilla.services.open_logs import OpenLogs
from flotilla.services.reconcile import Reconciled, Reconciler
from flotilla.services.run_remains import RunRemains
from flotilla.services.stuck import Look
from flotilla.sqs.delays import SqsDelays
from flotilla.sqs.lane_depths import SqsLaneDepths
from flotilla.sqs.lanes import SqsLanes
from flotilla.stepfunctions.executions import StepFunctionsExecutions

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

_AWS_THREADS = 10  # as many tasks as are looked after at once
_MARGIN_MS = 20_000
"""What is begun needs some time to end: a few calls, each of which may be tried again."""


class ReconcilerFunction:
    """The reconciler on AWS."""

    def __init__(self, settings: ReconcilerSettings) -> None:
        aws = threads.ThreadRunner("aws", _AWS_THREADS)
        self._clock = clock = SystemClock()
        log = DynamoEventLog(clients.dynamodb(), settings.events_table, settings.retention_days, aws)
        views = DynamoReadModel(clients.dynamodb(), settings.views_table, aws)
        executions = StepFunctionsExecutions(clients.stepfunctions, settings.state_machines, aws)
        claim_check = ClaimCheck(
            S3PayloadStore(clients.s3, settings.payloads_bucket, aws), settings.inline_payload_bytes
        )
        ends = RunEnds(log=log, executions=executions, claim_check=claim_check, clock=clock)
        self._metrics = EmbeddedMetrics(settings.name, clock, print)
        circuits = DynamoCircuits(clients.dynamodb(), settings.control_table, aws)
        self._open_circuits = OpenCircuits(circuits, clock, self._metrics)
        # Of a run's tasks none is delayed, and what has not ended is in the table.
        logs = OpenLogs(log=log, past=None, clock=clock, retention_days=settings.retention_days)
        lane_urls = {name: lane.queue_url for name, lane in settings.lanes.items()}
        self._reconciler = Reconciler(
            log=log,
            views=views,
            watchlist=DynamoWatchlist(clients.dynamodb(), settings.views_table, aws),
            dispatch=Dispatch(
                lanes=SqsLanes(clients.sqs(), lane_urls, aws),
                delays=SqsDelays(
                    clients.sqs(), {tier: queue.queue_url for tier, queue in settings.delays.items()}, aws
                ),
                schedules=EventBridgeSchedules(
                    clients.scheduler,
                    group=settings.schedules.group,
                    role_arn=settings.schedules.role_arn,
                    target_arn=settings.schedules.target_arn,
                    run_sync=aws,
                ),
                ladder=Ladder(settings.delays),
                clock=clock,
                start_run=RunStarter(log=log, executions=executions, claim_check=claim_check, ends=ends, clock=clock),
            ),
            depths=SqsLaneDepths(clients.sqs(), lane_urls, aws),
            lane_names=lane_urls.keys(),
            clock=clock,
            remains=RunRemains(
                views=views,
                executions=executions,
                pauses=DynamoPauses(clients.dynamodb(), settings.control_table, aws),
                cancel=CancelService(logs=logs, schedules=None, clock=clock),
                clock=clock,
            ),
        )

    async def run(self, remaining_ms: int) -> Reconciled:
        """Reconcile for as long as there is time.

        Args:
            remaining_ms: Until Lambda ends the invocation.
        """
        done = await self._reconciler.run(self._clock.now_ms() + remaining_ms - _MARGIN_MS)
        await self._open_circuits.tell()
        self._metrics.count("ReconcilerRuns")
        if sent := done.looks[Look.SENT]:
            self._metrics.count("MessagesRecovered", sent)
        self._metrics.flush()
        return done


@cache
def _deployed() -> ReconcilerFunction:
    return ReconcilerFunction(ReconcilerSettings.read())


def handler(_event: dict[str, Any], context: LambdaContext) -> None:
    """Reconcile.

    Args:
        _event: What the schedule sends; nothing in it matters.
        context: The invocation's context.
    """
    logging.configured()
    threads.run(_deployed().run(context.get_remaining_time_in_millis()))
