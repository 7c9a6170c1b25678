"""Entry point of the API function: an API Gateway request in, its response out."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from flotilla.agents.catalog import Catalog
from flotilla.clock import SystemClock
from flotilla.dynamo.event_log import DynamoEventLog
from flotilla.runtime import clients, logging, probes, threads
from flotilla.runtime.downloads import DownloadLinks
from flotilla.runtime.settings import ApiSettings
from flotilla.s3.payload_store import S3PayloadStore
from flotilla.services.claim_check import ClaimCheck
from flotilla.services.read import ReadService
from flotilla.services.submit import SubmitService
from flotilla.sqs.lanes import SqsLanes
from functions.api.agents import AgentRoutes
from functions.api.application import Application
from functions.api.gateway import Request
from functions.api.health import Readiness, alive
from functions.api.routing import Route, Router
from functions.api.task_view import TaskViews
from functions.api.tasks import Lanes, TaskRoutes

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

_AWS_THREADS = 8  # one request at a time: its own calls, and those of one before it that were given up
_PROBE_THREADS = 8

_GATEWAY_MS = 28_000
"""API Gateway gives up after 30 s, which include the authorizer and this function's own cold start."""

_RESERVE_MS = 500
"""Before Lambda ends the invocation."""


def routes(settings: ApiSettings, catalog: Catalog) -> Router:
    """The API's routes, wired to AWS."""
    clock = SystemClock()
    aws = threads.ThreadRunner("aws", _AWS_THREADS)
    log = DynamoEventLog(clients.dynamodb(), settings.events_table, settings.retention_days, aws)
    queue_urls = {name: lane.queue_url for name, lane in settings.lanes.items()}
    claim_check = ClaimCheck(S3PayloadStore(clients.s3, settings.payloads_bucket, aws), settings.inline_payload_bytes)
    lanes = Lanes(settings.lanes.keys(), settings.default_lane)
    tasks = TaskRoutes(
        submit=SubmitService(
            log=log, lanes=SqsLanes(clients.sqs(), queue_urls, aws), claim_check=claim_check, clock=clock
        ),
        read=ReadService(log=log, clock=clock),
        catalog=catalog,
        views=TaskViews(claim_check, DownloadLinks(settings.payloads_bucket)),
        lanes=lanes,
        clock=clock,
    )
    readiness = Readiness(
        {
            "events": [probes.table(clients.dynamodb, settings.events_table, "task_id")],
            "control": [probes.table(clients.dynamodb, settings.control_table, "pk")],
            "lanes": [probes.queue(clients.sqs, url) for url in queue_urls.values()],
            "payloads": [probes.bucket(clients.s3, settings.payloads_bucket)],
        },
        threads.ThreadRunner("probe", _PROBE_THREADS),
        clock,
    )
    return Router(
        [
            Route("POST", "/v1/tasks", "tasks:write", tasks.submit),
            Route("GET", "/v1/tasks/{task_id}", "tasks:read", tasks.get),
            Route("GET", "/v1/tasks/{task_id}/events", "tasks:read", tasks.events),
            Route("GET", "/v1/agents", "operate", AgentRoutes(catalog, lanes).list),
            Route("GET", "/healthz", None, alive),
            Route("GET", "/readyz", None, readiness.ready),
        ]
    )


@cache
def _deployed_routes() -> Router:
    return routes(ApiSettings.read(), Catalog.deployed())


@cache
def _application() -> Application:
    return Application(_deployed_routes, SystemClock())


def respond(application: Application, event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer one of API Gateway's events with `application`."""
    left_ms = min(context.get_remaining_time_in_millis() - _RESERVE_MS, _GATEWAY_MS)
    request = Request.from_event(event, ends_ms=SystemClock().now_ms() + left_ms)
    response = threads.run(application.answer(request))
    return response.to_gateway(with_body=request.method != "HEAD")


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer a request.

    Args:
        event: API Gateway's event, payload format 2.0.
        context: The invocation's context.

    Returns:
        The response, as API Gateway takes it.
    """
    logging.configured()
    return respond(_application(), event, context)
