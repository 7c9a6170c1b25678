"""Integrations of a deployed fleet: what is sent, what is repeated, and what an outage costs the tasks that need it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from httpx import Response

from benchmarks.chaos.tally import read_logs
from benchmarks.fault_lab.script import Phase, Reply, Script
from flotilla.events import Kind
from tests.e2e.lab import CALL, DEAD, SECRET, WELL, Lab
from tests.e2e.waiting import eventually

OUTAGE_TASKS = 12
DELAY_SECONDS = 8


@pytest.fixture
def path(lab: Lab) -> Iterator[str]:
    """A path of the test's own; afterwards the integration is well again."""
    yield f"/things/{uuid.uuid4().hex}"
    lab.server.follow(WELL)


def test_a_call_goes_below_the_base_url_with_the_secret_that_is_declared(lab: Lab, path: str) -> None:
    task = lab.tenant.finished(lab.call(path=f"{path}?page=2"))
    assert (task["status"], task["output"]["status"]) == ("succeeded", 200)
    (request,) = lab.received(f"/v1{path}?page=2")
    assert request.method == "GET"
    assert request.headers["x-api-key"] == SECRET
    assert "idempotency-key" not in request.headers
    assert SECRET not in json.dumps(lab.tenant.events(task["id"])[0])


def test_a_post_carries_its_body_and_one_idempotency_key_however_often_it_is_made(lab: Lab, path: str) -> None:
    lab.server.follow(Script.one_after_the_other(Reply(fault="reset"), Reply()))
    task = lab.tenant.finished(lab.call(method="POST", path=path, body={"name": "Ada"}))
    assert task["status"] == "succeeded"
    first, second = lab.received(f"/v1{path}")
    assert first.json() == second.json() == {"name": "Ada"}
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
    other = lab.tenant.finished(lab.call(method="POST", path=path, body={"name": "Ada"}))
    assert other["status"] == "succeeded"
    assert lab.received(f"/v1{path}")[-1].headers["idempotency-key"] != first.headers["idempotency-key"]


def test_what_the_other_side_refuses_is_given_up_at_once(lab: Lab, path: str) -> None:
    lab.server.follow(Script.steady(Reply(status=422, body=b'{"why": "no such thing"}')))
    task = lab.tenant.finished(lab.call(path=path))
    assert (task["status"], task["error"]["code"]) == ("dead_lettered", "integration_refused")
    assert "attempt_failed" not in lab.tenant.kinds(task["id"])
    assert len(lab.received(f"/v1{path}")) == 1


def test_a_server_error_that_passes_is_tried_again_within_the_attempt(lab: Lab, path: str) -> None:
    lab.server.follow(Script((Phase((Reply(status=502),), requests=1), Phase())))
    task = lab.tenant.finished(lab.call(path=path))
    assert task["status"] == "succeeded"
    assert "attempt_failed" not in lab.tenant.kinds(task["id"])
    assert [request.status for request in lab.received(f"/v1{path}")] == [502, 200]


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ({"path": "/others"}, "path_not_allowed"),
        ({"path": "//127.0.0.1:1/things"}, "path_not_allowed"),
        ({"path": "/things/../../admin"}, "invalid_request"),
        ({"path": "/things", "integration": "elsewhere"}, "integration_forbidden"),
        ({"path": "/things", "integration": "unheard-of"}, "integration_not_declared"),
    ],
)
def test_nothing_goes_where_it_was_not_declared_to(lab: Lab, value: dict[str, Any], code: str) -> None:
    task = lab.tenant.finished(lab.call(**value))
    assert (task["status"], task["error"]["code"]) == ("dead_lettered", code)


def test_an_answer_that_leads_to_another_host_is_not_followed(lab: Lab, path: str) -> None:
    lab.server.follow(Script.steady(Reply(status=302, headers={"Location": "http://127.0.0.1:1/things"})))
    task = lab.tenant.finished(lab.call(path=path))
    assert (task["status"], task["error"]["code"]) == ("dead_lettered", "integration_redirect")


