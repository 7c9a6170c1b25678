"""Starting runs of workflows and looking at them."""

from __future__ import annotations

from typing import Any

import pytest

from flotilla.errors import StoreUnavailableError
from flotilla.events import Kind
from flotilla.primitives.token_bucket import Limit
from flotilla.workflow_ports import ExecutionStatus, MapProgress
from tests.fakes.workflows import MemoryExecutions
from tests.gateway_events import identity
from tests.unit.api.api import ENDPOINT, WORKFLOWS
from tests.unit.api.workflow_calls import RunsApi

MEMBERS = {
    "id",
    "workflow",
    "version",
    "tenant",
    "lane",
    "status",
    "created_at",
    "finished_at",
    "deadline",
    "budget_usd",
    "input",
    "output",
    "error",
    "usage",
    "labels",
    "steps",
    "maps",
    "links",
}


@pytest.fixture
def api() -> RunsApi:
    return RunsApi()


def test_a_run_is_accepted_with_all_that_was_asked_for(api: RunsApi) -> None:
    asked: dict[str, Any] = {
        "lane": "batch",
        "labels": {"a": "b"},
        "deadline": "2099-01-01T00:00:00Z",
        "budget_usd": 1.5,
    }
    answer = api.start({"n": 1}, webhook=ENDPOINT.url, **asked)
    run = answer.json()
    assert (answer.status, answer.headers["location"]) == (202, f"/v1/workflows/{run['id']}")
    assert run.keys() == MEMBERS
    assert {name: run[name] for name in asked} == asked | {"deadline": "2099-01-01T00:00:00.000Z"}
    assert (run["workflow"], run["version"], run["tenant"], run["status"]) == ("analysis", "d1", "acme", "running")
    assert (run["input"], run["output"], run["error"], run["finished_at"]) == ({"n": 1}, None, None, None)
    assert [(step["name"], step["agent"], step["map"], step["status"]) for step in run["steps"]] == [
        ("Extract", "document.extract", "Documents", "pending"),
        ("Report", "document.report", None, "pending"),
    ]
    assert api.events(run["id"])[0].body["webhook"] == ENDPOINT.id
    assert list(api.executions.executions) == [("analysis", f"{run['id']}-0")]


def test_a_new_run_is_answered_without_another_look_at_any_store(api: RunsApi) -> None:
    api.start("x" * 5000)
    reads = api.memory.reads
    api.start("x" * 5000)
    assert api.memory.reads == reads + 1, "that of the start"


def test_a_replay_tells_the_run_as_it_is(api: RunsApi) -> None:
    run_id = api.started(1, key="k")
    api.task(run_id, "Extract", 1, Kind.STARTED, Kind.SUCCEEDED)
    again = api.start(1, key="k")
    assert (again.status, again.headers["idempotent-replay"]) == (202, "true")
    assert (again.json()["id"], again.json()["steps"][0]["tasks"]) == (run_id, 1)
    api.start(2, key="k").problem(422, "idempotency-key-reused")
    task = api.call("POST", "/v1/tasks", {"agent": "echo", "input": 1}, headers={"idempotency-key": "k"})
    assert task.status == 202, "a task's keys are others"


@pytest.mark.parametrize("name", ["nobody", "echo", "workflow:analysis", "Analysis", "%61nalysis", "wfl_" + "0" * 32])
def test_an_unknown_workflow_is_one(api: RunsApi, name: str) -> None:
    api.start(1, workflow=name).problem(404, "unknown-workflow")


def test_an_input_that_breaks_the_schema_is_refused_by_its_members(api: RunsApi) -> None:
    problem = api.start({"seconds": -1, "extra": 1}, workflow="nap").problem(422, "invalid-input")
    assert {error["path"] for error in problem["errors"]} == {"/input/seconds", "/input"}
    assert "workflow" in problem["detail"]


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "/input"),
        ({"input": 1, "lane": "slow"}, "/lane"),
        ({"input": 1, "deadline": "2001-01-01T00:00:00Z"}, "/deadline"),
        ({"input": 1, "webhook": "whk_9"}, "/webhook"),
        ({"input": 1, "budget_usd": 0}, "/budget_usd"),
        ({"input": 1, "session": "s"}, "/session"),
        ({"input": 1, "delay_seconds": 5}, "/delay_seconds"),
        ({"input": 1, "labels": {"": "x"}}, "/labels//[key]"),
    ],
)
def test_what_is_wrong_is_named(api: RunsApi, body: dict[str, Any], path: str) -> None:
    problem = api.call("POST", "/v1/workflows/analysis", body).problem(422, "invalid-input")
    assert path in [error["path"] for error in problem["errors"]]
    assert api.memory.logs == {}


