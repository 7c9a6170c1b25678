"""The commands about circuits and limits."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.unit.cli.fake_api import FakeApi, problem
from tests.unit.cli.test_operating_commands import bodies, page, typed

CIRCUIT = {
    "name": "integration#crm",
    "kind": "integration",
    "state": "open",
    "mode": "auto",
    "failure_rate": 0.75,
    "p99_ms": 812.4,
    "volume": 12,
    "opened_at": "2026-11-21T09:00:00.100Z",
    "until": None,
    "reason": "9 of 12 calls failed",
    "probes": 0,
}
LIMIT = {
    "name": "client",
    "rate_per_minute": 600,
    "burst": 100,
    "source": "set",
    "declared": {"rate_per_minute": 60, "burst": 10},
    "per": "client",
    "remaining": None,
}


def ok(value: Any) -> httpx.Response:
    return httpx.Response(200, json=value)


@pytest.mark.parametrize(("command", "item"), [("circuits", CIRCUIT), ("limits", LIMIT)])
def test_without_an_action_all_are_listed_with_the_operators_key(
    command: str, item: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    api = FakeApi(page(item), page(item))
    assert typed(api, command) == 0
    assert item["name"] in capsys.readouterr().out
    assert typed(api, command, "--json") == 0
    assert json.loads(capsys.readouterr().out) == [item]
    assert api.calls == [f"GET /v1/{command}"] * 2
    assert {request.headers["authorization"] for request in api.requests} == {"Bearer flt_operator"}


def test_what_is_not_known_of_a_circuit_is_a_dash(capsys: pytest.CaptureFixture[str]) -> None:
    unknown = CIRCUIT | dict.fromkeys(("failure_rate", "p99_ms", "opened_at", "until", "reason"))
    assert typed(FakeApi(page(unknown)), "circuits") == 0
    assert "None" not in capsys.readouterr().out


@pytest.mark.parametrize(("action", "state"), [("open", "open"), ("close", "closed"), ("auto", "auto")])
def test_a_circuit_is_forced(action: str, state: str) -> None:
    api = FakeApi(ok(CIRCUIT))
    assert typed(api, "circuits", action, "integration#crm", "--reason", "maintenance") == 0
    assert api.calls == ["PUT /v1/circuits/integration%23crm"]
    assert bodies(api) == [{"state": state, "reason": "maintenance"}]


@pytest.mark.parametrize("arguments", [["--json", "open", "crm"], ["open", "crm", "--json"]])
def test_json_may_stand_before_and_after_the_action(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    api = FakeApi(ok(CIRCUIT))
    assert typed(api, "circuits", *arguments) == 0
    assert json.loads(capsys.readouterr().out) == CIRCUIT
    assert bodies(api) == [{"state": "open", "reason": None}]


def test_a_limit_is_set(capsys: pytest.CaptureFixture[str]) -> None:
    api = FakeApi(ok(LIMIT))
    assert typed(api, "limits", "set", "client#k1", "--rate-per-minute", "600", "--burst", "100") == 0
    assert api.calls == ["PUT /v1/limits/client%23k1"]
    assert bodies(api) == [{"rate_per_minute": 600, "burst": 100}]
    assert "600" in capsys.readouterr().out


def test_a_limit_is_reset() -> None:
    api = FakeApi(httpx.Response(204))
    assert typed(api, "limits", "reset", "agent#a/b") == 0
    assert api.calls == ["DELETE /v1/limits/agent%23a%2Fb"]


def test_half_a_limit_is_refused() -> None:
    api = FakeApi()
    with pytest.raises(SystemExit):
        typed(api, "limits", "set", "client", "--burst", "100")
    assert api.calls == []


def test_what_is_not_there_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert typed(FakeApi(problem(404, "not-found")), "circuits", "open", "nothing") == 1
    assert "404 not-found" in capsys.readouterr().err
