"""Every row of the error table, each with its exact answer and without a word too many."""

from __future__ import annotations

import json
from typing import Any

import pytest

from flotilla.errors import RetryableError
from flotilla.events import Event
from flotilla.models import TaskMessage
from functions.api.application import Application
from functions.api.gateway import MAX_BODY_BYTES
from functions.api.routing import Router
from tests.fakes import MemoryEventLog, MemoryLanes
from tests.gateway_events import http_event, identity
from tests.unit.api.api import Api

ECHO = {"agent": "echo", "input": 1}
TASK = "/v1/tasks/tsk_" + "0" * 32


@pytest.fixture
def api() -> Api:
    return Api()


def test_an_unknown_path_is_404_with_or_without_a_key(api: Api) -> None:
    for path in ("/", "/v1", "/v1/nothing", "/v1/tasks/", "/v1/tasks/a/b", "/v1/tasks\n", "//v1/tasks", "/V1/tasks"):
        assert api.call("GET", path).problem(404, "not-found")["instance"]
        api.send(http_event("GET", path)).problem(404, "not-found")


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("DELETE", "/v1/tasks", "GET, POST, HEAD"),
        ("GET", TASK + "/cancel", "POST"),
        ("PUT", "/v1/dead-letters/groups", "GET, HEAD"),
        ("DELETE", TASK, "GET, HEAD"),
        ("POST", "/healthz", "GET, HEAD"),
        ("BREW", "/v1/agents", "GET, HEAD"),
        ("", "/v1/agents", "GET, HEAD"),
    ],
)
def test_a_wrong_method_is_405_and_says_which_are_right(api: Api, method: str, path: str, allow: str) -> None:
    answer = api.call(method, path)
    answer.problem(405, "method-not-allowed")
    assert answer.headers["allow"] == allow


def test_head_answers_as_get_does_without_the_body(api: Api) -> None:
    answer = api.call("HEAD", "/healthz")
    assert (answer.status, answer.text) == (200, "")


@pytest.mark.parametrize(
    ("authorizer", "error"),
    [
        (None, ""),
        ({}, ""),
        ({"outcome": "missing"}, ""),
        ({"outcome": "unknown"}, "invalid_token"),
        ({"outcome": "malformed"}, "invalid_token"),
        ({"outcome": "ok"}, ""),
        ({"outcome": "ok", "tenant": "", "key_id": "k", "scopes": "tasks:write"}, ""),
        ({"outcome": "ok", "tenant": "acme", "scopes": "tasks:write"}, ""),
        ({"outcome": "surprise", "tenant": "acme", "key_id": "k", "scopes": "tasks:write"}, ""),
    ],
)
def test_without_an_identity_it_is_401_with_a_challenge(api: Api, authorizer: Any, error: str) -> None:
    answer = api.call("POST", "/v1/tasks", ECHO, authorizer=authorizer)
    answer.problem(401, "unauthenticated")
    challenge = answer.headers["www-authenticate"]
    assert challenge.startswith('Bearer realm="flotilla"')
    assert ("error" in challenge) == bool(error)
    assert error in challenge
    assert api.memory.appends == 0


def test_when_keys_cannot_be_checked_it_is_503_and_not_401(api: Api) -> None:
    answer = api.call("POST", "/v1/tasks", ECHO, authorizer={"outcome": "unavailable"})
    assert answer.problem(503, "unavailable")["retryable"] is True
    assert int(answer.headers["retry-after"]) > 0