def test_an_input_has_a_bound_and_the_answer_says_what_to_do(api: RunsApi) -> None:
    assert api.start("x" * (131_072 - 2)).status == 202
    assert "object" in api.start("x" * (131_072 - 1)).problem(413, "too-large")["detail"]


def test_a_run_takes_a_token_of_each_limit() -> None:
    api = RunsApi(limits_declared={"agent#workflow:analysis": Limit(60, 2), "client": Limit(60, 9)})
    first = api.start(1, key="k")
    assert first.headers["ratelimit"].startswith('"client";r=8')
    assert api.start(1, key="k").headers["idempotent-replay"] == "true"
    assert api.start(2).status == 202, "a replay gives back what it took"
    api.start(3).problem(429, "rate-limited")
    assert api.start({"seconds": 1}, workflow="nap").status == 202


def test_a_store_that_fails_is_told_and_a_repetition_makes_it_whole() -> None:
    class Down(MemoryExecutions):
        down = True

        async def start(self, workflow: str, name: str, document: str) -> bool:
            if self.down:
                raise StoreUnavailableError("no answer")
            return await super().start(workflow, name, document)

    executions = Down(WORKFLOWS)
    api = RunsApi(executions=executions)
    assert "retry-after" in api.start(1, key="k").headers
    executions.down = False
    assert api.start(1, key="k").headers["idempotent-replay"] == "true"
    assert len(executions.executions) == 1


def test_the_steps_tell_their_tasks(api: RunsApi) -> None:
    run_id = api.started()
    for number in range(25):
        api.task(run_id, "Extract", number, Kind.STARTED, Kind.SUCCEEDED)
    api.task(run_id, "Extract", 25, Kind.STARTED, Kind.DEAD_LETTERED)
    api.task(run_id, "Extract", 26, Kind.STARTED)
    api.task(run_id, "Extract", 27)
    extract, report = api.run(run_id)["steps"]
    assert extract["counts"] == {"queued": 1, "running": 1, "succeeded": 25, "dead_lettered": 1}
    assert (extract["status"], extract["tasks"], extract["complete"]) == ("running", 28, True)
    assert extract["task_ids"] == [f"tsk_{number:032x}" for number in range(27, 7, -1)]
    assert report["status"] == "pending"
    assert "secret" not in api.call("GET", f"/v1/workflows/{run_id}").text


@pytest.mark.parametrize(
    ("step", "tasks", "status"),
    [
        ("Report", [(Kind.STARTED, Kind.DEAD_LETTERED), (Kind.STARTED, Kind.SUCCEEDED)], "succeeded"),
        ("Report", [(Kind.STARTED, Kind.SUCCEEDED), (Kind.STARTED, Kind.DEAD_LETTERED)], "failed"),
        ("Report", [(Kind.CANCELLED,)], "cancelled"),
        ("Report", [(Kind.STARTED, Kind.WAITING)], "waiting"),
        ("Report", [(Kind.STARTED, Kind.SUCCEEDED), ()], "queued"),
        ("Extract", [(Kind.STARTED, Kind.SUCCEEDED), (Kind.STARTED, Kind.DEAD_LETTERED)], "succeeded"),
        ("Extract", [(Kind.STARTED, Kind.DEAD_LETTERED)], "failed"),
        ("Extract", [(Kind.STARTED, Kind.SUCCEEDED), (Kind.STARTED, Kind.PARKED)], "parked"),
    ],
)
def test_a_steps_status_is_that_of_its_tasks(
    api: RunsApi, step: str, tasks: list[tuple[Kind, ...]], status: str
) -> None:
    run_id = api.started()
    for number, kinds in enumerate(tasks):
        api.task(run_id, step, number, *kinds)
    assert {each["name"]: each["status"] for each in api.run(run_id)["steps"]}[step] == status


def test_a_state_that_the_definition_no_longer_has_is_told_after_the_others(api: RunsApi) -> None:
    run_id = api.started()
    api.task(run_id, "Old", 1, Kind.STARTED, Kind.SUCCEEDED, agent="document.old")
    names = [(step["name"], step["agent"]) for step in api.run(run_id)["steps"]]
    assert names == [("Extract", "document.extract"), ("Report", "document.report"), ("Old", "document.old")]


def test_what_it_used_is_added_up(api: RunsApi) -> None:
    run_id = api.started()
    usage = {"model_calls": 2, "input_tokens": 10, "output_tokens": 3, "cost_usd": 0.25, "duration_ms": 5}
    for number in range(3):
        task_id = api.task(run_id, "Extract", number, Kind.STARTED)
        api.append(task_id, Kind.SUCCEEDED, {"output": {"inline": 1}, "usage": usage})
    api.project()
    assert api.run(run_id)["usage"] == {
        "model_calls": 6,
        "input_tokens": 30,
        "output_tokens": 9,
        "cost_usd": 0.75,
        "complete": True,
    }


