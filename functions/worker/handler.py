"""Entry point of the worker functions: an SQS batch in, the messages to keep out."""

from __future__ import annotations

import os
import random
from functools import cache
from typing import TYPE_CHECKING, Any

from flotilla.agents.catalog import Catalog
from flotilla.agents.loader import AgentLoader
from flotilla.clock import SystemClock
from flotilla.dynamo.event_log import DynamoEventLog
from flotilla.dynamo.flights import DynamoFlights
from flotilla.dynamo.pauses import DynamoPauses
from flotilla.dynamo.session_turns import DynamoSessionTurns
from flotilla.models import Delivery
from flotilla.primitives.compute_cost import ComputePrice
from flotilla.primitives.ladder import Ladder
from flotilla.runtime import clients, logging, threads
from flotilla.runtime.metrics import EmbeddedMetrics
from flotilla.runtime.process_gauge import OwnProcess
from flotilla.runtime.settings import WorkerSettings
from flotilla.runtime.watchdog import LeaseWatchdog
from flotilla.s3.payload_store import S3PayloadStore
from flotilla.services.attempt_tools import AttemptTools, Invocation
from flotilla.services.attempt_usage import Compute
from flotilla.services.batch import BatchResult, BatchService
from flotilla.services.bridge import Bridge
from flotilla.services.callbacks import Callbacks
from flotilla.services.children import DeployedLanes
from flotilla.services.claim_check import ClaimCheck
from flotilla.services.dispatch import Dispatch
from flotilla.services.gate import Gate
from flotilla.services.pause_board import PauseBoard
from flotilla.services.single_flight import SingleFlight
from flotilla.sqs.delays import SqsDelays
from flotilla.sqs.lanes import SqsLaneReceipts, SqsLanes
from flotilla.stepfunctions.task_tokens import StepFunctionsTaskTokens
from functions.worker.calling import Calling

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

_AWS_THREADS = 20  # two calls for each task of a full batch
_AGENT_THREADS = 32  # a full batch of plain agents, and their steps
_BATCHES_REST_MS = 60_000
_OVERRUN_EXIT_STATUS = 75  # EX_TEMPFAIL


@cache
def _tools() -> AttemptTools:
    settings = WorkerSettings.read()
    lane = settings.lanes[settings.lane]
    clock = SystemClock()
    chance = random.Random()
    aws = threads.ThreadRunner("aws", _AWS_THREADS)
    log = DynamoEventLog(clients.dynamodb(), settings.events_table, settings.retention_days, aws)
    store = S3PayloadStore(clients.s3, settings.payloads_bucket, aws)
    claim_check = ClaimCheck(store, settings.inline_payload_bytes)
    control = settings.control_table
    dispatch = Dispatch(
        lanes=SqsLanes(clients.sqs(), {name: each.queue_url for name, each in settings.lanes.items()}, aws),
        delays=SqsDelays(clients.sqs(), {tier: queue.queue_url for tier, queue in settings.delays.items()}, aws),
        schedules=None,
        ladder=Ladder(settings.delays),
        clock=clock,
    )
    callbacks = bridge = None
    if settings.state_machines is not None:
        callbacks = Callbacks(StepFunctionsTaskTokens(clients.stepfunctions, aws), claim_check, _metrics())
        bridge = Bridge(
            log=log,
            claim_check=claim_check,
            dispatch=dispatch,
            callbacks=callbacks,
            clock=clock,
            lane=settings.lane,
            lanes=settings.lanes.keys(),
        )
    return AttemptTools(
        log=log,
        receipts=SqsLaneReceipts(clients.sqs(), lane.queue_url, lane.dlq_url, aws),
        dispatch=dispatch,
        gate=Gate(
            pauses=PauseBoard(DynamoPauses(clients.dynamodb(), control, aws), clock),
            flights=SingleFlight(DynamoFlights(clients.dynamodb(), control, aws), log, claim_check, clock, chance),
            clock=clock,
            random=chance,
        ),
        turns=DynamoSessionTurns(clients.dynamodb(), control, settings.session_days, clock, aws),
        claim_check=claim_check,
        catalog=Catalog.deployed(),
        loader=AgentLoader(),
        clock=clock,
        run_agent=threads.ThreadRunner("agent", _AGENT_THREADS),
        watchdog=LeaseWatchdog(clock),
        random=chance,
        integrations=_calling().integrations,
        models=_calling().models,
        budgets=_calling().budgets,
        lanes=DeployedLanes(frozenset(settings.lanes), settings.default_lane),
        bridge=bridge,
        callbacks=callbacks,
        files=store,
        compute=_compute(settings),
    )


def _compute(settings: WorkerSettings) -> Compute | None:
    if settings.gb_second_usd is None:
        return None
    return Compute(OwnProcess(), ComputePrice(settings.gb_second_usd, settings.invocation_usd))


@cache
def _metrics() -> EmbeddedMetrics:
    return EmbeddedMetrics(WorkerSettings.read().name, SystemClock(), print)


@cache
def _batches() -> EmbeddedMetrics:
    """How full invocations are: of each environment a line a minute at the most, for one each would cost too much."""
    return EmbeddedMetrics(WorkerSettings.read().name, SystemClock(), print, rest_ms=_BATCHES_REST_MS)


@cache
def _calling() -> Calling:
    return Calling(WorkerSettings.read(), _metrics())


def prepare() -> AttemptTools:
    """Make ready whatever the first message needs; what a cold start costs."""
    logging.configured()
    return _tools()


def _deliveries(event: dict[str, Any]) -> list[Delivery]:
    return [
        Delivery(
            message_id=record["messageId"],
            receipt_handle=record["receiptHandle"],
            group=record["attributes"]["MessageGroupId"],
            receive_count=int(record["attributes"]["ApproximateReceiveCount"]),
            body=record["body"],
        )
        for record in event["Records"]
    ]


async def _run(event: dict[str, Any], tools: AttemptTools, invocation: Invocation) -> BatchResult:
    calling = _calling()
    calling.begin(invocation.began_ms)
    result = await BatchService(tools).run(_deliveries(event), invocation)
    await calling.end()
    _metrics().flush()
    _batches().measure("BatchTasks", invocation.messages, "Count", lane=WorkerSettings.read().lane)
    _batches().flush()
    if invocation.overruns.count:
        # A plain agent still runs on its thread though its attempt is over. Only the end of the process
        # stops it; what is done is deleted first, since Lambda takes a dead process for a failed batch.
        await tools.receipts.delete(result.done)
        os._exit(_OVERRUN_EXIT_STATUS)
    return result


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Run a batch.

    Args:
        event: What Lambda's SQS event source sends.
        context: The invocation's context.

    Returns:
        A partial batch response: the messages that must stay on the lane.
    """
    tools = prepare()
    now_ms = tools.clock.now_ms()
    invocation = Invocation(
        worker=f"{context.function_name}/{context.aws_request_id}",
        began_ms=now_ms,
        ends_ms=now_ms + context.get_remaining_time_in_millis(),
        messages=len(event["Records"]),
    )
    result = threads.run(_run(event, tools, invocation))
    return {"batchItemFailures": [{"itemIdentifier": delivery.message_id} for delivery in result.again]}