@pytest.mark.parametrize(
    ("method", "path", "scopes", "needs"),
    [
        ("POST", "/v1/tasks", "tasks:read operate", "tasks:write"),
        ("GET", TASK, "tasks:write operate", "tasks:read"),
        ("GET", TASK + "/events", "", "tasks:read"),
        ("GET", "/v1/agents", "tasks:read tasks:write operates", "operate"),
        ("GET", "/v1/tasks", "tasks:write operate", "tasks:read"),
        ("POST", TASK + "/cancel", "tasks:read operate", "tasks:write"),
        ("POST", TASK + "/redrive", "tasks:read operate", "tasks:write"),
        ("GET", "/v1/dead-letters", "tasks:read tasks:write", "operate"),
        ("GET", "/v1/dead-letters/groups", "tasks:read tasks:write", "operate"),
        ("POST", "/v1/dead-letters/redrive", "tasks:read tasks:write", "operate"),
    ],
)
def test_without_the_scope_it_is_403_and_names_it(api: Api, method: str, path: str, scopes: str, needs: str) -> None:
    answer = api.call(method, path, ECHO, authorizer=identity(scopes=scopes))
    assert needs in answer.problem(403, "missing-scope")["detail"]
    assert f'scope="{needs}"' in answer.headers["www-authenticate"]


@pytest.mark.parametrize("body", ["", '{"agent":', "[" * 100_000, "1e999", '{"a":1,"a":2}', b"\xff\xfe", b'{"agent":'])
def test_malformed_json_is_400(api: Api, body: str | bytes) -> None:
    api.call("POST", "/v1/tasks", body).problem(400, "malformed-json")


def test_a_body_said_to_be_base64_and_is_not_is_400(api: Api) -> None:
    event = http_event("POST", "/v1/tasks", b"{}", authorizer=identity())
    for broken in ("###", "YQ", "ü"):
        api.send(event | {"body": broken}).problem(400, "malformed-json")


def test_bytes_the_gateway_replaced_are_400_and_honest_replacement_characters_are_not(api: Api) -> None:
    text = json.dumps({"agent": "echo", "input": "\ufffd"}, ensure_ascii=False)
    honest = {"content-length": str(len(text.encode()))}
    assert api.call("POST", "/v1/tasks", text, headers=honest).status == 202
    assert api.call("POST", "/v1/tasks", text).status == 202
    replaced = {"content-length": str(len(text.encode()) - 2)}
    api.call("POST", "/v1/tasks", text, headers=replaced).problem(400, "malformed-json")


def test_a_malformed_idempotency_key_is_400(api: Api) -> None:
    api.submit(None, idempotency_key="a b").problem(400, "invalid-header")


def test_an_unknown_agent_is_404(api: Api) -> None:
    found = api.submit({"agent": "no.such", "input": 1}).problem(404, "unknown-agent")
    assert "no.such" not in json.dumps(found)


def test_a_large_body_is_413_with_a_hint_where_to_go(api: Api) -> None:
    whole = json.dumps({"agent": "echo", "input": ""})
    fitting = json.dumps({"agent": "echo", "input": "x" * (MAX_BODY_BYTES - len(whole))})
    assert len(fitting) == MAX_BODY_BYTES
    assert api.call("POST", "/v1/tasks", fitting).status == 202
    assert api.call("POST", "/v1/tasks", fitting.encode()).status == 202
    for larger in (fitting + " ", (fitting + " ").encode(), "é" * MAX_BODY_BYTES, "x" * 5_000_000, b"x" * 5_000_000):
        found = api.call("POST", "/v1/tasks", larger).problem(413, "too-large")
        assert "/v1/uploads" in found["detail"]


