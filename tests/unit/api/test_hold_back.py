"""A task whose agent depends on what is down: accepted and parked, or refused where the agent says so."""

from __future__ import annotations

from typing import Any

import pytest

from flotilla.agents.catalog import Catalog
from flotilla.errors import StoreUnavailableError
from flotilla.primitives.circuit import CircuitMode, CircuitRecord, CircuitState
from flotilla.services.hold_back import TTL_MS
from tests.agent_specs import agent_spec
from tests.unit.api.api import ANYTHING, Api, agent

CATALOG = Catalog(
    {
        spec.name: spec
        for spec in (
            agent("waits", ANYTHING),
            agent("rather-not", ANYTHING, on_open="reject"),
            agent_spec("writes", on_open="reject", routes=("fast", "of-another-fleet")),
        )
    }
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


def test_a_repeat_of_what_was_accepted_before_is_answered_as_ever() -> None:
    api = api_with(None)
    wanted = {"agent": "rather-not", "input": {}}
    first = api.submit(wanted, Idempotency_Key="once")
    assert first.status == 202
    api.circuits.records["integration#bedrock"] = opened(NOW_MS)
    api.clock.advance(TTL_MS / 1000)
    again = api.submit(wanted, Idempotency_Key="once")
    assert (again.status, again.json()["id"]) == (first.status, first.json()["id"])
    assert api.submit({**wanted, "input": {"other": 1}}, Idempotency_Key="once").status == 422
    assert api.submit(wanted, Idempotency_Key="another").status == 503
    assert len(api.memory.logs) == 1


def test_in_a_batch_too_only_what_is_new_is_refused() -> None:
    api = api_with(None)
    wanted, key = {"agent": "rather-not", "input": {}}, {"Idempotency-Key": "batch"}
    (first,) = api.call("POST", "/v1/task-batches", {"tasks": [wanted]}, headers=key).json()["results"]
    api.circuits.records["integration#bedrock"] = opened(NOW_MS)
    api.clock.advance(TTL_MS / 1000)
    answer = api.call("POST", "/v1/task-batches", {"tasks": [wanted, wanted]}, headers=key).json()["results"]
    assert [result["status"] for result in answer] == [first["status"], 503]


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


@pytest.mark.parametrize(("open_", "status"), [(("haiku",), 202), (("mini",), 202), (("haiku", "mini"), 503)])
def test_a_route_is_held_back_when_all_of_its_models_are(open_: tuple[str, ...], status: int) -> None:
    api = Api(catalog=CATALOG)
    for number, model in enumerate(open_):
        api.circuits.records[f"model#{model}"] = CircuitRecord(
            version=1, state=CircuitState.OPEN, until_ms=NOW_MS + 4000 + number * 1000
        )
    answer = submit(api, "writes")
    assert answer.status == status
    if status == 503:
        assert answer.headers["retry-after"] == "4", "the first of them may be asked again then"
