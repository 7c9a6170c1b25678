"""`POST /v1/tasks`: what is accepted, what a replay is, what waiting gets."""

from __future__ import annotations

import json
from typing import Any

import pytest

from flotilla import trace_context
from flotilla.agents.catalog import Catalog
from flotilla.errors import RetryableError, StoreUnavailableError
from flotilla.events import Event, Kind
from tests.agent_specs import agent_spec
from tests.fakes import MemoryEventLog
from tests.gateway_events import http_event, identity
from tests.unit.api.api import Api

TASK_MEMBERS = frozenset(
    {
        "id",
        "tenant",
        "agent",
        "agent_version",
        "lane",
        "session",
        "status",
        "attempt",
        "max_attempts",
        "created_at",
        "due_at",
        "started_at",
        "finished_at",
        "deadline",
        "budget_usd",
        "parent",
        "workflow",
        "waiting",
        "input",
        "output",
        "error",
        "usage",
        "labels",
        "links",
    }
)


@pytest.fixture
def api() -> Api:
    return Api()


def test_a_task_is_accepted_with_all_that_was_asked_for(api: Api) -> None:
    answer = api.submit(
        {
            "agent": "echo",
            "input": {"value": "ü"},
            "lane": "critical",
            "session": "s",
            "deadline": "2030-01-31T13:00:00.5+01:00",
            "max_attempts": 20,
            "labels": {"team": "x"},
        }
    )
    task = answer.json()
    assert answer.status == 202
    assert answer.headers["location"] == f"/v1/tasks/{task['id']}" == task["links"]["self"]
    assert "idempotent-replay" not in answer.headers
    assert task.keys() == TASK_MEMBERS | {"admission"}
    assert task["admission"] == {"position": None, "eta_seconds": None, "estimated_cost_usd": None}
    assert (task["status"], task["attempt"], task["max_attempts"]) == ("queued", 0, 20)
    assert (task["tenant"], task["agent_version"], task["lane"], task["session"]) == ("acme", "7", "critical", "s")
    assert (task["created_at"], task["deadline"]) == ("2023-11-14T22:13:20.000Z", "2030-01-31T12:00:00.500Z")
    assert (task["input"], task["output"], task["labels"]) == ({"value": "ü"}, None, {"team": "x"})
    [message] = api.lanes.sent.values()
    assert (message.lane, message.session, message.task_id) == ("critical", "s", task["id"])
    [event] = api.events(task["id"])
    assert event.actor == "key:k1"
    assert event.body["request_id"].startswith("request-")


def test_a_submit_is_one_append_and_one_send_and_no_read(api: Api) -> None:
    assert api.submit().status == 202
    assert (api.memory.appends, api.memory.reads, api.lanes.sends) == (1, 0, 1)


def test_a_large_input_is_answered_without_being_fetched_again(api: Api) -> None:
    value = "ä" * 5000
    api.payloads = WriteOnly()
    answer = api.submit({"agent": "echo", "input": value})
    assert answer.status == 202
    assert answer.json()["input"] == value


class WriteOnly:
    async def put(self, key: str, content: bytes) -> None:
        pass

    async def get(self, key: str) -> bytes:
        raise StoreUnavailableError("no reading here")


@pytest.mark.parametrize(("agent", "lane"), [("echo", "standard"), ("sleep", "batch")])
def test_without_a_wish_the_agents_lane_is_taken_or_the_fleets(api: Api, agent: str, lane: str) -> None:
    task = api.submit({"agent": agent, "input": {"seconds": 1}, "lane": None, "labels": None}).json()
    assert (task["lane"], task["max_attempts"]) == (lane, 4)


def test_a_null_input_is_an_input(api: Api) -> None:
    answer = api.submit({"agent": "echo", "input": None})
    assert answer.status == 202
    assert answer.json()["input"] is None


