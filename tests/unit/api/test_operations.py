"""`POST /v1/tasks/{task_id}/cancel` and `/redrive`."""

from __future__ import annotations

from typing import Any

import pytest

from flotilla.agents.catalog import Catalog
from flotilla.errors import RetryableError
from flotilla.events import Event, Kind, verify_chain
from tests.fakes import MemoryEventLog
from tests.gateway_events import identity
from tests.unit.api.api import CATALOG, Api

NONE = "tsk_" + "0" * 32


@pytest.fixture
def api() -> Api:
    return Api()


def submitted(api: Api, body: dict[str, Any] | None = None) -> str:
    return str(api.submit(body).json()["id"])


def kinds(api: Api, task_id: str) -> list[str]:
    return [event.kind.value for event in api.events(task_id)]


def test_a_task_is_cancelled_and_shown_as_it_is_now(api: Api) -> None:
    task_id = submitted(api)
    answer = api.call("POST", f"/v1/tasks/{task_id}/cancel")
    task = answer.json()
    assert (answer.status, answer.headers["location"]) == (202, f"/v1/tasks/{task_id}")
    assert (task["id"], task["status"], task["cancelled"]) == (task_id, "cancelled", True)
    assert task["finished_at"] is not None
    shown = api.call("GET", f"/v1/tasks/{task_id}").json()
    assert task == shown | {"cancelled": True}
    last = api.events(task_id)[-1]
    assert (last.kind, last.actor) == (Kind.CANCELLED, "key:k1")
    verify_chain(api.events(task_id))


def test_cancelling_twice_is_cancelling_once(api: Api) -> None:
    task_id = submitted(api)
    first, again = (api.call("POST", f"/v1/tasks/{task_id}/cancel") for _ in range(2))
    assert (first.json()["cancelled"], again.status, again.json()["cancelled"]) == (True, 202, False)
    assert kinds(api, task_id) == ["accepted", "cancelled"]


def test_a_finished_task_is_answered_as_it_is(api: Api) -> None:
    task_id = submitted(api)
    api.finish(task_id, {"x": 1})
    for what, did in (("cancel", "cancelled"), ("redrive", "redriven")):
        answer = api.call("POST", f"/v1/tasks/{task_id}/{what}")
        assert (answer.status, answer.json()["status"], answer.json()[did]) == (202, "succeeded", False)
        assert answer.json()["output"] == {"x": 1}
    assert kinds(api, task_id) == ["accepted", "started", "succeeded"]
    assert len(api.messages(task_id)) == 1


def test_a_delayed_task_can_be_cancelled(api: Api) -> None:
    task_id = submitted(api, {"agent": "echo", "input": 1, "delay_seconds": 86_400})
    assert api.call("POST", f"/v1/tasks/{task_id}/cancel").json()["status"] == "cancelled"
    assert not api.schedules.waiting


def test_a_dead_letter_is_redriven_and_shown_as_it_is_now(api: Api) -> None:
    task_id = submitted(api)
    api.kill(task_id)
    answer = api.call("POST", f"/v1/tasks/{task_id}/redrive")
    task = answer.json()
    assert (answer.status, answer.headers["location"]) == (202, f"/v1/tasks/{task_id}")
    assert (task["status"], task["redriven"], task["error"]) == ("queued", True, None)
    assert [message.seq for message in api.messages(task_id)] == [0, 3]
    assert api.events(task_id)[-1].actor == "key:k1"
    again = api.call("POST", f"/v1/tasks/{task_id}/redrive")
    assert (again.status, again.json()["status"], again.json()["redriven"]) == (202, "queued", False)
    assert kinds(api, task_id)[3:] == ["redriven"]


@pytest.mark.parametrize("body", [{"input": {"seconds": 2}}, {"input": {"seconds": 0.5}}])
def test_a_corrected_input_takes_the_place_of_the_first(api: Api, body: dict[str, Any]) -> None:
    task_id = submitted(api, {"agent": "sleep", "input": {"seconds": 1}})
    api.kill(task_id)
    task = api.call("POST", f"/v1/tasks/{task_id}/redrive", body).json()
    assert (task["input"], task["redriven"]) == (body["input"], True)
    assert api.messages(task_id)[-1].input.inline == body["input"]


def test_null_is_a_corrected_input_and_a_large_one_lies_elsewhere(api: Api) -> None:
    for value in (None, "x" * 5000):
        task_id = submitted(api)
        api.kill(task_id)
        task = api.call("POST", f"/v1/tasks/{task_id}/redrive", {"input": value}).json()
        assert (task["input"], task["redriven"]) == (value, True)
        assert (api.messages(task_id)[-1].input.ref is None) == (value is None)


def test_an_empty_body_and_an_empty_object_correct_nothing(api: Api) -> None:
    for body in (None, {}, "{}"):
        task_id = submitted(api)
        api.kill(task_id)
        task = api.call("POST", f"/v1/tasks/{task_id}/redrive", body, headers={"content-type": "application/json"})
        assert (task.status, task.json()["input"]) == (202, {"value": 1})


