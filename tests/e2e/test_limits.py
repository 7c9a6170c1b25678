"""Limits and circuits of a deployed fleet, changed while it runs."""

from __future__ import annotations

from tests.e2e.engine import Engine
from tests.e2e.fleet_client import FleetClient
from tests.e2e.tenants import new_tenant
from tests.e2e.waiting import eventually

BODY = {"agent": "diagnostics.echo", "input": {"value": 1}}


def test_a_tenant_is_limited_at_run_time_and_told_so_and_let_go_again(engine: Engine, operator: FleetClient) -> None:
    with new_tenant(engine) as tenant:
        first = tenant.http.post("/v1/tasks", json=BODY)
        assert first.status_code == 202
        assert "ratelimit" not in first.headers
        path = f"/v1/limits/tenant%23{first.json()['tenant']}"
        answer = operator.http.put(path, json={"rate_per_minute": 1, "burst": 2})
        assert (answer.status_code, answer.json()["source"]) == (200, "set")

        def limited() -> bool:
            return "ratelimit" in tenant.http.post("/v1/tasks", json=BODY).headers

        eventually(limited, "the limit holds")
        eventually(lambda: tenant.http.post("/v1/tasks", json=BODY).status_code == 429, "there is nothing left")
        refused = tenant.http.post("/v1/tasks", json=BODY)
        assert refused.json()["type"] == "/problems/rate-limited"
        assert refused.headers["ratelimit-policy"] == '"tenant";q=1;w=60'
        assert refused.headers["ratelimit"] == f'"tenant";r=0;t={refused.headers["retry-after"]}'
        assert operator.http.delete(path).status_code == 204
        eventually(lambda: tenant.http.post("/v1/tasks", json=BODY).status_code == 202, "the limit is gone")


def test_what_is_no_circuit_and_no_limit_is_not_there(operator: FleetClient) -> None:
    assert operator.http.get("/v1/circuits").json()["next_cursor"] is None
    assert operator.http.put("/v1/circuits/integration%23nothing", json={"state": "open"}).status_code == 404
    assert operator.http.put("/v1/limits/nothing", json={"rate_per_minute": 1, "burst": 1}).status_code == 404
