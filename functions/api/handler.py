"""Entry point of the API function: an API Gateway request in, its response out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from flotilla.agents.catalog import Catalog
from flotilla.clock import SystemClock
from flotilla.metric_ports import Metrics, NoMetrics
from flotilla.runtime import logging, threads
from flotilla.runtime.metrics import EmbeddedMetrics
from flotilla.runtime.settings import ApiSettings
from functions.api.application import Application
from functions.api.gateway import Request, Response
from functions.api.health import alive
from functions.api.routing import Call, Endpoint, Route, Router
from functions.api.wiring import Wiring

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from flotilla.workflows.declaration import Workflow

_GATEWAY_MS = 28_000
"""API Gateway gives up after 30 s, which include the authorizer and this function's own cold start."""

_METRICS_REST_MS = 10_000
"""Of each environment. What it gathers last is lost where no request comes to it any more."""

_RESERVE_MS = 500
"""Before Lambda ends the invocation."""


def _when_asked(endpoint: Callable[[], Endpoint]) -> Endpoint:
    """An endpoint that is made when it is first asked for."""

    async def answer(call: Call) -> Response:
        return await endpoint()(call)

    return answer


def routes(
    settings: ApiSettings,
    catalog: Catalog,
    metrics: Metrics | None = None,
    workflows: Mapping[str, Workflow] | None = None,
) -> Router:
    """The API's routes, wired to AWS.

    Args:
        settings: What the function is told.
        catalog: The deployed agents.
        metrics: Where it counts; None for nowhere.
        workflows: The deployed workflows; None reads them when a request needs them.
    """
    wired = Wiring(settings, catalog, metrics or NoMetrics(), workflows)
    rare = _when_asked
    return Router(
        [
            Route("POST", "/v1/tasks", "tasks:write", wired.tasks.submit),
            Route("GET", "/v1/tasks", "tasks:read", wired.tasks.list),
            Route("GET", "/v1/tasks/{task_id}", "tasks:read", wired.tasks.get),
            Route("GET", "/v1/tasks/{task_id}/events", "tasks:read", wired.tasks.events),
            Route("POST", "/v1/task-batches", "tasks:write", rare(lambda: wired.batches.submit)),
            Route("POST", "/v1/tasks/{task_id}/cancel", "tasks:write", rare(lambda: wired.operations.cancel)),
            Route("POST", "/v1/tasks/{task_id}/redrive", "tasks:write", rare(lambda: wired.operations.redrive)),
            Route("POST", "/v1/tasks/{task_id}/signal", "tasks:write", rare(lambda: wired.operations.signal)),
            Route("GET", "/v1/decisions/{token}", None, rare(lambda: wired.decisions.show)),
            Route("POST", "/v1/decisions/{token}", None, rare(lambda: wired.decisions.decide)),
            Route("GET", "/v1/workflows", "tasks:read", rare(lambda: wired.workflows.list)),
            Route("POST", "/v1/workflows/{name}", "tasks:write", rare(lambda: wired.workflows.start)),
            Route("GET", "/v1/workflows/{run_id}", "tasks:read", rare(lambda: wired.workflows.get)),
            Route("GET", "/v1/workflows/{run_id}/tasks", "tasks:read", rare(lambda: wired.workflows.tasks)),
            Route("GET", "/v1/workflows/{run_id}/events", "tasks:read", rare(lambda: wired.workflows.events)),
            Route("POST", "/v1/workflows/{run_id}/cancel", "tasks:write", rare(lambda: wired.workflows.cancel)),
            Route("GET", "/v1/dead-letters", "operate", rare(lambda: wired.dead_letters.list)),
            Route("GET", "/v1/dead-letters/groups", "operate", rare(lambda: wired.dead_letters.groups)),
            Route("POST", "/v1/dead-letters/redrive", "operate", rare(lambda: wired.dead_letters.redrive)),
            Route("POST", "/v1/webhooks", "operate", rare(lambda: wired.webhooks.register)),
            Route("GET", "/v1/webhooks", "operate", rare(lambda: wired.webhooks.list)),
            Route("GET", "/v1/webhooks/{webhook_id}", "operate", rare(lambda: wired.webhooks.get)),
            Route("DELETE", "/v1/webhooks/{webhook_id}", "operate", rare(lambda: wired.webhooks.remove)),
            Route("GET", "/v1/agents", "operate", rare(lambda: wired.agents.list)),
            Route("PUT", "/v1/agents/{name}/state", "operate", rare(lambda: wired.states.put_agent)),
            Route("GET", "/v1/lanes", "operate", rare(lambda: wired.lane_status.list)),
            Route("PUT", "/v1/lanes/{name}/state", "operate", rare(lambda: wired.states.put_lane)),
            Route("PUT", "/v1/fleet/state", "operate", rare(lambda: wired.states.put_fleet)),
            Route("GET", "/v1/circuits", "operate", rare(lambda: wired.circuits.list)),
            Route("PUT", "/v1/circuits/{name}", "operate", rare(lambda: wired.circuits.put)),
            Route("GET", "/v1/limits", "operate", rare(lambda: wired.limits.list)),
            Route("PUT", "/v1/limits/{name}", "operate", rare(lambda: wired.limits.put)),
            Route("DELETE", "/v1/limits/{name}", "operate", rare(lambda: wired.limits.remove)),
            Route("GET", "/v1/health", "operate", rare(lambda: wired.health.show)),
            Route("GET", "/v1/usage", "operate", rare(lambda: wired.usage.show)),
            Route("GET", "/healthz", None, alive),
            Route("GET", "/readyz", None, rare(lambda: wired.readiness.ready)),
        ]
    )


@cache
def _metrics() -> EmbeddedMetrics:
    # Refusals come in floods, and a line for each would cost more than it tells.
    return EmbeddedMetrics(ApiSettings.read().name, SystemClock(), print, rest_ms=_METRICS_REST_MS)


@cache
def _deployed_routes() -> Router:
    return routes(ApiSettings.read(), Catalog.deployed(), _metrics())


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
    response = respond(_application(), event, context)
    _metrics().flush()
    return response
