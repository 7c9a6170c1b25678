"""Bad requests get their exact answer from the deployed API, and nothing is enqueued."""

from __future__ import annotations

import json
import uuid
from typing import Any

import httpx
import pytest

from tests.e2e.engine import Engine
from tests.e2e.fleet_client import FleetClient

ECHO = {"agent": "diagnostics.echo", "input": {"value": 1}}

MALFORMED = [
    ("cut off", b'{"agent":'),
    ("deep", b'{"agent":"diagnostics.echo","input":{"value":' + b"[" * 50_000 + b"]" * 50_000 + b"}}"),
    ("huge number", b'{"agent":"diagnostics.echo","input":{"value":' + b"9" * 50_000 + b"}}"),
    ("infinite", b'{"agent":"diagnostics.echo","input":{"value":Infinity}}'),
    ("not UTF-8", b'{"agent":"diagnostics.echo","input":{"value":"\xff"}}'),
]


def problem(answer: httpx.Response, status: int, slug: str | None = None) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    found: dict[str, Any] = answer.json()
    assert {"type", "title", "status", "detail", "instance", "request_id", "retryable"} <= set(found)
    assert found["status"] == status
    if slug is not None:
        assert found["type"].endswith(slug)
    assert "Traceback" not in answer.text
    return found


@pytest.mark.parametrize(("name", "body"), MALFORMED, ids=[name for name, _ in MALFORMED])
def test_what_is_not_json_is_400(tenant: FleetClient, name: str, body: bytes) -> None:
    answer = tenant.http.post("/v1/tasks", content=body, headers={"Content-Type": "application/json"})
    problem(answer, 400)


def test_a_body_of_five_megabytes_is_413_with_a_hint(tenant: FleetClient) -> None:
    answer = tenant.http.post("/v1/tasks", json={**ECHO, "input": {"value": "x" * 5_000_000}})
    assert "uploads" in problem(answer, 413)["detail"]


def test_another_content_type_is_415(tenant: FleetClient) -> None:
    problem(tenant.http.post("/v1/tasks", content=json.dumps(ECHO), headers={"Content-Type": "text/plain"}), 415)


def test_an_unknown_agent_is_404(tenant: FleetClient) -> None:
    problem(tenant.submit("no.such-agent", {}), 404, "unknown-agent")


def test_an_input_that_breaks_the_agents_schema_names_the_place(tenant: FleetClient) -> None:
    found = problem(tenant.submit("diagnostics.sleep", {"seconds": "long"}), 422, "invalid-input")
    assert any("seconds" in error["path"] for error in found["errors"])


@pytest.mark.parametrize("change", [{"lane": "no-such-lane"}, {"surprise": 1}, {"max_attempts": 0}, {"session": ""}])
def test_a_wrong_member_is_422(tenant: FleetClient, change: dict[str, Any]) -> None:
    problem(tenant.http.post("/v1/tasks", json={**ECHO, **change}), 422)


def test_without_a_key_or_with_an_unknown_one_it_is_401(anonymous: FleetClient) -> None:
    problem(anonymous.http.post("/v1/tasks", json=ECHO), 401)
    for wrong in ("Bearer flt_unknown", "Basic eDp5", "Bearer " + "x" * 5000):
        problem(anonymous.http.post("/v1/tasks", json=ECHO, headers={"Authorization": wrong}), 401)


def test_without_the_scope_it_is_403(tenant: FleetClient, operator: FleetClient) -> None:
    problem(tenant.http.get("/v1/agents"), 403)
    names = {agent["name"] for agent in operator.http.get("/v1/agents").json()["items"]}
    assert {"diagnostics.echo", "document.analyze"} <= names


def test_another_tenants_task_looks_like_none(tenant: FleetClient, operator: FleetClient) -> None:
    task_id = tenant.accepted("diagnostics.echo", {"value": 1})
    theirs = operator.http.get(f"/v1/tasks/{task_id}")
    none = operator.http.get(f"/v1/tasks/tsk_{uuid.uuid4().hex}")
    differing = {"request_id", "instance"}
    assert {k: v for k, v in problem(theirs, 404).items() if k not in differing} == {
        k: v for k, v in problem(none, 404).items() if k not in differing
    }
    problem(operator.http.get(f"/v1/tasks/{task_id}/events"), 404)


def test_unknown_paths_are_404(tenant: FleetClient, anonymous: FleetClient) -> None:
    problem(tenant.http.get("/v1/nothing"), 404)
    problem(anonymous.http.get("/nothing"), 404)


def test_health_needs_no_key(anonymous: FleetClient) -> None:
    assert anonymous.http.get("/healthz").status_code == 200
    assert anonymous.http.get("/readyz").status_code == 200


def test_a_refused_request_leaves_no_event_and_no_message(engine: Engine, tenant: FleetClient) -> None:
    def events() -> int:
        pages = engine.client("dynamodb").get_paginator("scan")
        table = engine.info.outputs["EventsTable"]
        return sum(page["Count"] for page in pages.paginate(TableName=table, Select="COUNT"))

    before = events()
    for _, body in MALFORMED:
        tenant.http.post("/v1/tasks", content=body, headers={"Content-Type": "application/json"})
    tenant.submit("no.such-agent", {})
    tenant.submit("diagnostics.sleep", {"seconds": "long"})
    tenant.http.post("/v1/tasks", json={**ECHO, "surprise": 1})
    assert events() == before
