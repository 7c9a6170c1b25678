"""Pausing and resuming agents, lanes and the fleet over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from flotilla.clock import rfc3339
from flotilla.coordination import Pause, PauseScope, stop_mark
from flotilla.errors import StoreUnavailableError
from tests.fakes.pauses import MemoryPauses
from tests.gateway_events import identity
from tests.unit.api.operating import OperatingApi

PATHS = {
    "/v1/agents/echo/state": (PauseScope.AGENT, "echo"),
    "/v1/lanes/batch/state": (PauseScope.LANE, "batch"),
    "/v1/fleet/state": (PauseScope.FLEET, ""),
}


@pytest.fixture
def api() -> OperatingApi:
    return OperatingApi()


@pytest.mark.parametrize("path", PATHS)
def test_what_is_paused_is_told_with_why_since_when_and_by_whom(api: OperatingApi, path: str) -> None:
    scope, name = PATHS[path]
    answer = api.call("PUT", path, {"state": "paused", "reason": "the bill"}, authorizer=identity(key_id="k9"))
    assert answer.status == 200
    assert answer.json() == {
        "scope": scope.value,
        "name": name or None,
        "state": "paused",
        "reason": "the bill",
        "since": rfc3339(api.clock.now_ms()),
        "actor": "key:k9",
    }
    assert list(api.pauses.pauses.values()) == [Pause(scope, name, "the bill", "key:k9", api.clock.now_ms())]


@pytest.mark.parametrize("path", PATHS)
def test_what_is_resumed_is_active_whether_it_was_paused_or_not(api: OperatingApi, path: str) -> None:
    scope, name = PATHS[path]
    api.call("PUT", path, {"state": "paused"})
    for _ in range(2):
        answer = api.call("PUT", path, {"state": "active", "reason": "over"})
        assert answer.status == 200
        assert answer.json() == {
            "scope": scope.value,
            "name": name or None,
            "state": "active",
            "reason": None,
            "since": None,
            "actor": None,
        }
        assert api.pauses.pauses == {}


def test_a_stopped_run_is_shown_as_no_pause(api: OperatingApi) -> None:
    mark = stop_mark("batch", "key:k9", api.clock.now_ms())
    api.pauses.pauses[mark.scope, mark.name] = mark
    assert {lane["state"] for lane in api.call("GET", "/v1/lanes").json()["items"]} == {"active"}
    assert {agent["state"] for agent in api.call("GET", "/v1/agents").json()["items"]} == {"active"}
    assert api.call("PUT", "/v1/lanes/batch/state", {"state": "active"}).json()["state"] == "active"
    assert list(api.pauses.pauses.values()) == [mark]


def test_a_reason_is_optional(api: OperatingApi) -> None:
    assert api.call("PUT", "/v1/fleet/state", {"state": "paused"}).json()["reason"] is None


def test_pausing_again_changes_why_and_by_whom_but_not_since_when(api: OperatingApi) -> None:
    """A call whose answer was lost is repeated."""
    first = api.call("PUT", "/v1/fleet/state", {"state": "paused", "reason": "a"}).json()
    api.clock.advance(60)
    again = api.call("PUT", "/v1/fleet/state", {"state": "paused", "reason": "b"}, authorizer=identity(key_id="k2"))
    assert again.json() == first | {"reason": "b", "actor": "key:k2"}


def test_unknown_agents_and_lanes_cannot_be_paused(api: OperatingApi) -> None:
    body = {"state": "paused"}
    api.call("PUT", "/v1/agents/nobody/state", body).problem(404, "unknown-agent")
    api.call("PUT", "/v1/lanes/nowhere/state", body).problem(404, "not-found")
    api.call("PUT", "/v1/lanes/nowhere/state", {"state": "active"}).problem(404, "not-found")
    assert api.pauses.pauses == {}


def test_an_agent_that_is_no_longer_deployed_can_be_resumed_but_not_paused(api: OperatingApi) -> None:
    api.pauses.pauses[PauseScope.AGENT, "gone"] = Pause(PauseScope.AGENT, "gone", "", "key:k1", 1)
    api.call("PUT", "/v1/agents/gone/state", {"state": "paused"}).problem(404, "unknown-agent")
    assert api.call("PUT", "/v1/agents/gone/state", {"state": "active"}).status == 200
    assert api.pauses.pauses == {}


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "/state"),
        ({"state": "stopped"}, "/state"),
        ({"state": None}, "/state"),
        ({"state": "paused", "reason": "x" * 257}, "/reason"),
        ({"state": "paused", "reason": 5}, "/reason"),
        ({"state": "paused", "until": "2030-01-01T00:00:00Z"}, "/until"),
        ([], ""),
    ],
    ids=str,
)
def test_what_is_wrong_with_a_request_is_named_and_nothing_is_paused(api: OperatingApi, body: Any, path: str) -> None:
    problem = api.call("PUT", "/v1/fleet/state", body).problem(422, "invalid-input")
    assert [error["path"] for error in problem["errors"]] == [path]
    assert api.pauses.pauses == {}


def test_a_body_is_needed_and_must_be_json(api: OperatingApi) -> None:
    api.call("PUT", "/v1/fleet/state").problem(400, "malformed-json")
    api.call("PUT", "/v1/fleet/state", {"state": "paused"}, headers={"content-type": "text/plain"}).problem(
        415, "unsupported-media-type"
    )


@pytest.mark.parametrize("path", PATHS)
def test_only_operators_pause(api: OperatingApi, path: str) -> None:
    keyed = identity(scopes="tasks:read tasks:write")
    api.call("PUT", path, {"state": "paused"}, authorizer=keyed).problem(403, "missing-scope")
    assert api.pauses.pauses == {}


def test_a_pause_that_cannot_be_stored_is_told_as_such() -> None:
    class Down(MemoryPauses):
        async def put(self, pause: Pause) -> None:
            raise StoreUnavailableError("the pauses did not answer")

    api = OperatingApi(pauses=Down())
    problem = api.call("PUT", "/v1/fleet/state", {"state": "paused"}).problem(503, "unavailable")
    assert problem["retryable"] is True


# What the lists say of it.


def test_an_agent_says_what_holds_it_up(api: OperatingApi) -> None:
    assert (api.agent("echo")["state"], api.agent("echo")["pause"]) == ("active", None)
    api.call("PUT", "/v1/agents/echo/state", {"state": "paused", "reason": "a bug"})
    assert api.agent("echo")["state"] == "paused"
    assert api.agent("echo")["pause"] == {
        "scope": "agent",
        "name": "echo",
        "reason": "a bug",
        "since": rfc3339(api.clock.now_ms()),
        "actor": "key:k1",
    }
    assert api.agent("sleep")["state"] == "active"


def test_an_agent_is_paused_with_its_lane_and_with_the_fleet(api: OperatingApi) -> None:
    api.call("PUT", "/v1/lanes/batch/state", {"state": "paused"})
    assert (api.agent("sleep")["state"], api.agent("sleep")["pause"]["scope"]) == ("paused", "lane")
    assert api.agent("echo")["state"] == "active"
    api.call("PUT", "/v1/fleet/state", {"state": "paused"})
    assert {(api.agent(name)["state"], api.agent(name)["pause"]["scope"]) for name in ("echo", "sleep")} == {
        ("paused", "fleet")
    }


def test_a_lane_says_what_holds_it_up(api: OperatingApi) -> None:
    api.call("PUT", "/v1/agents/sleep/state", {"state": "paused"})
    assert (api.lane("batch")["state"], api.lane("batch")["pause"]) == ("active", None)
    api.call("PUT", "/v1/lanes/batch/state", {"state": "paused"})
    assert (api.lane("batch")["state"], api.lane("batch")["pause"]["name"]) == ("paused", "batch")
    assert api.lane("critical")["state"] == "active"
    api.call("PUT", "/v1/fleet/state", {"state": "paused"})
    assert api.lane("critical")["pause"]["scope"] == "fleet"
