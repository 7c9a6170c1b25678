"""A task whose agent depends on what is down: accepted and parked, or refused where the agent says so."""

from __future__ import annotations

from typing import Any

import pytest

from flotilla.agents.catalog import Catalog
from flotilla.errors import StoreUnavailableError
from flotilla.primitives.circuit import CircuitMode, CircuitRecord, CircuitState
from flotilla.services.hold_back import TTL_MS
from tests.unit.api.api import ANYTHING, Api, agent

CATALOG = Catalog(
    {spec.name: spec for spec in (agent("waits", ANYTHING), agent("rather-not", ANYTHING, on_open="reject"))}
)


def api_with(record: CircuitRecord | None) -> Api:
    """Both agents depend on `bedrock`, and nothing knows of any other circuit."""
    api = Api(catalog=CATALOG)
    if record is not None:
        api.circuits.records["integration#bedrock"] = record
    return api


def opened(api_now_ms: int, **changes: Any) -> CircuitRecord:
    return CircuitRecord(version=1, state=CircuitState.OPEN, until_ms=api_now_ms + 9_500, **changes)


NOW_MS = Api().clock.now_ms()


def submit(api: Api, name: str = "rather-not", **more: Any) -> Any:
    return api.submit({"agent": name, "input": {}, **more})


def test_an_agent_that_would_rather_not_is_refused_with_when_to_come_again_and_nothing_is_accepted() -> None:
    api = api_with(opened(NOW_MS))
    answer = submit(api)
    assert answer.status == 503
    assert answer.json()["type"] == "/problems/dependency-unavailable"
    assert answer.json()["retryable"] is True
    assert answer.headers["retry-after"] == "10"
    assert "bedrock" not in answer.json()["detail"], "what is behind an agent is nobody's business outside"
    assert (api.memory.logs, api.lanes.sent) == ({}, {})


def test_any_other_is_accepted_and_costs_no_look_at_circuits() -> None:
    api = api_with(opened(NOW_MS))
    assert submit(api, "waits").status == 202
    assert api.circuits.reads == 0


@pytest.mark.parametrize(
    ("record", "status"),
    [
        (None, 202),
        (CircuitRecord(version=2, state=CircuitState.HALF_OPEN), 202),
        (CircuitRecord(version=2, state=CircuitState.RAMPING, until_ms=NOW_MS + 5000), 202),
        (CircuitRecord(version=1, state=CircuitState.OPEN, until_ms=NOW_MS), 202),
        (opened(NOW_MS, mode=CircuitMode.CLOSED), 202),
        (CircuitRecord(version=1, mode=CircuitMode.OPEN), 503),
    ],
)
def test_only_what_is_surely_held_back_is_refused(record: CircuitRecord | None, status: int) -> None:
    assert submit(api_with(record)).status == status


def test_a_task_that_is_due_later_is_accepted() -> None:
    assert submit(api_with(opened(NOW_MS)), delay_seconds=60).status == 202


def test_many_tasks_are_one_look_until_it_is_old() -> None:
    api = api_with(None)
    for _ in range(5):
        assert submit(api).status == 202
    assert api.circuits.reads == 1
    api.circuits.records["integration#bedrock"] = opened(NOW_MS)
    api.clock.advance(TTL_MS / 1000)
    assert submit(api).status == 503


def test_while_circuits_cannot_be_looked_at_tasks_are_accepted() -> None:
    api = api_with(opened(NOW_MS))

    async def down() -> None:
        raise StoreUnavailableError("down", code="down")

    api.circuits.answer = down  # type: ignore[method-assign]
    assert submit(api).status == 202