def test_a_failure_of_which_no_other_call_says_better_is_nobodys_attempt(lab: Lab, path: str) -> None:
    """Too few tasks for the circuit to be sure: they wait all the same, and none is given up."""
    lab.server.follow(DEAD)
    task_id = lab.tenant.accepted(CALL, {"integration": "lab", "path": path}, max_attempts=1)
    eventually(lambda: len(lab.parked(task_id)) >= 1, "a task that waits")
    lab.server.follow(WELL)
    assert lab.tenant.finished(task_id)["status"] == "succeeded"
    assert "attempt_failed" not in lab.tenant.kinds(task_id)


def refusal(lab: Lab) -> Response | None:
    """What an agent that rejects answers while the circuit is open; now and then it is half-open, and lets it in."""
    answer = lab.tenant.submit("diagnostics.echo", {"value": 1})
    return answer if answer.status_code == 503 else None


def test_an_outage_parks_tasks_at_no_cost_of_attempts_and_stops_the_calls(lab: Lab) -> None:
    lab.recover()
    lab.server.follow(DEAD)
    paths = [f"/effects/{uuid.uuid4().hex}" for _ in range(OUTAGE_TASKS)]
    tasks = {lab.call(method="POST", path=path, body={}): path for path in paths}

    def open_parks(task_id: str) -> int:
        return sum(event["reason"] == "circuit_open" for event in lab.parked(task_id))

    eventually(lambda: all(open_parks(task_id) for task_id in tasks), "all tasks parked", every=0.5)
    rejected = eventually(lambda: refusal(lab), "a refusal", every=0.2)
    assert rejected.json()["type"].endswith("dependency-unavailable")
    assert int(rejected.headers["Retry-After"]) >= 1

    def looked_again_without_a_call() -> bool:
        parks, calls = sum(map(open_parks, tasks)), len(lab.server.received)
        eventually(lambda: sum(map(open_parks, tasks)) >= parks + OUTAGE_TASKS, "tasks that looked again", every=0.5)
        return len(lab.server.received) == calls

    # By itself it would find out now and then whether the server is back.
    lab.force("integration#lab", "open")
    eventually(looked_again_without_a_call, "tasks that looked again in vain")

    lab.force("integration#lab", "auto")
    lab.server.follow(WELL)
    for task_id, path in tasks.items():
        task = lab.tenant.finished(task_id)
        assert task["status"] == "succeeded"
        assert sum(request.status == 200 for request in lab.received(f"/v1{path}")) == 1
        assert len({request.headers["idempotency-key"] for request in lab.received(f"/v1{path}")}) == 1


@pytest.fixture
def storeless(lab: Lab) -> Iterator[None]:
    """The fleet's `control` table is gone."""
    with lab.without_control_table():
        yield


@pytest.fixture
def delayed(lab: Lab) -> list[str]:
    """Tasks that will call the integration in a few seconds."""
    lab.recover()
    call = {"integration": "lab", "method": "POST", "path": f"/effects/{uuid.uuid4().hex}", "body": {}}
    return [lab.tenant.accepted(CALL, call, delay_seconds=DELAY_SECONDS) for _ in range(5)]


def test_calls_go_on_without_what_protects_them_and_the_log_says_so(
    lab: Lab, delayed: list[str], storeless: None
) -> None:
    seen = len(lab.worker_log())

    def ended() -> bool:
        logs = read_logs(lab.engine.info)
        return all(logs[task_id][-1].kind is Kind.SUCCEEDED for task_id in delayed)

    eventually(ended, "the tasks' success", every=0.5)
    eventually(lambda: "protection unavailable" in lab.worker_log()[seen:], "the line about it", every=0.5)
    eventually(lambda: '"ProtectionUnavailable":' in lab.worker_log()[seen:], "what raises the alarm", every=0.5)
