"""Runs in lists, their stories, and all that is done with them because each is a task."""

from __future__ import annotations

from typing import Any

import pytest

from flotilla.events import Kind, verify_chain
from flotilla.events.told import untell_log
from flotilla.workflow_ports import ExecutionStatus
from tests.unit.api.workflow_calls import RunsApi


@pytest.fixture
def api() -> RunsApi:
    return RunsApi()


def ids(answer: Any) -> list[str]:
    assert answer.status == 200, answer.text
    return [item["id"] for item in answer.json()["items"]]


def whole_list(api: RunsApi, path: str, **query: str) -> list[Any]:
    """All pages of a list."""
    found: list[Any] = []
    while True:
        answer = api.call("GET", path, query=query)
        assert answer.status == 200, answer.text
        found += answer.json()["items"]
        if answer.json()["next_cursor"] is None:
            return found
        query["cursor"] = answer.json()["next_cursor"]


def several(api: RunsApi) -> list[str]:
    runs = []
    for number in range(5):
        runs.append(api.started({"n": number}) if number % 2 else api.started({"seconds": number}, workflow="nap"))
        api.clock.advance(1)
    api.end(runs[0], ExecutionStatus.SUCCEEDED, output="1")
    api.end(runs[1], ExecutionStatus.FAILED, error="busy")
    api.submit()
    api.project()
    return runs


def test_runs_are_listed_the_newest_first(api: RunsApi) -> None:
    runs = several(api)
    assert ids(api.call("GET", "/v1/workflows")) == runs[::-1]
    for limit in ("1", "2", "3"):
        assert [run["id"] for run in whole_list(api, "/v1/workflows", limit=limit)] == runs[::-1]
    run = api.call("GET", "/v1/workflows").json()["items"][0]
    assert not {"steps", "maps", "usage"} & run.keys()
    assert (run["workflow"], run["status"], run["input"], run["lane"]) == ("nap", "running", {"seconds": 4}, None)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"name": "nap"}, [4, 2, 0]),
        ({"name": "nobody"}, []),
        ({"status": "running"}, [4, 3, 2]),
        ({"status": "succeeded"}, [0]),
        ({"status": "failed"}, [1]),
        ({"status": "cancelled"}, []),
        ({"status": "running", "name": "nap"}, [4, 2]),
    ],
)
def test_runs_are_filtered(api: RunsApi, query: dict[str, str], expected: list[int]) -> None:
    runs = several(api)
    assert ids(api.call("GET", "/v1/workflows", query=query)) == [runs[number] for number in expected]


def test_a_list_tells_runs_as_their_logs_say_they_are(api: RunsApi) -> None:
    runs = several(api)
    api.call("POST", f"/v1/workflows/{runs[4]}/cancel")
    assert ids(api.call("GET", "/v1/workflows", query={"status": "running"})) == [runs[3], runs[2]]


@pytest.mark.parametrize("query", [{"status": "queued"}, {"limit": "0"}, {"cursor": "x"}, {"agent": "a"}])
def test_a_wrong_query_is_refused(api: RunsApi, query: dict[str, str]) -> None:
    run_id = api.started()
    api.call("GET", "/v1/workflows", query=query).problem(422, "invalid-input")
    api.call("GET", f"/v1/workflows/{run_id}/tasks", query=query).problem(422, "invalid-input")
    api.call("GET", f"/v1/workflows/{run_id}/events", query=query).problem(422, "invalid-input")


def test_the_tasks_of_a_run_are_listed(api: RunsApi) -> None:
    run_id, other = api.started(), api.started()
    tasks = [api.task(run_id, "ER"[number % 2], number, Kind.STARTED) for number in range(7)]
    api.task(other, "E", 99)
    listed = whole_list(api, f"/v1/workflows/{run_id}/tasks", limit="2")
    assert [task["id"] for task in listed] == tasks[::-1]
    assert listed[0]["status"] == "running"
    assert listed[0]["workflow"] == {"run": run_id, "step": "E"}
    of_step = whole_list(api, f"/v1/workflows/{run_id}/tasks", step="R")
    assert [task["id"] for task in of_step] == [tasks[5], tasks[3], tasks[1]]


