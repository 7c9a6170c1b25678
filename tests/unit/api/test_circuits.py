"""Circuits over HTTP: how they are, and what operators decide of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from flotilla.clock import rfc3339
from flotilla.errors import StoreUnavailableError
from flotilla.primitives.circuit import CircuitMode, CircuitRecord, CircuitState
from tests.gateway_events import identity
from tests.unit.api.protecting import ProtectingApi

CRM = "/v1/circuits/integration%23crm"


@pytest.fixture
def api() -> ProtectingApi:
    return ProtectingApi()


def test_every_circuit_of_the_fleet_is_listed_those_that_nothing_happened_to_too(api: ProtectingApi) -> None:
    circuits = api.listed("/v1/circuits")
    assert set(circuits) == {"integration#crm", "integration#erp", "model#erp", "model#haiku"}
    assert circuits["model#haiku"] == {
        "name": "model#haiku",
        "kind": "model",
        "state": "closed",
        "mode": "auto",
        "failure_rate": None,
        "p99_ms": None,
        "volume": 0,
        "opened_at": None,
        "until": None,
        "reason": None,
        "probes": 0,
    }


def test_an_open_circuit_says_why_since_when_and_until_when(api: ProtectingApi) -> None:
    now_ms = api.clock.now_ms()
    api.circuits.records["integration#crm"] = CircuitRecord(
        version=3,
        state=CircuitState.OPEN,
        opened_at_ms=now_ms - 60_000,
        until_ms=now_ms + 5000,
        reason="9 of 12 calls failed",
    )
    api.let(lambda: api.circuits.add("integration#crm", 0, {"ok": 3, "failed": 9, "h10": 3}, now_ms - 1000))
    found = api.listed("/v1/circuits")["integration#crm"]
    assert found.pop("p99_ms") > 0
    assert found == {
        "name": "integration#crm",
        "kind": "integration",
        "state": "open",
        "mode": "auto",
        "failure_rate": 0.75,
        "volume": 12,
        "opened_at": rfc3339(now_ms - 60_000),
        "until": rfc3339(now_ms + 5000),
        "reason": "9 of 12 calls failed",
        "probes": 0,
    }


def test_what_was_removed_from_the_fleet_is_listed_as_long_as_something_is_known_of_it(api: ProtectingApi) -> None:
    api.circuits.records["integration#gone"] = CircuitRecord(version=1, mode=CircuitMode.OPEN, state=CircuitState.OPEN)
    assert api.listed("/v1/circuits")["integration#gone"]["mode"] == "open"
    assert api.call("PUT", "/v1/circuits/integration%23gone", {"state": "auto"}).status == 200


@pytest.mark.parametrize("path", [CRM, "/v1/circuits/integration#crm", "/v1/circuits/crm"])
def test_a_circuit_is_forced_open_by_its_name_or_by_what_it_is_called(api: ProtectingApi, path: str) -> None:
    answer = api.call("PUT", path, {"state": "open", "reason": "maintenance"}, authorizer=identity(key_id="k9"))
    assert answer.status == 200
    assert {key: answer.json()[key] for key in ("name", "state", "mode", "reason", "opened_at")} == {
        "name": "integration#crm",
        "state": "open",
        "mode": "open",
        "reason": "maintenance",
        "opened_at": rfc3339(api.clock.now_ms()),
    }
    assert api.circuits.records["integration#crm"].by == "key:k9"
    assert [(it.circuit, it.after.mode) for it in api.transitions.told] == [("integration#crm", CircuitMode.OPEN)]


def test_a_circuit_is_closed_and_left_to_itself_again(api: ProtectingApi) -> None:
    assert api.call("PUT", CRM, {"state": "closed"}).json()["mode"] == "closed"
    answer = api.call("PUT", CRM, {"state": "auto"}).json()
    assert (answer["mode"], answer["state"], answer["reason"]) == ("auto", "closed", None)


def test_a_call_that_is_repeated_changes_nothing(api: ProtectingApi) -> None:
    first = api.call("PUT", CRM, {"state": "open", "reason": "a"}).json()
    api.clock.advance(60)
    assert api.call("PUT", CRM, {"state": "open", "reason": "a"}).json() == first
    assert len(api.transitions.told) == 1


def test_an_operator_wins_over_a_circuit_that_moves_at_the_same_time(api: ProtectingApi) -> None:
    moved = CircuitRecord(version=1, state=CircuitState.OPEN, until_ms=api.clock.now_ms() + 5000)

    async def overtaken() -> None:
        if api.circuits.reads == 1:
            api.circuits.records["integration#crm"] = moved

    api.circuits.answer = overtaken  # type: ignore[method-assign]
    assert api.call("PUT", CRM, {"state": "closed"}).json()["state"] == "closed"
    assert api.circuits.records["integration#crm"] == replace(
        api.circuits.records["integration#crm"], version=2, mode=CircuitMode.CLOSED
    )


@pytest.mark.parametrize("name", ["nothing", "erp", "integration%23nothing", "integration%23weather", "%23", "weather"])
def test_what_is_no_circuit_or_more_than_one_is_not_found(api: ProtectingApi, name: str) -> None:
    """`erp` is an integration and a model; `weather` has no circuit."""
    api.call("PUT", f"/v1/circuits/{name}", {"state": "open"}).problem(404, "not-found")
    assert api.circuits.records == {}


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "/state"),
        ({"state": "half_open"}, "/state"),
        ({"state": "open", "reason": "x" * 257}, "/reason"),
        ({"state": "open", "until": "2030-01-01T00:00:00Z"}, "/until"),
        ([], ""),
    ],
    ids=str,
)
def test_what_is_wrong_with_a_request_is_named_and_nothing_is_forced(api: ProtectingApi, body: Any, path: str) -> None:
    problem = api.call("PUT", CRM, body).problem(422, "invalid-input")
    assert [error["path"] for error in problem["errors"]] == [path]
    assert api.circuits.records == {}


def test_a_body_is_needed_methods_are_named_and_queries_refused(api: ProtectingApi) -> None:
    api.call("PUT", CRM).problem(400, "malformed-json")
    answer = api.call("DELETE", CRM)
    answer.problem(405, "method-not-allowed")
    assert answer.headers["allow"] == "PUT"
    api.call("GET", "/v1/circuits", query={"limit": "5"}).problem(422, "invalid-input")


@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/circuits"), ("PUT", CRM)])
def test_circuits_are_for_operators(api: ProtectingApi, method: str, path: str) -> None:
    keyed = identity(scopes="tasks:read tasks:write")
    api.call(method, path, {"state": "open"}, authorizer=keyed).problem(403, "missing-scope")


def test_a_store_that_is_down_is_told_as_such(api: ProtectingApi) -> None:
    async def down() -> None:
        raise StoreUnavailableError("down", code="down")

    api.circuits.answer = down  # type: ignore[method-assign]
    api.call("GET", "/v1/circuits").problem(503, "unavailable")
    api.call("PUT", CRM, {"state": "open"}).problem(503, "unavailable")
