"""`flotilla health` shows what the API says, and its exit status whether the fleet is well."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from cli.__main__ import main
from tests.unit.cli.fake_api import CONNECTION, FakeApi

LANE: dict[str, Any] = {
    "name": "standard",
    "state": "active",
    "pause": None,
    "depth": 3,
    "in_flight": None,
    "age_of_oldest_seconds": None,
    "objective_seconds": 300,
    "canary": {
        "task_id": "tsk_1",
        "at": "2026-11-21T09:00:00.100Z",
        "status": "succeeded",
        "latency_ms": 87,
        "reason": None,
    },
}
HEALTH: dict[str, Any] = {
    "status": "healthy",
    "reasons": [],
    "dependencies": [
        {
            "name": "events",
            "status": "ok",
            "needed": True,
            "latency_ms": 4,
            "checked_at": "2026-11-21T09:00:00.100Z",
            "since": "2026-11-21T08:00:00.100Z",
        }
    ],
    "lanes": [LANE, LANE | {"name": "batch", "canary": None}],
    "circuits": [],
    "read_model": {"status": "ok", "until": "2026-11-21T09:00:00.187Z"},
}


def answered(health: dict[str, Any], *arguments: str) -> tuple[int, FakeApi]:
    api = FakeApi(httpx.Response(200, json=health))
    return main(["health", *arguments], connection=CONNECTION, transport=api.transport), api


def test_a_healthy_fleet_is_shown_and_the_operators_key_is_used(capsys: pytest.CaptureFixture[str]) -> None:
    status, api = answered(HEALTH)
    shown = capsys.readouterr().out
    assert status == 0
    assert api.requests[0].headers["authorization"] == "Bearer flt_operator"
    assert shown.startswith("healthy\n")
    for text in ("events", "standard", "87", "300", "batch"):
        assert text in shown


@pytest.mark.parametrize("verdict", ["degraded", "unhealthy"])
def test_a_fleet_that_is_not_well_says_why_and_exits_with_1(verdict: str, capsys: pytest.CaptureFixture[str]) -> None:
    why = "lane batch starts nothing: lane batch was paused by key:key_1: [fire]"
    status, _ = answered(HEALTH | {"status": verdict, "reasons": [why]})
    assert status == 1
    assert why in capsys.readouterr().out


def test_as_json_it_is_what_the_api_answered(capsys: pytest.CaptureFixture[str]) -> None:
    status, _ = answered(HEALTH | {"status": "degraded"}, "--json")
    assert status == 1
    assert json.loads(capsys.readouterr().out)["status"] == "degraded"