def test_the_clients_trace_travels_with_the_task(api: Api) -> None:
    sent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    root = "Root=1-67891233-abcdef012345678912345678"
    api.submit(None, traceparent=sent, x_amzn_trace_id=root)
    api.submit(None, x_amzn_trace_id=root)
    api.submit(None, x_amzn_trace_id=f"{root};Parent=53995c3f42cd8ad8;Sampled=1")
    of_x_ray = "00-67891233abcdef012345678912345678"
    assert [message.trace for message in api.lanes.sent.values()] == [
        sent,
        f"{of_x_ray}-2345678912345678-00",
        f"{of_x_ray}-53995c3f42cd8ad8-01",
    ]


def test_what_x_ray_records_is_what_the_task_is_part_of(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_X_AMZN_TRACE_ID", "Root=1-67891233-abcdef012345678912345678;Parent=53995c3f42cd8ad8;Sampled=1")
    api.submit(None, x_amzn_trace_id="Root=1-77777777-abcdef012345678912345678")
    assert [message.trace for message in api.lanes.sent.values()] == [
        "00-67891233abcdef012345678912345678-53995c3f42cd8ad8-01"
    ]


@pytest.mark.parametrize("header", ['"><script>', "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01x"])
def test_a_task_without_a_trace_gets_one_of_its_own(api: Api, header: str) -> None:
    api.submit(None, x_amzn_trace_id=header, traceparent=header)
    api.submit(None)
    first, second = (trace_context.read(message.trace) for message in api.lanes.sent.values())
    assert first is not None and second is not None and first != second
    assert not first.sampled and not second.sampled


def test_a_key_stands_for_one_task_quoted_or_not(api: Api) -> None:
    first = api.submit(None, idempotency_key="k")
    again = api.submit(None, idempotency_key='"k"')
    assert again.status == 202
    assert again.headers["idempotent-replay"] == "true"
    assert again.json()["id"] == first.json()["id"]
    assert len(api.lanes.sent) == 1


def test_without_a_key_every_call_is_a_new_task(api: Api) -> None:
    assert api.submit().json()["id"] != api.submit().json()["id"]


def test_a_key_with_another_body_is_refused(api: Api) -> None:
    api.submit(None, idempotency_key="k")
    other = api.submit({"agent": "echo", "input": {"value": 2}}, idempotency_key="k")
    other.problem(422, "idempotency-key-reused")
    assert len(api.lanes.sent) == 1


def test_two_tenants_keys_do_not_meet(api: Api) -> None:
    body = {"agent": "echo", "input": 1}
    ids = {
        api.call("POST", "/v1/tasks", body, headers={"Idempotency-Key": "k"}, authorizer=identity(tenant)).json()["id"]
        for tenant in ("acme", "umbrella")
    }
    assert len(ids) == 2


def test_a_replay_after_the_end_tells_the_end(api: Api) -> None:
    task_id = api.submit(None, idempotency_key="k").json()["id"]
    api.finish(task_id, {"x": 1})
    replay = api.submit(None, idempotency_key="k")
    assert (replay.status, replay.json()["status"], replay.json()["output"]) == (202, "succeeded", {"x": 1})
    waited = api.submit(None, idempotency_key="k", prefer="wait=5")
    assert (waited.status, waited.headers["idempotent-replay"]) == (200, "true")
    assert waited.headers["content-location"] == f"/v1/tasks/{task_id}"
    assert waited.json().keys() == TASK_MEMBERS


def test_a_task_that_ends_within_the_wait_is_answered_finished(api: Api) -> None:
    api.log = Worker(api, reads=3)
    answer = api.submit({"agent": "echo", "input": "x" * 2000}, prefer="wait=10")
    task = answer.json()
    assert answer.status == 200
    assert answer.headers["preference-applied"] == "wait=10"
    assert task.keys() == TASK_MEMBERS
    assert (task["status"], task["output"]) == ("succeeded", "done")
    assert task["usage"] == {
        "duration_ms": 12,
        "billed_ms": 3,
        "cpu_ms": None,
        "memory_mb": None,
        "peak_memory_mb": None,
        "compute_usd": 0.0,
        "model_calls": 0,
        "input_tokens": 0,
        "output_tokens": 0,
        "cost_usd": 0.0,
        "models": {},
        "cached": False,
        "failovers": [],
    }


class Worker(MemoryEventLog):
    """A log whose task a worker has finished by the time it is read often enough."""

    def __init__(self, api: Api, reads: int) -> None:
        super().__init__()
        self._api = api
        self._finish_at = reads
        api.memory = self

    async def read(self, task_id: str) -> list[Event]:
        if self.reads == self._finish_at:
            self._api.finish(task_id, "done")
        return await super().read(task_id)


def test_a_task_that_takes_longer_is_answered_accepted_and_not_waited_for_too_long(api: Api) -> None:
    began_ms = api.clock.now_ms()
    answer = api.submit(None, prefer="wait=3")
    assert (answer.status, answer.json()["status"]) == (202, "queued")
    assert "admission" in answer.json()
    assert api.clock.now_ms() - began_ms == 3000


def test_a_wait_ends_in_time_for_the_answer(api: Api) -> None:
    event_ends = api.clock.now_ms() + 10_000
    event = http_event(
        "POST", "/v1/tasks", {"agent": "echo", "input": 1}, headers={"Prefer": "wait=25"}, authorizer=identity()
    )
    assert api.send(event, seconds=10).status == 202
    assert api.clock.now_ms() < event_ends


def test_what_is_accepted_is_answered_so_even_if_its_progress_cannot_be_read(api: Api) -> None:
    api.log = Unreadable()
    answer = api.submit(None, prefer="wait=5")
    assert (answer.status, answer.json()["status"]) == (202, "queued")


class Unreadable(MemoryEventLog):
    async def read(self, task_id: str) -> list[Event]:
        raise RetryableError("the event log did not answer")


def test_a_finished_task_whose_output_cannot_be_read_is_answered_accepted(api: Api) -> None:
    class LosesOutput(Worker):
        async def read(self, task_id: str) -> list[Event]:
            if self.reads == 1:
                api.append(task_id, Kind.STARTED, {"lease_until_ms": 0})
                output = {"ref": "gone", "bytes": 5, "sha256": "0" * 64}
                api.append(task_id, Kind.SUCCEEDED, {"output": output})
            return await MemoryEventLog.read(self, task_id)

    api.payloads = WriteOnly()
    api.log = LosesOutput(api, reads=99)
    answer = api.submit(None, prefer="wait=5")
    assert (answer.status, answer.json()["status"]) == (202, "queued")


def test_a_body_in_base64_is_the_same_body(api: Api) -> None:
    body = {"agent": "echo", "input": "ü"}
    answer = api.call("POST", "/v1/tasks", json.dumps(body).encode())
    assert (answer.status, answer.json()["input"]) == (202, "ü")


Change = dict[str, Any]


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"agent": None}, "/agent"),
        ({"agent": ""}, "/agent"),
        ({"agent": 1}, "/agent"),
        ({"agent": "x" * 129}, "/agent"),
        ({"lane": "no-such"}, "/lane"),
        ({"lane": 5}, "/lane"),
        ({"session": ""}, "/session"),
        ({"session": "x" * 257}, "/session"),
        ({"max_attempts": 0}, "/max_attempts"),
        ({"max_attempts": 21}, "/max_attempts"),
        ({"max_attempts": True}, "/max_attempts"),
        ({"max_attempts": 2.0}, "/max_attempts"),
        ({"max_attempts": "3"}, "/max_attempts"),
        ({"deadline": "2020-01-01T00:00:00Z"}, "/deadline"),
        ({"deadline": "2030-01-01"}, "/deadline"),
        ({"deadline": "2030-01-01T00:00:00"}, "/deadline"),
        ({"deadline": "2030-13-41T00:00:00Z"}, "/deadline"),
        ({"deadline": "\u06620\u06630-01-01T00:00:00Z"}, "/deadline"),
        ({"deadline": 1_900_000_000}, "/deadline"),
        ({"labels": []}, "/labels"),
        ({"labels": {"a": 1}}, "/labels/a"),
        ({"labels": {"a": "x" * 257}}, "/labels/a"),
        ({"labels": {str(n): "" for n in range(17)}}, "/labels"),
        ({"labels": {"k" * 65: ""}}, "/labels/" + "k" * 65 + "/[key]"),
        ({"labels": {"": ""}}, "/labels//[key]"),
        ({"surprise": 1}, "/surprise"),
        ({"budget_usd": 0}, "/budget_usd"),
        ({"budget_usd": -1}, "/budget_usd"),
        ({"budget_usd": 1_000_001}, "/budget_usd"),
        ({"budget_usd": 0.0000001}, "/budget_usd"),
        ({"budget_usd": 1.0000001}, "/budget_usd"),
        ({"budget_usd": "1"}, "/budget_usd"),
        ({"budget_usd": True}, "/budget_usd"),
        ({"webhook": {"url": "https://example.com"}}, "/webhook"),
        ({"webhook": ""}, "/webhook"),
        ({"webhook": "x" * 2049}, "/webhook"),
        ({"input_ref": "ref"}, "/input_ref"),
        ({"agent": "sleep", "input": {"seconds": "long"}}, "/input/seconds"),
        ({"agent": "sleep", "input": {"seconds": -1}}, "/input/seconds"),
        ({"agent": "sleep", "input": {}}, "/input"),
    ],
)
def test_a_wrong_member_is_named_and_nothing_is_written(api: Api, change: Change, path: str) -> None:
    answer = api.submit({"agent": "echo", "input": 1} | change)
    found = answer.problem(422, "invalid-input")
    assert path in [error["path"] for error in found["errors"]]
    assert found["retryable"] is False
    assert (api.memory.appends, api.lanes.sends) == (0, 0)


