"""Entry point of the recorder: EventBridge's news of an execution's end in, an event of its run's log out.

What is no such news, or of an execution that is no run's, is logged and dropped: it would not get better. What could
not be recorded is an error, so that Lambda brings it again; what it gives up then, the reconciler finds.
"""

from __future__ import annotations

import logging as standard_logging
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from flotilla.clock import SystemClock
from flotilla.dynamo.event_log import DynamoEventLog
from flotilla.errors import CorruptLogError
from flotilla.runtime import clients, logging, threads
from flotilla.runtime.settings import RecorderSettings
from flotilla.s3.payload_store import S3PayloadStore
from flotilla.services.claim_check import ClaimCheck
from flotilla.services.executions import RunEnds
from flotilla.stepfunctions.executions import StepFunctionsExecutions
from flotilla.workflow_ports import Execution, ExecutionStatus

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

logger = standard_logging.getLogger("flotilla.recorder")

_AWS_THREADS = 4


class RecorderFunction:
    """The recorder on AWS."""

    def __init__(self, settings: RecorderSettings) -> None:
        aws = threads.ThreadRunner("aws", _AWS_THREADS)
        store = S3PayloadStore(clients.s3, settings.payloads_bucket, aws)
        self._machines = settings.state_machines
        self._ends = RunEnds(
            log=DynamoEventLog(clients.dynamodb(), settings.events_table, settings.retention_days, aws),
            executions=StepFunctionsExecutions(clients.stepfunctions, settings.state_machines, aws),
            claim_check=ClaimCheck(store, settings.inline_payload_bytes),
            clock=SystemClock(),
        )

    async def record(self, news: Mapping[str, Any]) -> bool:
        """Record an end; whether this call did.

        Raises:
            RetryableError: A store or Step Functions did not answer; it may be recorded or not.
        """
        execution = execution_in(news, self._machines)
        if execution is None:
            logger.error("no news of an execution's end", extra={"event_id": str(news.get("id"))[:64]})
            return False
        extra = {"workflow": execution.workflow, "execution": execution.name, "status": execution.status.value}
        try:
            recorded = await self._ends.record(execution)
        except CorruptLogError as error:
            logger.error("log corrupt", extra={**extra, "error": error.message})
            return False
        logger.info("execution ended", extra={**extra, "recorded": recorded})
        return recorded


def execution_in(news: Mapping[str, Any], machines: str) -> Execution | None:
    """The execution that an event of Step Functions tells of; None where it tells of none of ours.

    Args:
        news: The event, `Step Functions Execution Status Change`.
        machines: What the ARNs of our state machines begin with.
    """
    try:
        detail = news["detail"]
        machine = str(detail["stateMachineArn"])
        if not machine.startswith(machines):
            return None
        return Execution(
            workflow=machine.removeprefix(machines),
            name=str(detail["name"]),
            status=ExecutionStatus(detail["status"]),
            # What is long is left out, and asked for (`services.executions`).
            output=_text(detail.get("output")),
            error=_text(detail.get("error")),
            cause=_text(detail.get("cause")),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


@cache
def _deployed() -> RecorderFunction:
    return RecorderFunction(RecorderSettings.read())


def handler(event: dict[str, Any], _context: LambdaContext) -> None:
    """Record the end of an execution.

    Args:
        event: EventBridge's event.
        _context: The invocation's context.
    """
    logging.configured()
    threads.run(_deployed().record(event))
