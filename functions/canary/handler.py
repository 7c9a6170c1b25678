"""Entry point of the canary function, which runs on a schedule, or whenever somebody wants to know."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from flotilla.agents.catalog import Catalog
from flotilla.clock import SystemClock
from flotilla.dynamo.event_log import DynamoEventLog
from flotilla.dynamo.pauses import DynamoPauses
from flotilla.errors import PermanentError
from flotilla.outbound.front_door import HttpFrontDoor
from flotilla.primitives.canary import CANARY_AGENT
from flotilla.primitives.ladder import Ladder
from flotilla.runtime import clients, logging, threads
from flotilla.runtime.metrics import EmbeddedMetrics
from flotilla.runtime.settings import CanarySettings
from flotilla.services.canaries import Canaries
from flotilla.services.canary_round import CanaryRounds, Round
from flotilla.services.claim_check import ClaimCheck
from flotilla.services.dispatch import Dispatch
from flotilla.services.submit import SubmitService
from flotilla.sqs.delays import SqsDelays
from flotilla.sqs.lanes import SqsLanes

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

_AWS_THREADS = 8
_ALWAYS_INLINE = 4096
"""Bytes of the largest input that stays in its event: a canary's is far below it."""


class _NoPayloads:
    """`PayloadStore` of a function that has no use for one, and no right to any."""

    async def put(self, key: str, content: bytes) -> None:  # noqa: ARG002  the port's own names
        """See `PayloadStore.put`."""
        raise PermanentError("a canary's input is small", code="no_payloads")

    async def get(self, key: str) -> bytes:  # noqa: ARG002
        """See `PayloadStore.get`."""
        raise PermanentError("a canary's input is small", code="no_payloads")


class CanaryFunction:
    """The canaries on AWS."""

    def __init__(self, settings: CanarySettings, catalog: Catalog) -> None:
        aws = threads.ThreadRunner("aws", _AWS_THREADS)
        clock = SystemClock()
        plan = settings.canary.plan()
        log = DynamoEventLog(clients.dynamodb(), settings.events_table, settings.retention_days, aws)
        self._clock = clock
        self._metrics = EmbeddedMetrics(settings.name, clock, print)
        lane_urls = {name: lane.queue_url for name, lane in settings.lanes.items()}
        dispatch = Dispatch(
            lanes=SqsLanes(clients.sqs(), lane_urls, aws),
            # A canary is due at once, so it never goes by the ladder, which this function may not send to.
            delays=SqsDelays(clients.sqs(), {}, aws),
            schedules=None,
            ladder=Ladder([1]),
            clock=clock,
        )
        self._rounds = CanaryRounds(
            plan=plan,
            canaries=Canaries(log, plan, clock),
            submit=SubmitService(
                log=log,
                dispatch=dispatch,
                claim_check=ClaimCheck(_NoPayloads(), _ALWAYS_INLINE),
                clock=clock,
            ),
            agent=catalog.get(CANARY_AGENT),
            pauses=DynamoPauses(clients.dynamodb(), settings.control_table, aws),
            front_door=None if settings.api_url is None else HttpFrontDoor(settings.api_url, aws),
            metrics=self._metrics,
            clock=clock,
        )

    async def run(self, event: Mapping[str, Any], request_id: str) -> Round:
        """Do a round."""
        try:
            return await self._rounds.run(due_ms(event, self._clock.now_ms()), request_id)
        finally:
            self._metrics.flush()


def due_ms(event: Mapping[str, Any], now_ms: int) -> int:
    """When the round was due: the same for an event that EventBridge delivers twice."""
    try:
        due = datetime.fromisoformat(str(event["time"]))
        # Without a zone it could be any hour.
        return now_ms if due.tzinfo is None else round(due.timestamp() * 1000)
    except (KeyError, TypeError, ValueError):
        return now_ms


@cache
def _deployed() -> CanaryFunction:
    return CanaryFunction(CanarySettings.read(), Catalog.deployed())


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Do a round of canaries.

    Args:
        event: The schedule's event, whose `time` is that of the round.
        context: The invocation's context.

    Returns:
        What was counted and submitted, by lane, and whether the API is ready.
    """
    logging.configured()
    return threads.run(_deployed().run(event, context.aws_request_id)).to_json()