def test_a_call_without_a_body_needs_no_content_type(api: Api) -> None:
    task_id = submitted(api)
    answer = api.call("POST", f"/v1/tasks/{task_id}/cancel", headers={"content-type": ""})
    assert answer.status == 202


@pytest.mark.parametrize(
    ("what", "body", "path"),
    [
        ("redrive", {"input": {"seconds": "long"}}, "/input/seconds"),
        ("redrive", {"input": None}, "/input"),
        ("redrive", {"inputs": 1}, "/inputs"),
        ("redrive", [], ""),
        ("cancel", {"reason": "x"}, "/reason"),
    ],
)
def test_a_wrong_body_is_named_and_nothing_is_done(api: Api, what: str, body: Any, path: str) -> None:
    task_id = submitted(api, {"agent": "sleep", "input": {"seconds": 1}})
    api.kill(task_id)
    found = api.call("POST", f"/v1/tasks/{task_id}/{what}", body).problem(422, "invalid-input")
    assert [error["path"] for error in found["errors"]] == [path]
    assert kinds(api, task_id)[-1] == "dead_lettered"


@pytest.mark.parametrize("what", ["cancel", "redrive"])
def test_bodies_are_held_to_what_all_bodies_are(api: Api, what: str) -> None:
    path = f"/v1/tasks/{submitted(api)}/{what}"
    api.call("POST", path, "{").problem(400, "malformed-json")
    api.call("POST", path, "{}", headers={"content-type": "text/plain"}).problem(415, "unsupported-media-type")
    api.call("POST", path, "x" * 5_000_000).problem(413, "too-large")


@pytest.mark.parametrize("what", ["cancel", "redrive"])
def test_another_tenants_task_looks_exactly_like_none(api: Api, what: str) -> None:
    task_id = submitted(api)
    api.kill(task_id)
    for body in (None, {"input": 1} if what == "redrive" else {}):
        theirs = api.call("POST", f"/v1/tasks/{task_id}/{what}", body, authorizer=identity("umbrella"))
        none = api.call("POST", f"/v1/tasks/{NONE}/{what}", body, authorizer=identity("umbrella"))
        differing = {"instance": f"/v1/tasks/{task_id}/{what}", "request_id": theirs.json()["request_id"]}
        assert theirs.problem(404, "not-found") == none.problem(404, "not-found") | differing
        assert theirs.headers == none.headers
    for wrong in ("tsk_1", "x", NONE + "0"):
        api.call("POST", f"/v1/tasks/{wrong}/{what}").problem(404, "not-found")
    assert kinds(api, task_id)[-1] == "dead_lettered"


def test_a_dead_letter_that_would_not_be_run_stays_one(api: Api) -> None:
    task_id = submitted(api, {"agent": "echo", "input": 1, "deadline": "2023-11-14T22:14:20Z"})
    api.kill(task_id)
    api.clock.advance(61)
    found = api.call("POST", f"/v1/tasks/{task_id}/redrive").problem(409, "not-redrivable")
    assert found["detail"].startswith("Its deadline has passed.")
    assert found["retryable"] is False
    assert kinds(api, task_id)[-1] == "dead_lettered"


def test_without_its_agent_a_task_cannot_be_redriven_or_corrected(api: Api) -> None:
    task_id = submitted(api)
    api.kill(task_id)
    api.catalog = Catalog({spec.name: spec for spec in CATALOG if spec.name != "echo"})
    api.call("POST", f"/v1/tasks/{task_id}/redrive").problem(409, "not-redrivable")
    api.call("POST", f"/v1/tasks/{task_id}/redrive", {"input": 1}).problem(404, "unknown-agent")


class SilentLog(MemoryEventLog):
    """A store that does not answer appends."""

    async def append(self, event: Event) -> Event | None:
        raise RetryableError("events-table-x: connection refused", code="event_log_unavailable")


@pytest.mark.parametrize("what", ["cancel", "redrive"])
def test_a_store_that_does_not_answer_is_503_to_be_tried_again(api: Api, what: str) -> None:
    task_id = submitted(api)
    if what == "redrive":
        api.kill(task_id)
    silent = SilentLog()
    silent.logs = api.memory.logs
    api.log = silent
    answer = api.call("POST", f"/v1/tasks/{task_id}/{what}")
    assert answer.problem(503, "unavailable")["retryable"] is True
    assert "events-table-x" not in answer.text
    api.log = None
    assert api.call("POST", f"/v1/tasks/{task_id}/{what}").status == 202


def test_a_log_that_never_stands_still_is_503_with_a_time_to_come_back(api: Api) -> None:
    class Busy(MemoryEventLog):
        async def append(self, event: Event) -> Event | None:
            return event

    task_id = submitted(api)
    busy = Busy()
    busy.logs = api.memory.logs
    api.log = busy
    answer = api.call("POST", f"/v1/tasks/{task_id}/cancel")
    answer.problem(503, "unavailable")
    assert answer.headers["retry-after"] == "1"