def test_what_this_deployment_cannot_do_is_refused_and_not_passed_over(api: Api) -> None:
    found = api.submit({"agent": "echo", "input": 1, "input_ref": "up_1"}).problem(422, "invalid-input")
    assert found["errors"] == [{"path": "/input_ref", "message": "is not available on this deployment"}]


@pytest.mark.parametrize(("usd", "micros"), [(1, 1_000_000), (0.000001, 1), (0.1, 100_000), (1_000_000, 10**12)])
def test_what_a_task_may_cost_travels_with_it(api: Api, usd: float, micros: int) -> None:
    task = api.submit({"agent": "echo", "input": 1, "budget_usd": usd}).json()
    assert (task["budget_usd"], task["parent"]) == (usd, None)
    [message] = api.lanes.sent.values()
    assert message.budgets == ((task["id"], micros),)
    assert api.events(task["id"])[0].body["budgets"] == [[task["id"], micros]]
    assert api.call("GET", f"/v1/tasks/{task['id']}").json()["budget_usd"] == usd


def test_without_a_wish_a_task_may_cost_what_its_agent_says(api: Api) -> None:
    api.catalog = Catalog({name: agent_spec(name, budget_usd=0.25) for name in ("echo", "sleep")})
    assert api.submit({"agent": "echo", "input": 1}).json()["budget_usd"] == 0.25
    assert api.submit({"agent": "echo", "input": 1, "budget_usd": 2.5}).json()["budget_usd"] == 2.5


def test_a_task_that_nothing_bounds_says_nothing_of_budgets(api: Api) -> None:
    task = api.submit().json()
    assert task["budget_usd"] is None
    assert not {"budgets", "parent", "root", "depth"} & api.events(task["id"])[0].body.keys()


@pytest.mark.parametrize("body", [[], "text", 5, None, True])
def test_a_body_that_is_no_object_is_invalid(api: Api, body: Any) -> None:
    answer = api.call("POST", "/v1/tasks", json.dumps(body))
    assert answer.problem(422, "invalid-input")["errors"] == [{"path": "", "message": "must be an object"}]


def test_a_missing_input_is_invalid(api: Api) -> None:
    found = api.submit({"agent": "echo"}).problem(422, "invalid-input")
    assert found["errors"] == [{"path": "/input", "message": "is required"}]