@pytest.mark.parametrize("declared", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_another_content_type_is_415(api: Api, declared: str) -> None:
    answer = api.call("POST", "/v1/tasks", ECHO, headers={"content-type": declared})
    answer.problem(415, "unsupported-media-type")


@pytest.mark.parametrize(
    "task_id", ["tsk_" + "0" * 32, "tsk_1", "x", "tsk_" + "g" * 32, "%2e%2e", "tsk_" + "0" * 32 + "\n"]
)
def test_a_task_that_is_not_there_is_404(api: Api, task_id: str) -> None:
    for path in (f"/v1/tasks/{task_id}", f"/v1/tasks/{task_id}/events"):
        api.call("GET", path).problem(404, "not-found")
        api.call("GET", path, headers={"Prefer": "wait=20"}).problem(404, "not-found")


def test_another_tenants_task_looks_exactly_like_none(api: Api) -> None:
    task_id = api.submit().json()["id"]
    for suffix in ("", "/events"):
        theirs = api.call("GET", f"/v1/tasks/{task_id}{suffix}", authorizer=identity("umbrella"))
        none = api.call("GET", f"{TASK}{suffix}", authorizer=identity("umbrella"))
        differing = {"instance": f"/v1/tasks/{task_id}{suffix}", "request_id": theirs.json()["request_id"]}
        assert theirs.problem(404, "not-found") == none.problem(404, "not-found") | differing
        assert theirs.headers == none.headers


class SilentLog(MemoryEventLog):
    """A store that does not answer."""

    async def append(self, event: Event) -> Event | None:
        raise RetryableError("events-table-x: connection refused", code="event_log_unavailable")

    async def read(self, task_id: str) -> list[Event]:
        raise RetryableError("events-table-x: connection refused", retry_after_seconds=6.2)


class SilentLanes(MemoryLanes):
    async def send(self, message: TaskMessage) -> None:
        raise RetryableError("queue-x: connection refused")


def test_a_store_that_does_not_answer_is_503_to_be_tried_again(api: Api) -> None:
    silent = Api(log=SilentLog())
    submit = silent.submit()
    assert submit.problem(503, "unavailable")["retryable"] is True
    assert submit.headers["retry-after"] == "2"
    get = silent.call("GET", TASK)
    get.problem(503, "unavailable")
    assert get.headers["retry-after"] == "7"
    assert "events-table-x" not in submit.text + get.text
    no_lane = Api(lanes=SilentLanes())
    no_lane.submit().problem(503, "unavailable")


def test_a_submit_that_failed_half_way_is_made_whole_by_its_repetition(api: Api) -> None:
    broken = Api(memory=api.memory, lanes=SilentLanes())
    broken.submit(None, idempotency_key="k").problem(503, "unavailable")
    assert not api.lanes.sent
    assert api.submit(None, idempotency_key="k").status == 202
    assert len(api.lanes.sent) == 1


def test_no_answer_in_time_is_503(api: Api) -> None:
    event = http_event("GET", TASK, authorizer=identity())
    api.send(event, seconds=0).problem(503, "unavailable")


class BrokenLog(MemoryEventLog):
    async def read(self, task_id: str) -> list[Event]:
        raise KeyError("secret-of-the-implementation")


def test_a_bug_is_500_and_tells_nothing(api: Api) -> None:
    answer = Api(log=BrokenLog()).call("GET", TASK)
    found = answer.problem(500, "internal-error")
    assert found["retryable"] is False
    assert "secret" not in answer.text
    assert "KeyError" not in answer.text


def test_a_corrupt_log_is_500(api: Api) -> None:
    task_id = api.submit().json()["id"]
    api.finish(task_id)
    del api.memory.logs[task_id][1]
    api.call("GET", f"/v1/tasks/{task_id}").problem(500, "internal-error")


def test_a_function_that_cannot_be_set_up_answers_500() -> None:
    def unset() -> Router:
        raise ValueError("FLOTILLA_EVENTS_TABLE is missing")

    api = Api()
    api.application = Application(unset, api.clock)
    answer = api.call("GET", "/healthz")
    answer.problem(500, "internal-error")
    assert "FLOTILLA" not in answer.text


@pytest.mark.parametrize("event", [{}, {"requestContext": None}, {"rawPath": None, "headers": None, "body": None}])
def test_an_event_of_no_form_at_all_is_answered(api: Api, event: dict[str, Any]) -> None:
    api.send(event).problem(404, "not-found")


def test_the_path_in_a_problem_is_bounded_and_safe(api: Api) -> None:
    found = api.call("GET", '/<"\ud800' + "ü" * 9999).problem(404, "not-found")
    assert found["instance"].isascii()
    assert len(found["instance"]) < 5000
    assert "<" not in found["instance"]
