"""Each request to a model is counted, and is a line of the log under OpenTelemetry's names."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from flotilla.errors import ParkedError
from flotilla.llm_ports import ModelUnavailableError
from flotilla.services.models import ModelDesk
from tests.unit.services.model_callers import LARGE, World, run


def told(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    lines = [record for record in caplog.records if record.getMessage() == "model called"]
    names = ("gen_ai.request.model", "error.type", "gen_ai.usage.input_tokens")
    return [{name: getattr(line, name) for name in names if hasattr(line, name)} for line in lines]


async def asked(desk: ModelDesk, world: World) -> None:
    await world.attempt(desk).ask()


def test_an_answer_is_counted_with_its_tokens_and_its_cost(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="flotilla.models")
    world = World()
    run(world, lambda desk: asked(desk, world))
    metrics = world.metrics
    assert metrics.counted("ModelCalls", model="large") == 1
    assert metrics.total("ModelErrors") == 0
    assert metrics.counted("InputTokens", model="large") == 100
    assert metrics.counted("OutputTokens", model="large") == 20
    assert metrics.sum("ModelCostUsd", model="large") == 0.002
    [latency_ms] = metrics.values("ModelLatency", model="large")
    assert 90 <= latency_ms <= 110
    assert told(caplog) == [{"gen_ai.request.model": LARGE, "gen_ai.usage.input_tokens": 100}]


def test_a_request_that_failed_is_an_error_and_the_next_models_is_not(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="flotilla.models")
    world = World()
    world.models.die(LARGE, ModelUnavailableError("down"))
    run(world, lambda desk: asked(desk, world))
    metrics = world.metrics
    assert (metrics.counted("ModelCalls", model="large"), metrics.counted("ModelErrors", model="large")) == (1, 1)
    assert (metrics.counted("ModelCalls", model="medium"), metrics.counted("ModelErrors", model="medium")) == (1, 0)
    assert told(caplog)[0] == {"gen_ai.request.model": LARGE, "error.type": "model_unavailable"}


def test_a_model_that_could_not_be_asked_is_not_counted() -> None:
    world = World()
    world.models.die(LARGE, ParkedError("no such secret", code="integration_secret"))
    run(world, lambda desk: asked(desk, world))
    assert world.metrics.counted("ModelCalls", model="large") == 0