def test_the_story_is_told_in_the_order_of_time(api: RunsApi) -> None:
    run_id = api.started()
    first = api.task(run_id, "Extract", 1, Kind.STARTED)
    second = api.task(run_id, "Report", 2, Kind.STARTED)
    api.append(first, Kind.SUCCEEDED, {"output": {"inline": 1}, "usage": {}})
    api.clock.advance(1)
    api.append(second, Kind.SUCCEEDED, {"output": {"inline": 1}, "usage": {}})
    api.clock.advance(1)
    api.end(run_id, ExecutionStatus.SUCCEEDED, output="1")
    answer = api.call("GET", f"/v1/workflows/{run_id}/events")
    events = answer.json()["items"]
    assert [(event["step"], event["kind"]) for event in events] == [
        (None, "accepted"),
        ("Extract", "accepted"),
        ("Extract", "started"),
        ("Report", "accepted"),
        ("Report", "started"),
        ("Extract", "succeeded"),
        ("Report", "succeeded"),
        (None, "succeeded"),
    ]
    assert {event["workflow_id"] for event in events} == {run_id}
    assert [event["task_id"] for event in events][:2] == [run_id, first]
    assert "secret" not in answer.text


def test_a_long_story_is_told_in_pages_each_event_once(api: RunsApi) -> None:
    run_id = api.started()
    for number in range(230):
        api.task(run_id, "Extract", number, Kind.STARTED, Kind.SUCCEEDED)
    api.end(run_id, ExecutionStatus.SUCCEEDED, output="1")
    events = whole_list(api, f"/v1/workflows/{run_id}/events")
    told = [(event["task_id"], event["seq"]) for event in events]
    assert len(told) == len(set(told)) == 230 * 3 + 2
    assert [event["at"] for event in events] == sorted(event["at"] for event in events)
    assert (told[0], told[-1]) == ((run_id, 0), (run_id, 1))


def test_a_log_that_does_not_fit_a_page_is_told_in_several(api: RunsApi) -> None:
    run_id = api.started()
    small = api.task(run_id, "Extract", 1, Kind.STARTED)
    api.clock.advance(1)
    large = api.task(run_id, "Extract", 2, Kind.STARTED)
    for number in range(9):
        api.append(large, Kind.STEP_RECORDED, {"step": f"s{number}", "result": {"inline": "x" * 600_000}})
    after = api.task(run_id, "Report", 3, Kind.STARTED)
    pages = []
    query: dict[str, str] = {}
    while True:
        answer = api.call("GET", f"/v1/workflows/{run_id}/events", query=query)
        assert len(answer.text) < 3_000_000
        pages.append([(event["task_id"], event["seq"]) for event in answer.json()["items"]])
        if answer.json()["next_cursor"] is None:
            break
        query = {"cursor": answer.json()["next_cursor"]}
    told = [each for page in pages for each in page]
    assert len(pages) > 3
    assert told == [
        (run_id, 0),
        (small, 0),
        (small, 1),
        *((large, seq) for seq in range(11)),
        (after, 0),
        (after, 1),
    ]


@pytest.mark.parametrize("within", ["~", "~x", "~-1", "~1~1", "~٣"])
def test_a_cursor_of_the_story_is_as_it_was_given(api: RunsApi, within: str) -> None:
    run_id = api.started()
    for number in range(120):
        api.task(run_id, "Extract", number)
    cursor = api.call("GET", f"/v1/workflows/{run_id}/events").json()["next_cursor"]
    assert api.call("GET", f"/v1/workflows/{run_id}/events", query={"cursor": cursor}).status == 200
    query = {"cursor": cursor + within}
    api.call("GET", f"/v1/workflows/{run_id}/events", query=query).problem(422, "invalid-input")
    other = api.started()
    api.call("GET", f"/v1/workflows/{other}/events", query={"cursor": cursor}).problem(422, "invalid-input")


