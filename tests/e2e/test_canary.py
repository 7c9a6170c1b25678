"""Canaries on a deployed fleet: one on every lane, by the way of clients' tasks, and what the fleet says of itself."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from flotilla.clock import SystemClock
from local.clients import client
from tests.e2e.engine import Engine
from tests.e2e.fleet_client import FleetClient
from tests.e2e.waiting import eventually

LANES = {"critical", "standard", "batch"}
PERIOD_SECONDS = 300


def invoked(engine: Engine, at: float) -> dict[str, Any]:
    """What the function did when the schedule's event was of that time."""
    event = {"time": datetime.fromtimestamp(at, UTC).isoformat()}
    functions = client("lambda", engine.info.engine_url)
    answer = functions.invoke(FunctionName="flotilla-canary", Payload=json.dumps(event).encode())
    assert "FunctionError" not in answer, answer["Payload"].read()
    done: dict[str, Any] = json.loads(answer["Payload"].read())
    return done


def test_every_lane_is_tried_once_and_measured_and_the_fleet_says_so(
    engine: Engine, operator: FleetClient, tenant: FleetClient
) -> None:
    first = invoked(engine, SystemClock().now_ms() / 1000)
    submitted = {lane: found["submitted"] for lane, found in first["lanes"].items()}
    assert set(submitted) == LANES
    assert None not in submitted.values()
    assert first["api"] == {"ready": True, "why": ""}
    again = invoked(engine, SystemClock().now_ms() / 1000)

    def seen() -> dict[str, Any] | None:
        health: dict[str, Any] = operator.http.get("/v1/health").json()
        ended = {lane["name"] for lane in health["lanes"] if lane["canary"] and lane["canary"]["status"] == "succeeded"}
        return health if ended == LANES else None

    health = eventually(seen, "a canary from every lane", seconds=60, every=0.3)
    assert {each["name"]: each["status"] for each in health["dependencies"]} == dict.fromkeys(
        ("events", "control", "views", "lanes", "delays", "payloads", "archive", "workflows"), "ok"
    )
    # Unless a period ended meanwhile, these are the first ones.
    shown = {lane["name"]: lane["canary"]["task_id"] for lane in health["lanes"]}
    assert shown in (submitted, {lane: found["submitted"] for lane, found in again["lanes"].items()})
    # Each is counted by the round of the period after that in which it ended.
    canaries = [lane["canary"] for lane in health["lanes"]]
    ended = max(datetime.fromisoformat(it["at"]).timestamp() + it["latency_ms"] / 1000 for it in canaries)
    counted = invoked(engine, (ended // PERIOD_SECONDS + 1) * PERIOD_SECONDS)
    for found in counted["lanes"].values():
        assert found["counted"]
        assert all(each["end"] == "succeeded" and each["latency_ms"] > 0 for each in found["counted"])
    # They are in no client's lists, and the agent in nobody's way.
    listed = tenant.http.get("/v1/tasks", params={"agent": "flotilla.canary"}).json()["items"]
    assert not {task["id"] for task in listed} & set(submitted.values())
    assert "flotilla.canary" not in [agent["name"] for agent in operator.http.get("/v1/agents").json()["items"]]


def test_readiness_names_what_the_api_needs(anonymous: FleetClient) -> None:
    answer = anonymous.http.get("/readyz")
    names = ("events", "control", "views", "lanes", "delays", "payloads", "workflows")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "checks": dict.fromkeys(names, "ok")})


@pytest.mark.parametrize("key", ["tenant", "anonymous"])
def test_only_operators_see_the_fleets_health(key: str, request: pytest.FixtureRequest) -> None:
    refused: FleetClient = request.getfixturevalue(key)
    assert refused.http.get("/v1/health").status_code == (403 if key == "tenant" else 401)
