"""`POST /v1/tasks/{task_id}/signal`."""

from __future__ import annotations

from typing import Any

import pytest

from flotilla.errors import RetryableError
from flotilla.events import Event, Kind, verify_chain
from flotilla.services.signal import MAX_PAYLOAD_BYTES
from tests.fakes import MemoryEventLog
from tests.gateway_events import Answer, identity
from tests.unit.api.api import Api

NONE = "tsk_" + "0" * 32


@pytest.fixture
def api() -> Api:
    return Api()


def waiting(api: Api, name: str = "decision", **body: Any) -> str:
    task_id = str(api.submit().json()["id"])
    api.wait(task_id, name, **body)
    return task_id


def signal(api: Api, task_id: str, name: Any = "decision", payload: Any = "yes", **options: Any) -> Answer:
    return api.call("POST", f"/v1/tasks/{task_id}/signal", {"name": name, "payload": payload}, **options)


def kinds(api: Api, task_id: str) -> list[str]:
    return [event.kind.value for event in api.events(task_id)]


def test_a_waiting_task_shows_what_it_waits_for(api: Api) -> None:
    until_ms = api.clock.now_ms() + 60_000
    task_id = waiting(api, "decision", until_ms=until_ms, detail={"amount": 3})
    task = api.call("GET", f"/v1/tasks/{task_id}").json()
    assert (task["status"], task["waiting"]) == (
        "waiting",
        {
            "for": "decision",
            "since": "2023-11-14T22:13:20.000Z",
            "until": "2023-11-14T22:14:20.000Z",
            "detail": {"amount": 3},
        },
    )
    told = api.call("GET", f"/v1/tasks/{task_id}/events").json()["items"][-1]
    assert (told["kind"], told["for"], told["until"], told["detail"]) == (
        "waiting",
        "decision",
        "2023-11-14T22:14:20.000Z",
        {"amount": 3},
    )


def test_a_signal_sets_the_task_going_and_is_in_its_log(api: Api) -> None:
    task_id = waiting(api)
    answer = signal(api, task_id, payload={"approved": True})
    task = answer.json()
    assert (answer.status, answer.headers["location"]) == (202, f"/v1/tasks/{task_id}")
    assert (task["id"], task["status"], task["waiting"]) == (task_id, "queued", None)
    assert "idempotent-replay" not in answer.headers
    last = api.events(task_id)[-1]
    assert (last.kind, last.actor, last.body["payload"]) == (Kind.SIGNALLED, "key:k1", {"approved": True})
    verify_chain(api.events(task_id))
    assert [message.seq for message in api.messages(task_id)] == [0, 3]


def test_the_same_again_is_a_replay_and_another_is_a_conflict(api: Api) -> None:
    task_id = waiting(api)
    signal(api, task_id)
    again = signal(api, task_id)
    assert (again.status, again.headers["idempotent-replay"], again.json()["status"]) == (202, "true", "queued")
    signal(api, task_id, payload="no").problem(409, "already-signalled")
    assert kinds(api, task_id).count("signalled") == 1


def test_without_a_payload_it_is_null(api: Api) -> None:
    task_id = waiting(api)
    assert api.call("POST", f"/v1/tasks/{task_id}/signal", {"name": "decision"}).status == 202
    assert api.events(task_id)[-1].body["payload"] is None


def test_who_does_not_wait_for_it_is_a_conflict_that_says_what_it_does(api: Api) -> None:
    task_id = waiting(api, "other")
    assert signal(api, task_id).problem(409, "not-waiting")["detail"] == "The task waits for other."
    queued = str(api.submit({"agent": "echo", "input": 2}).json()["id"])
    assert signal(api, queued).problem(409, "not-waiting")["detail"] == "The task is queued."
    api.finish(queued)
    assert signal(api, queued).problem(409, "not-waiting")["detail"] == "The task is succeeded."


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "/name"),
        ({"name": ""}, "/name"),
        ({"name": 1}, "/name"),
        ({"name": "x" * 97}, "/name"),
        ({"name": "decision", "value": 1}, "/value"),
        ({"name": "decision", "payload": "x" * (MAX_PAYLOAD_BYTES - 1)}, "/payload"),
        ([], ""),
    ],
)
def test_a_wrong_body_is_named_and_nothing_is_given(api: Api, body: Any, path: str) -> None:
    task_id = waiting(api)
    found = api.call("POST", f"/v1/tasks/{task_id}/signal", body).problem(422, "invalid-input")
    assert [error["path"] for error in found["errors"]] == [path]
    assert kinds(api, task_id)[-1] == "waiting"


def test_the_largest_payload_is_none_too_large(api: Api) -> None:
    assert signal(api, waiting(api), payload="x" * (MAX_PAYLOAD_BYTES - 2)).status == 202


def test_bodies_are_held_to_what_all_bodies_are(api: Api) -> None:
    path = f"/v1/tasks/{waiting(api)}/signal"
    api.call("POST", path).problem(400, "malformed-json")
    api.call("POST", path, "{").problem(400, "malformed-json")
    api.call("POST", path, "{}", headers={"content-type": "text/plain"}).problem(415, "unsupported-media-type")
    api.call("POST", path, "x" * 5_000_000).problem(413, "too-large")


def test_it_takes_a_key_that_may_write(api: Api) -> None:
    task_id = waiting(api)
    signal(api, task_id, authorizer=identity(scopes="tasks:read operate")).problem(403, "missing-scope")
    signal(api, task_id, authorizer={"outcome": "missing"}).problem(401, "unauthenticated")
    assert kinds(api, task_id)[-1] == "waiting"


def test_another_tenants_task_looks_exactly_like_none(api: Api) -> None:
    task_id = waiting(api)
    theirs = signal(api, task_id, authorizer=identity("umbrella"))
    none = signal(api, NONE, authorizer=identity("umbrella"))
    differing = {"instance": f"/v1/tasks/{task_id}/signal", "request_id": theirs.json()["request_id"]}
    assert theirs.problem(404, "not-found") == none.problem(404, "not-found") | differing
    assert theirs.headers == none.headers
    assert kinds(api, task_id)[-1] == "waiting"


def test_a_store_that_does_not_answer_is_503_to_be_tried_again(api: Api) -> None:
    class SilentLog(MemoryEventLog):
        async def append(self, event: Event) -> Event | None:
            raise RetryableError("events-table-x: connection refused", code="event_log_unavailable")

    task_id = waiting(api)
    silent = SilentLog()
    silent.logs = api.memory.logs
    api.log = silent
    assert signal(api, task_id).problem(503, "unavailable")["retryable"] is True
    api.log = None
    assert signal(api, task_id).status == 202
