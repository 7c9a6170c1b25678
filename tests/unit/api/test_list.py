"""`GET /v1/tasks`: a tenant's own tasks, filtered, in pages, and small enough to be answered."""

from __future__ import annotations

import json
from typing import Any

import pytest

from flotilla.events import Kind
from tests.gateway_events import identity
from tests.unit.api.api import Api


@pytest.fixture
def api() -> Api:
    return Api()


def submitted(api: Api, **members: Any) -> str:
    tenant = members.pop("tenant", "acme")
    body = {"agent": "echo", "input": {"seconds": 1}} | members
    answer = api.call("POST", "/v1/tasks", body, authorizer=identity(tenant))
    assert answer.status == 202, answer.text
    api.clock.advance(1)
    api.project()
    return str(answer.json()["id"])


def listed(api: Api, **query: str) -> list[dict[str, Any]]:
    answer = api.call("GET", "/v1/tasks", query=query)
    assert answer.status == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


def ids(api: Api, **query: str) -> list[str]:
    return [item["id"] for item in listed(api, **query)]


def test_a_tenant_sees_its_own_tasks_as_they_are_now_and_nobody_elses(api: Api) -> None:
    submitted(api, tenant="umbrella")
    older, newer = submitted(api), submitted(api)
    api.finish(older, {"x": 1})  # the read model does not know yet
    items = listed(api)
    assert [item["id"] for item in items] == [newer, older]
    assert [item["status"] for item in items] == ["queued", "succeeded"]
    for item in items:
        assert item == api.call("GET", f"/v1/tasks/{item['id']}").json()


def test_each_filter_filters(api: Api) -> None:
    plain = submitted(api)
    sleeping = submitted(api, agent="sleep")
    critical = submitted(api, lane="critical", session="s")
    delayed = submitted(api, delay_seconds=60)
    dead = submitted(api)
    api.kill(dead)
    api.project()
    running = submitted(api)
    api.append(running, Kind.STARTED, {"lease_until_ms": api.clock.now_ms() + 9000})
    api.project()
    assert ids(api, agent="sleep") == [sleeping]
    assert ids(api, lane="critical") == ids(api, session="s") == [critical]
    assert ids(api, status="scheduled") == [delayed]
    assert ids(api, status="dead_lettered") == [dead]
    assert ids(api, status="running") == [running]
    assert ids(api, status="queued", agent="echo", lane="standard") == [plain]
    assert ids(api, status="cancelled") == []
    created = api.call("GET", f"/v1/tasks/{delayed}").json()["created_at"]
    assert ids(api, created_after=created) == [running, dead, delayed]


def test_pages_lead_to_every_task_once(api: Api) -> None:
    tasks = [submitted(api) for _ in range(7)]
    seen, query = [], {"limit": "3"}
    while True:
        page = api.call("GET", "/v1/tasks", query=query).json()
        assert len(page["items"]) <= 3
        seen += [item["id"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert seen == tasks[::-1]


def test_twenty_come_at_a_time(api: Api) -> None:
    for _ in range(25):
        submitted(api)
    page = api.call("GET", "/v1/tasks").json()
    assert (len(page["items"]), page["next_cursor"] is None) == (20, False)


def test_another_tenants_cursor_leads_nowhere(api: Api) -> None:
    for _ in range(3):
        submitted(api)
    cursor = api.call("GET", "/v1/tasks", query={"limit": "1"}).json()["next_cursor"]
    answer = api.call("GET", "/v1/tasks", query={"cursor": cursor}, authorizer=identity("umbrella"))
    assert answer.problem(422, "invalid-input")["errors"][0]["path"] == "?cursor"


@pytest.mark.parametrize(
    "query",
    [
        {"status": "done"},
        {"status": ""},
        {"status": "QUEUED"},
        {"agent": ""},
        {"agent": "x" * 129},
        {"lane": "x" * 65},
        {"session": ""},
        {"session": "x" * 257},
        {"created_after": "yesterday"},
        {"created_after": "2030-13-01T00:00:00Z"},
        {"created_after": "1700000000"},
        {"limit": "0"},
        {"limit": "101"},
        {"limit": "-1"},
        {"limit": "1e1"},
        {"limit": "9" * 400},
        {"cursor": "x"},
        {"cursor": ""},
        {"cursor": "x" * 5000},
        {"offset": "5"},
        {"Status": "queued"},
    ],
)
def test_a_wrong_query_is_named_and_nothing_repeated(api: Api, query: dict[str, str]) -> None:
    submitted(api)
    found = api.call("GET", "/v1/tasks", query=query).problem(422, "invalid-input")
    assert [error["path"] for error in found["errors"]] == [f"?{next(iter(query))}"]
    assert len(json.dumps(found)) < 1000


def test_what_is_large_is_left_out_and_named(api: Api) -> None:
    large = "x" * 5000
    task_id = submitted(api, input=large, labels={str(number): "y" * 256 for number in range(16)})
    api.finish(task_id, large)
    [item] = listed(api)
    assert (item["input"], item["output"], item["labels"]) == (None, None, None)
    assert item["omitted"] == ["input", "output", "labels"]
    shown = api.call("GET", f"/v1/tasks/{task_id}").json()
    assert (shown["input"], shown["output"]) == (large, large)
    assert shown.keys() == item.keys() - {"omitted"}


def test_small_values_are_shown_and_nothing_is_named(api: Api) -> None:
    task_id = submitted(api, input="x" * 500)
    api.finish(task_id, None)
    [item] = listed(api)
    assert (item["input"], item["output"]) == ("x" * 500, None)
    assert "omitted" not in item


@pytest.mark.parametrize("character", ["ä", "\x00"])
def test_a_hundred_tasks_as_large_as_they_are_shown_fit_a_response(api: Api, character: str) -> None:
    labels = {str(number): character * 100 for number in range(6)}
    body = {"agent": "echo", "input": character * 150, "session": character * 256, "labels": labels}
    for _ in range(100):
        api.kill(api.submit(body).json()["id"], character * 1000)
    api.project()
    assert len(listed(api, limit="100")) == 100