def test_maps_are_told_as_far_as_they_are_known(api: RunsApi) -> None:
    run_id = api.started()
    api.executions.progress["analysis", f"{run_id}-0"] = [MapProgress("Documents", 10, 3, 2, 4, 1)]
    progress = {"step": "Documents", "total": 10, "pending": 3, "running": 2, "succeeded": 4, "failed": 1}
    assert api.run(run_id)["maps"] == [progress]

    class Down(MemoryExecutions):
        async def maps(self, workflow: str, name: str) -> list[MapProgress]:
            raise StoreUnavailableError("no answer")

    api = RunsApi(executions=Down(WORKFLOWS))
    run_id = api.started()
    assert (api.run(run_id)["maps"], api.run(run_id)["status"]) == ([], "running")


@pytest.mark.parametrize(
    ("status", "how", "told"),
    [
        (ExecutionStatus.SUCCEEDED, {"output": '{"done": 1}'}, "succeeded"),
        (ExecutionStatus.FAILED, {"error": "busy", "cause": "it was busy"}, "failed"),
        (ExecutionStatus.TIMED_OUT, {}, "expired"),
        (ExecutionStatus.ABORTED, {}, "cancelled"),
    ],
)
def test_how_it_ended_is_told(api: RunsApi, status: ExecutionStatus, how: dict[str, str], told: str) -> None:
    run_id = api.started()
    api.end(run_id, status, **how)
    run = api.run(run_id)
    assert (run["status"], run["finished_at"] is not None) == (told, True)
    assert run["output"] == ({"done": 1} if told == "succeeded" else None)
    if told == "failed":
        assert run["error"] == {"code": "busy", "message": "it was busy", "retryable": False}


def test_a_client_may_wait_for_the_end(api: RunsApi) -> None:
    run_id = api.started()
    began_ms = api.clock.now_ms()
    answer = api.call("GET", f"/v1/workflows/{run_id}", headers={"prefer": "wait=5"})
    assert (answer.json()["status"], answer.headers["preference-applied"]) == ("running", "wait=5")
    assert api.clock.now_ms() - began_ms >= 5000
    api.end(run_id, ExecutionStatus.SUCCEEDED, output="1")
    began_ms = api.clock.now_ms()
    answer = api.call("GET", f"/v1/workflows/{run_id}", headers={"prefer": "wait=5"})
    assert (answer.json()["status"], api.clock.now_ms()) == ("succeeded", began_ms)


def test_another_tenants_run_is_none_at_all(api: RunsApi) -> None:
    run_id = api.started()
    api.task(run_id, "Extract", 1)
    other = identity("other")
    for method, path in [
        ("GET", ""),
        ("GET", "/tasks"),
        ("GET", "/events"),
        ("POST", "/cancel"),
    ]:
        theirs = api.call(method, f"/v1/workflows/{run_id}{path}", authorizer=other).problem(404, "not-found")
        nobodys = api.call(method, f"/v1/workflows/wfl_{'0' * 32}{path}").problem(404, "not-found")
        assert theirs["detail"] == nobodys["detail"]
    assert api.call("GET", "/v1/workflows", authorizer=other).json()["items"] == []
    assert api.run(run_id)["status"] == "running"


@pytest.mark.parametrize("run_id", ["x", "wfl_", "wfl_" + "g" * 32, "tsk_" + "0" * 32])
def test_what_is_no_runs_id_is_not_found(api: RunsApi, run_id: str) -> None:
    for method, path in [("GET", ""), ("GET", "/tasks"), ("GET", "/events"), ("POST", "/cancel")]:
        api.call(method, f"/v1/workflows/{run_id}{path}").problem(404, "not-found")


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("POST", "/v1/workflows/analysis", "tasks:write"),
        ("GET", "/v1/workflows", "tasks:read"),
        ("GET", "/v1/workflows/wfl_1", "tasks:read"),
        ("GET", "/v1/workflows/wfl_1/tasks", "tasks:read"),
        ("GET", "/v1/workflows/wfl_1/events", "tasks:read"),
        ("POST", "/v1/workflows/wfl_1/cancel", "tasks:write"),
    ],
)
def test_each_call_needs_its_scope(api: RunsApi, method: str, path: str, scope: str) -> None:
    others = " ".join({"tasks:write", "tasks:read", "operate"} - {scope})
    api.call(method, path, authorizer=identity(scopes=others)).problem(403, "missing-scope")


def test_a_path_that_names_a_workflow_or_a_run_takes_what_both_take(api: RunsApi) -> None:
    answer = api.call("PUT", "/v1/workflows/analysis")
    answer.problem(405, "method-not-allowed")
    assert answer.headers["allow"] == "GET, POST, HEAD"
    assert api.call("HEAD", f"/v1/workflows/{api.started()}").status == 200
