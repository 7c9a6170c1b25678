"""`/v1/dead-letters`: seen whole, grouped, redriven; for operators, over all tenants."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from flotilla.agents.catalog import Catalog
from flotilla.read_model import UnreadableMessage
from flotilla.services.triage import MAX_BODY_CHARACTERS
from tests.gateway_events import identity
from tests.unit.api.api import CATALOG, Api

PATH = "/v1/dead-letters"
NONE = "tsk_" + "0" * 32


@pytest.fixture
def api() -> Api:
    return Api()


def dead(api: Api, message: str = "it broke", tenant: str = "acme", agent: str = "echo") -> str:
    body = {"agent": agent, "input": {"seconds": 1}}
    task_id = str(api.call("POST", "/v1/tasks", body, authorizer=identity(tenant)).json()["id"])
    api.kill(task_id, message)
    api.clock.advance(1)
    api.project()
    return task_id


def unreadable(api: Api, body: str = "{", number: int = 1) -> None:
    message = UnreadableMessage(f"m{number}", "standard", body, "not a task message: task_id", api.clock.now_ms())
    asyncio.run(api.read_model.put_unreadable(message))
    api.clock.advance(1)


def listed(api: Api, **query: str) -> list[dict[str, Any]]:
    answer = api.call("GET", PATH, query=query)
    assert answer.status == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


def test_a_dead_letter_is_told_whole(api: Api) -> None:
    task_id = dead(api, "order 4711 was not found", tenant="umbrella")
    [item] = listed(api)
    assert item == {
        "id": task_id,
        "task_id": task_id,
        "tenant": "umbrella",
        "agent": "echo",
        "lane": "standard",
        "cause": "broken: order <n> was not found",
        "fingerprint": item["fingerprint"],
        "message": "order 4711 was not found",
        "attempts": 1,
        "dead_lettered_at": "2023-11-14T22:13:20.000Z",
        "links": {
            "self": f"/v1/tasks/{task_id}",
            "events": f"/v1/tasks/{task_id}/events",
            "redrive": f"/v1/tasks/{task_id}/redrive",
        },
    }


def test_a_message_that_nobody_can_read_is_told_with_its_body(api: Api) -> None:
    unreadable(api, '{"not": "a task"}')
    [item] = listed(api)
    assert (item["id"], item["message_id"], item["task_id"], item["agent"]) == ("m1", "m1", None, None)
    assert (item["lane"], item["body"], item["reason"]) == ("standard", '{"not": "a task"}', item["message"])
    assert item["dead_lettered_at"] == "2023-11-14T22:13:20.000Z"
    assert "body_url" not in item
    assert {*item} >= {"cause", "fingerprint", "attempts", "tenant", "links"}


@pytest.mark.parametrize("character", ["x", "ä", "\x00", "\U0001f600", '"'])
def test_a_hundred_long_bodies_fit_a_response_and_each_is_linked_whole(api: Api, character: str) -> None:
    for number in range(100):
        unreadable(api, character * MAX_BODY_CHARACTERS, number)
    items = listed(api, limit="100")
    assert len(items) == 100
    assert all(item["body_url"].startswith("https://link.example/") for item in items)


def test_the_newest_come_first_in_pages(api: Api) -> None:
    tasks = [dead(api) for _ in range(5)]
    seen, query = [], {"limit": "2"}
    while True:
        page = api.call("GET", PATH, query=query).json()
        seen += [item["task_id"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert seen == tasks[::-1]


def test_a_cause_is_found_by_its_text_and_by_its_fingerprint(api: Api) -> None:
    one, other = dead(api, "number 1"), dead(api, "another")
    sleeping = dead(api, "number 2", agent="sleep")
    unreadable(api)
    [found] = [item for item in listed(api) if item["task_id"] == one]
    assert [item["task_id"] for item in listed(api, cause=found["fingerprint"])] == [one]
    assert [item["task_id"] for item in listed(api, cause=found["cause"])] == [sleeping, one]
    assert [item["task_id"] for item in listed(api, cause=found["cause"], agent="echo")] == [one]
    assert [item["task_id"] for item in listed(api, agent="echo")] == [other, one]
    assert listed(api, agent="nobody") == []


@pytest.mark.parametrize(
    "query",
    [
        {"limit": "0"},
        {"limit": "101"},
        {"limit": "2.0"},
        {"limit": " 2"},
        {"limit": "٣"},
        {"agent": ""},
        {"agent": "x" * 129},
        {"cause": ""},
        {"cause": "x" * 257},
        {"cursor": "x"},
        {"cursor": ""},
        {"cursor": "ü"},
        {"cursor": "x" * 2049},
        {"causes": "x"},
        {"": "x"},
    ],
)
def test_a_wrong_query_is_named(api: Api, query: dict[str, str]) -> None:
    dead(api)
    found = api.call("GET", PATH, query=query).problem(422, "invalid-input")
    assert found["errors"][0]["path"] == f"?{next(iter(query))}"


def test_groups_count_what_is_alike(api: Api) -> None:
    for number in range(3):
        newest = dead(api, f"number {number}")
    other = dead(api, "another")
    unreadable(api)
    answer = api.call("GET", f"{PATH}/groups")
    groups = answer.json()
    assert (groups["next_cursor"], groups["complete"]) == (None, True)
    first = groups["items"][0]
    assert first == {
        "agent": "echo",
        "cause": "broken: number <n>",
        "fingerprint": first["fingerprint"],
        "count": 3,
        "newest_at": "2023-11-14T22:13:22.000Z",
        "sample_task_id": newest,
    }
    assert {(group["agent"], group["sample_task_id"]) for group in groups["items"][1:]} == {
        ("echo", other),
        (None, None),
    }
    assert len(listed(api, cause=first["fingerprint"])) == 3
    api.call("GET", f"{PATH}/groups", query={"agent": "echo"}).problem(422, "invalid-input")


def redrive(api: Api, body: dict[str, Any]) -> dict[str, Any]:
    answer = api.call("POST", f"{PATH}/redrive", body)
    assert answer.status == 200, answer.text
    report: dict[str, Any] = answer.json()
    return report


def test_a_group_is_redriven_dry_run_first(api: Api) -> None:
    tasks = [dead(api, f"number {number}", tenant=tenant) for number, tenant in enumerate(("acme", "umbrella"))]
    left = dead(api, "another")
    wanted = {"filter": {"agent": "echo", "cause": "broken: number <n>"}}
    dry = redrive(api, wanted | {"dry_run": True})
    assert (dry["matched"], dry["redriven"], dry["remaining"], dry["dry_run"], dry["next_cursor"]) == (
        2,
        0,
        0,
        True,
        None,
    )
    assert {item["outcome"] for item in dry["items"]} == {"would_redrive"}
    assert not any(api.messages(task_id)[1:] for task_id in tasks)
    done = redrive(api, wanted)
    assert (done["matched"], done["redriven"], done["remaining"], done["dry_run"]) == (2, 2, 0, False)
    assert {item["task_id"] for item in done["items"]} == set(tasks)
    assert done["items"][0].keys() == {"task_id", "agent", "cause", "outcome"}
    assert all(len(api.messages(task_id)) == 2 for task_id in tasks)
    assert len(api.messages(left)) == 1
    again = redrive(api, wanted)
    assert {item["outcome"] for item in again["items"]} == {"nothing"}


def test_all_of_them_is_a_filter_too(api: Api) -> None:
    tasks = {dead(api), dead(api, agent="sleep")}
    unreadable(api)
    done = redrive(api, {"filter": {}})
    assert {item["task_id"] for item in done["items"]} == tasks
    assert done["redriven"] == 2


def test_tasks_are_redriven_by_id_whoevers_they_are(api: Api) -> None:
    task_id = dead(api, tenant="umbrella")
    done = redrive(api, {"ids": [task_id, NONE, task_id]})
    assert [item["outcome"] for item in done["items"]] == ["redriven", "not_found", "nothing"]
    assert done["items"][0]["cause"] == "broken: it broke"


def test_a_single_task_gets_a_corrected_input(api: Api) -> None:
    task_id = dead(api, agent="sleep", tenant="umbrella")
    body = {"ids": [task_id], "input": {"seconds": 5}}
    assert redrive(api, body | {"dry_run": True})["items"][0]["outcome"] == "would_redrive"
    assert redrive(api, body)["redriven"] == 1
    assert api.messages(task_id)[-1].input.inline == {"seconds": 5}


def test_what_cannot_be_redriven_says_why(api: Api) -> None:
    task_id = dead(api)
    api.catalog = Catalog({spec.name: spec for spec in CATALOG if spec.name != "echo"})
    [item] = redrive(api, {"ids": [task_id]})["items"]
    assert (item["outcome"], item["detail"]) == ("failed", "Its agent is no longer deployed.")


def test_a_rate_is_kept_and_a_call_ends_in_time(api: Api) -> None:
    tasks = [dead(api) for _ in range(30)]
    began_ms = api.clock.now_ms()
    body: dict[str, Any] = {"filter": {}, "rate_per_second": 1}
    first = redrive(api, body)
    assert api.clock.now_ms() - began_ms <= 23_000
    assert (first["redriven"], first["remaining"], first["matched"]) == (21, 9, 30)
    second = redrive(api, body | {"cursor": first["next_cursor"]})
    assert (second["redriven"], second["remaining"], second["next_cursor"]) == (9, 0, None)
    assert {item["task_id"] for item in first["items"] + second["items"]} == set(tasks)


def test_a_call_that_has_little_time_left_keeps_some_for_its_answer(api: Api) -> None:
    tasks = [dead(api) for _ in range(5)]
    answer = api.send(
        {
            "rawPath": f"{PATH}/redrive",
            "headers": {"content-type": "application/json"},
            "requestContext": {"http": {"method": "POST"}, "requestId": "r", "authorizer": {"lambda": identity()}},
            "body": json.dumps({"ids": tasks, "rate_per_second": 0.5}),
        },
        seconds=8,
    )
    report = answer.json()
    assert (answer.status, report["redriven"], report["remaining"], report["next_cursor"]) == (200, 2, 3, "2")


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "/filter"),
        ({"filter": {}, "ids": [NONE]}, "/filter"),
        ({"filter": None, "ids": None}, "/filter"),
        ({"filter": []}, "/filter"),
        ({"filter": {"tenant": "acme"}}, "/filter/tenant"),
        ({"filter": {"agent": 1}}, "/filter/agent"),
        ({"filter": {"cause": "x" * 257}}, "/filter/cause"),
        ({"ids": []}, "/ids"),
        ({"ids": [NONE] * 501}, "/ids"),
        ({"ids": ["tsk_1"]}, "/ids/0"),
        ({"ids": [NONE + "\n"]}, "/ids/0"),
        ({"ids": [5]}, "/ids/0"),
        ({"filter": {}, "dry_run": "yes"}, "/dry_run"),
        ({"filter": {}, "dry_run": 1}, "/dry_run"),
        ({"filter": {}, "rate_per_second": 0}, "/rate_per_second"),
        ({"filter": {}, "rate_per_second": 101}, "/rate_per_second"),
        ({"filter": {}, "rate_per_second": "5"}, "/rate_per_second"),
        ({"filter": {}, "input": {}}, "/input"),
        ({"ids": [NONE, NONE], "input": {}}, "/input"),
        ({"filter": {}, "cursor": "x"}, "/cursor"),
        ({"filter": {}, "cursor": ".x"}, "/cursor"),
        ({"ids": [NONE], "cursor": "2"}, "/cursor"),
        ({"ids": [NONE], "cursor": 0}, "/cursor"),
        ({"filter": {}, "surprise": 1}, "/surprise"),
    ],
)
def test_a_wrong_order_is_named_and_nothing_is_done(api: Api, body: dict[str, Any], path: str) -> None:
    task_id = dead(api)
    found = api.call("POST", f"{PATH}/redrive", body).problem(422, "invalid-input")
    assert [error["path"] for error in found["errors"]] == [path]
    assert len(api.messages(task_id)) == 1


def test_a_corrected_input_must_be_what_the_agent_takes(api: Api) -> None:
    task_id = dead(api, agent="sleep")
    body = {"ids": [task_id], "input": {"seconds": "long"}}
    for dry_run in (True, False):
        answer = api.call("POST", f"{PATH}/redrive", body | {"dry_run": dry_run})
        assert answer.problem(422, "invalid-input")["errors"][0]["path"] == "/input/seconds"
    assert len(api.messages(task_id)) == 1


def test_a_redrive_needs_a_body(api: Api) -> None:
    api.call("POST", f"{PATH}/redrive").problem(400, "malformed-json")
