"""What is told of each request that was made to a model: metrics, and a line of the log.

The line's keys are attributes of OpenTelemetry's conventions for generative AI. Neither what was asked nor what was
answered is in it.
"""

from __future__ import annotations

import logging

from flotilla.errors import FlotillaError, ParkedError, StoreUnavailableError
from flotilla.llm.declaration import Model
from flotilla.llm_ports import ModelReply
from flotilla.metric_ports import Metrics

logger = logging.getLogger("flotilla.models")

_OPERATION = "chat"
_PROVIDERS = {"bedrock": "aws.bedrock", "openai": "openai"}
"""As OpenTelemetry calls them; of a server that speaks OpenAI's protocol nobody knows whose it is."""


def tell_call(
    metrics: Metrics, model: Model, took_ms: int, came: ModelReply | BaseException, cost_micros: int = 0
) -> None:
    """Tell of a request.

    Args:
        metrics: Counts.
        model: Who was asked.
        took_ms: How long that took.
        came: What it brought.
        cost_micros: What it cost, in millionths of a dollar.
    """
    if isinstance(came, StoreUnavailableError | ParkedError):
        return  # it was never asked: its key could not be had
    metrics.count("ModelCalls", model=model.name)
    metrics.measure("ModelLatency", took_ms, model=model.name)
    keys: dict[str, object] = {
        "gen_ai.operation.name": _OPERATION,
        "gen_ai.provider.name": _PROVIDERS.get(model.provider, model.provider),
        "gen_ai.request.model": model.id,
        "model": model.name,
        "ms": took_ms,
    }
    if isinstance(came, BaseException):
        metrics.count("ModelErrors", model=model.name)
        keys["error.type"] = came.code if isinstance(came, FlotillaError) else type(came).__name__
    else:
        metrics.count("InputTokens", came.input_tokens, model=model.name)
        metrics.count("OutputTokens", came.output_tokens, model=model.name)
        if cost_micros:
            metrics.count("ModelCostUsd", cost_micros / 1_000_000, "None", model=model.name)
        if came.model is not None:
            keys["gen_ai.response.model"] = came.model
        keys["gen_ai.usage.input_tokens"] = came.input_tokens
        keys["gen_ai.usage.output_tokens"] = came.output_tokens
    logger.info("model called", extra=keys)