def test_a_run_is_cancelled_once_by_either_path(api: RunsApi) -> None:
    for path in ("/v1/workflows/{}/cancel", "/v1/tasks/{}/cancel"):
        run_id = api.started()
        first = api.call("POST", path.format(run_id))
        assert (first.status, first.json()["cancelled"], first.json()["status"]) == (202, True, "cancelled")
        again = api.call("POST", f"/v1/workflows/{run_id}/cancel", {})
        assert (again.status, again.json()["cancelled"]) == (202, False)
        assert api.run(run_id)["status"] == "cancelled"
        assert [event.kind.value for event in api.events(run_id)] == ["accepted", "cancelled"]
    api.call("POST", f"/v1/workflows/{api.started()}/cancel", {"why": 1}).problem(422, "invalid-input")


def test_a_run_is_a_task_to_those_who_ask_for_one(api: RunsApi) -> None:
    run_id = api.started({"n": 1})
    api.project()
    task = api.call("GET", f"/v1/tasks/{run_id}").json()
    assert (task["agent"], task["status"], task["workflow"]) == ("workflow:analysis", "queued", None)
    assert ids(api.call("GET", "/v1/tasks", query={"agent": "workflow:analysis"})) == [run_id]
    events = api.call("GET", f"/v1/tasks/{run_id}/events").json()["items"]
    verify_chain(untell_log(events, task_id=run_id))


def test_a_step_s_task_is_verified_without_its_token(api: RunsApi) -> None:
    task_id = api.task(api.started(), "Extract", 1, Kind.STARTED, Kind.SUCCEEDED)
    answer = api.call("GET", f"/v1/tasks/{task_id}/events")
    assert "secret" not in answer.text
    verify_chain(untell_log(answer.json()["items"], task_id=task_id))


def test_a_run_cannot_be_submitted_as_a_task(api: RunsApi) -> None:
    answer = api.call("POST", "/v1/tasks", {"agent": "workflow:analysis", "input": 1})
    answer.problem(404, "unknown-agent")


def test_a_dead_run_is_a_dead_letter_and_is_redriven_as_one(api: RunsApi) -> None:
    run_id = api.started({"seconds": 1}, workflow="nap")
    api.end(run_id, ExecutionStatus.FAILED, error="busy", cause="it was busy")
    (letter,) = api.call("GET", "/v1/dead-letters", query={"agent": "workflow:nap"}).json()["items"]
    assert (letter["task_id"], letter["cause"]) == (run_id, "busy: it was busy")
    (group,) = api.call("GET", "/v1/dead-letters/groups").json()["items"]
    assert (group["agent"], group["count"], group["sample_task_id"]) == ("workflow:nap", 1, run_id)
    wrong = api.call("POST", f"/v1/tasks/{run_id}/redrive", {"input": {"seconds": -1}})
    assert "workflow" in wrong.problem(422, "invalid-input")["detail"]
    api.call("POST", f"/v1/tasks/{run_id}/redrive", {"input": "x" * 131_072}).problem(413, "too-large")
    answer = api.call("POST", f"/v1/tasks/{run_id}/redrive", {"input": {"seconds": 2}})
    assert (answer.status, answer.json()["redriven"]) == (202, True)
    assert list(api.executions.executions) == [("nap", f"{run_id}-0"), ("nap", f"{run_id}-2")]
    assert '"seconds":2' in api.executions.documents["nap", f"{run_id}-2"]
    assert api.run(run_id)["input"] == {"seconds": 2}


def test_many_dead_runs_are_redriven_together(api: RunsApi) -> None:
    runs = [api.started(number) for number in range(3)]
    for run_id in runs:
        api.end(run_id, ExecutionStatus.FAILED, error="busy")
    body: dict[str, Any] = {"filter": {"agent": "workflow:analysis"}}
    assert api.call("POST", "/v1/dead-letters/redrive", body | {"dry_run": True}).json()["matched"] == 3
    assert api.call("POST", "/v1/dead-letters/redrive", body).json()["redriven"] == 3
    assert {api.run(run_id)["status"] for run_id in runs} == {"running"}
    body = {"ids": runs}
    outcomes = {item["outcome"] for item in api.call("POST", "/v1/dead-letters/redrive", body).json()["items"]}
    assert outcomes == {"nothing"}
