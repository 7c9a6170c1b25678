"""What is told of each request that was made to an integration, and what the request itself tells of its trace."""

from __future__ import annotations

from flotilla import trace_context
from flotilla.integration_ports import HttpRequest
from flotilla.metric_ports import Metrics
from flotilla.primitives.circuit import CallOutcome


def count_call(metrics: Metrics, integration: str, health: CallOutcome, took_ms: int) -> None:
    """Count a request, as an error where the other side was not well: an answer that refuses is an answer."""
    metrics.count("IntegrationCalls", integration=integration)
    metrics.measure("IntegrationLatency", took_ms, integration=integration)
    if health is CallOutcome.FAILED:
        metrics.count("IntegrationErrors", integration=integration)


def trace_headers(request: HttpRequest) -> tuple[tuple[str, str], ...]:
    """The headers by which a request's trace goes on, unless the agent itself said which that is."""
    own = any(name == trace_context.HEADER for name, _ in request.headers)
    return () if own else trace_context.headers()
