"""Looking at tasks, their logs and the agents; and what the log line of a request says."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from typing import Any

import pytest

from flotilla.events import Kind, fold, verify_chain
from flotilla.models import Payload, canonical_json
from tests.gateway_events import identity
from tests.logs import log_of
from tests.unit.api.api import Api

ERROR = {"code": "busy", "message": "try later", "retryable": True}


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def task_id(api: Api) -> str:
    return str(api.submit().json()["id"])


def task(api: Api, task_id: str, **headers: str) -> dict[str, Any]:
    answer = api.call("GET", f"/v1/tasks/{task_id}", headers=headers)
    assert answer.status == 200
    value: dict[str, Any] = answer.json()
    return value


def test_a_task_is_told_at_every_turn(api: Api, task_id: str) -> None:
    assert task(api, task_id)["status"] == "queued"
    api.append(task_id, Kind.STARTED, {"lease_until_ms": api.clock.now_ms() + 9000})
    api.clock.advance(1.5)
    assert (task(api, task_id)["status"], task(api, task_id)["started_at"]) == ("running", "2023-11-14T22:13:20.000Z")
    api.append(task_id, Kind.ATTEMPT_FAILED, {"error": ERROR, "next_attempt_ms": api.clock.now_ms() + 2000})
    retrying = task(api, task_id)
    assert (retrying["status"], retrying["error"], retrying["due_at"]) == (
        "retrying",
        ERROR,
        "2023-11-14T22:13:23.500Z",
    )
    api.finish(task_id, [1])
    done = task(api, task_id)
    assert (done["status"], done["output"], done["error"], done["due_at"]) == ("succeeded", [1], None, None)
    assert done["finished_at"] == "2023-11-14T22:13:21.500Z"
    assert done["links"] == {"self": f"/v1/tasks/{task_id}", "events": f"/v1/tasks/{task_id}/events"}


def test_a_long_poll_ends_with_the_task_or_with_its_time(api: Api, task_id: str) -> None:
    began_ms = api.clock.now_ms()
    assert task(api, task_id, Prefer="wait=4")["status"] == "queued"
    assert api.clock.now_ms() - began_ms == 4000
    api.finish(task_id)
    assert task(api, task_id, Prefer="wait=25")["status"] == "succeeded"
    assert api.clock.now_ms() - began_ms == 4000


def stored(api: Api, value: Any) -> dict[str, Any]:
    """Let a worker put a value into the payload store."""
    content = canonical_json(value).encode()
    asyncio.run(api.payloads.put("tenants/acme/a-key.json", content))
    digest = hashlib.sha256(content).hexdigest()
    return Payload(ref="tenants/acme/a-key.json", size_bytes=len(content), sha256=digest).to_json()


def test_an_output_in_the_store_is_shown_inline_and_a_very_large_one_as_a_link(api: Api, task_id: str) -> None:
    api.append(task_id, Kind.STARTED, {"lease_until_ms": 0})
    api.append(task_id, Kind.SUCCEEDED, {"output": stored(api, "x" * 5000)})
    shown = task(api, task_id)
    assert shown["output"] == "x" * 5000
    assert "output_url" not in shown
    events = api.memory.logs[task_id]
    large = {"ref": "k" * 20, "bytes": 1_048_577, "sha256": "0" * 64}
    del events[2]
    api.append(task_id, Kind.SUCCEEDED, {"output": large})
    shown = task(api, task_id)
    assert (shown["output"], shown["output_url"]) == (None, "https://link.example/20")


def test_a_task_is_shown_though_its_output_is_gone_from_the_store(api: Api, task_id: str) -> None:
    api.append(task_id, Kind.STARTED, {"lease_until_ms": 0})
    gone = {"ref": "tenants/acme/gone.json", "bytes": 5000, "sha256": "0" * 64}
    api.append(task_id, Kind.SUCCEEDED, {"output": gone})
    shown = task(api, task_id)
    assert (shown["status"], shown["output"], shown["omitted"]) == ("succeeded", None, ["output"])
    assert shown["input"] == {"value": 1}


@pytest.mark.parametrize("character", ["ä", '"', "\\", "\U0001f600", "\x00"])
def test_the_largest_task_that_is_shown_inline_fits_a_response(api: Api, character: str) -> None:
    room = 1_000_000 // len(json.dumps(character, ensure_ascii=False).encode())
    large = character * room
    task_id = api.submit({"agent": "echo", "input": large}).json()["id"]
    api.append(task_id, Kind.STARTED, {"lease_until_ms": 0})
    api.append(task_id, Kind.SUCCEEDED, {"output": stored(api, large)})
    shown = task(api, task_id)
    assert shown["input"] == large
    assert shown["output"] == large


def test_the_log_is_told_in_order_and_whole_enough_to_be_verified(api: Api, task_id: str) -> None:
    api.append(task_id, Kind.STARTED, {"lease_until_ms": api.clock.now_ms() + 9000, "solo": True})
    api.append(task_id, Kind.STEP_RECORDED, {"step": "a", "result": {"ref": "key-x", "bytes": 9, "sha256": "ab"}})
    answer = api.call("GET", f"/v1/tasks/{task_id}/events").json()
    assert answer["next_cursor"] is None
    accepted, started, step = answer["items"]
    assert [event["seq"] for event in answer["items"]] == [0, 1, 2]
    assert (accepted["kind"], accepted["actor"], accepted["input"]) == ("accepted", "key:k1", {"inline": {"value": 1}})
    assert (started["lease_until"], started["solo"], started["attempt"]) == ("2023-11-14T22:13:29.000Z", True, 1)
    assert (step["step"], step["result"]) == ("a", {"bytes": 9, "sha256": "ab"})
    assert "key-x" not in json.dumps(answer)
    assert started["prev_hash"] == accepted["hash"]
    verify_chain(api.events(task_id))


def test_a_value_that_only_looks_like_a_reference_is_left_as_it_is(api: Api) -> None:
    value = {"ref": "r", "bytes": 1, "sha256": "s"}
    task_id = api.submit({"agent": "echo", "input": value}).json()["id"]
    [event] = api.call("GET", f"/v1/tasks/{task_id}/events").json()["items"]
    assert event["input"] == {"inline": value}
    assert task(api, task_id)["input"] == value


def test_a_log_comes_in_pages(api: Api, task_id: str) -> None:
    for number in range(10):
        api.append(task_id, Kind.STEP_RECORDED, {"step": str(number), "result": {"inline": None}})
    query: dict[str, str] = {"limit": "4"}
    seen: list[int] = []
    page: dict[str, Any] = {}
    for _ in range(3):
        page = api.call("GET", f"/v1/tasks/{task_id}/events", query=query).json()
        seen += [event["seq"] for event in page["items"]]
        query["cursor"] = page["next_cursor"]
    assert seen == list(range(11))
    assert page["next_cursor"] is None


def test_a_page_fits_a_response_however_large_the_events_are(api: Api, task_id: str) -> None:
    for number in range(10):
        api.append(task_id, Kind.STEP_RECORDED, {"step": str(number), "result": {"inline": "x" * 900_000}})
    page = api.call("GET", f"/v1/tasks/{task_id}/events")
    assert len(page.text) < 3_000_000
    following = api.call("GET", f"/v1/tasks/{task_id}/events", query={"cursor": page.json()["next_cursor"]}).json()
    assert following["items"][0]["seq"] == page.json()["items"][-1]["seq"] + 1


@pytest.mark.parametrize(
    "query",
    [
        {"limit": "0"},
        {"limit": "1001"},
        {"limit": "x"},
        {"limit": ""},
        {"cursor": "-1"},
        {"cursor": "9" * 50},
        {"cursor": "٣"},
    ],
)
def test_a_wrong_page_is_invalid(api: Api, task_id: str, query: dict[str, str]) -> None:
    found = api.call("GET", f"/v1/tasks/{task_id}/events", query=query).problem(422, "invalid-input")
    assert found["errors"][0]["path"] == f"?{next(iter(query))}"


def test_every_kind_of_event_can_be_shown(api: Api) -> None:
    terminal = {Kind.SUCCEEDED, Kind.DEAD_LETTERED, Kind.CANCELLED, Kind.EXPIRED}
    going_on = [kind for kind in Kind if kind not in terminal | {Kind.ACCEPTED, Kind.REDRIVEN}]
    for last in sorted(terminal):
        task_id = "tsk_" + last.encode().hex()[:8] * 4
        events = log_of(*going_on, last, Kind.REDRIVEN, task_id=task_id)
        api.memory.logs[task_id] = {event.seq: event for event in events}
        assert task(api, task_id)["status"] == fold(events).status.value
        items = api.call("GET", f"/v1/tasks/{task_id}/events").json()["items"]
        assert [item["kind"] for item in items] == [event.kind.value for event in events]
        assert not [name for item in items for name in item if name.endswith("_ms") and name != "duration_ms"]


def test_agents_are_listed_with_what_a_client_must_know(api: Api) -> None:
    answer = api.call("GET", "/v1/agents").json()
    assert answer["next_cursor"] is None
    echo, sleep = answer["items"]
    members = {"name", "version", "lane", "input_schema", "output_schema", "integrations", "routes", "state", "pause"}
    assert echo.keys() == members
    assert (echo["name"], echo["version"], echo["lane"], echo["state"]) == ("echo", "7", "standard", "active")
    assert (sleep["lane"], sleep["integrations"]) == ("batch", ["bedrock"])
    assert sleep["input_schema"]["required"] == ["seconds"]


def test_alive_needs_no_key_and_no_store(api: Api) -> None:
    answer = api.call("GET", "/healthz", authorizer=None)
    assert (answer.status, answer.json()) == (200, {"status": "ok"})


def test_no_answer_is_cached_or_sniffed(api: Api) -> None:
    for path in ("/healthz", "/v1/agents", "/nothing"):
        headers = api.call("GET", path).headers
        assert (headers["cache-control"], headers["x-content-type-options"]) == ("no-store", "nosniff")


def test_each_request_is_one_log_line_with_its_keys_and_never_its_body(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="flotilla.api")
    body = {"agent": "echo", "input": "a-private-matter"}
    trace = "Root=1-67891233-abcdef012345678912345678"
    sent = {"authorization": "Bearer flt_secret", "x-amzn-trace-id": trace, "idempotency-key": "a-private-key"}
    answer = api.call("POST", "/v1/tasks", body, headers=sent, authorizer=identity(key_id="k7"))
    [line] = caplog.records
    assert line.getMessage() == "request"
    said = {name: getattr(line, name) for name in ("method", "route", "status", "tenant", "key_id", "trace_id")}
    assert said == {
        "method": "POST",
        "route": "/v1/tasks",
        "status": 202,
        "tenant": "acme",
        "key_id": "k7",
        "trace_id": "67891233abcdef012345678912345678",
    }
    assert line.__dict__["task_id"] == answer.json()["id"]
    assert line.__dict__["ms"] >= 0
    assert not [word for word in ("private", "flt_") if word in str(line.__dict__)]


def test_a_refused_request_is_logged_by_its_problem(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="flotilla.api")
    api.call("GET", "/v1/tasks/" + "x" * 200)
    api.call("GET", "/" + "y" * 200)
    assert [(line.__dict__["route"], line.__dict__["problem"]) for line in caplog.records] == [
        ("/v1/tasks/{task_id}", "not-found"),
        (None, "not-found"),
    ]
    assert not [line for line in caplog.records if "x" * 200 in str(line.__dict__) or "y" * 200 in str(line.__dict__)]
