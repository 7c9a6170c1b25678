"""The API's handler over real adapters: API Gateway's events in, tables, queues and a bucket behind."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, cast

import pytest
from aws_lambda_powertools.utilities.typing import LambdaContext

from flotilla.clock import SystemClock
from flotilla.dynamo.event_log import DynamoEventLog, from_item
from flotilla.events import Kind, chain, verify_chain
from flotilla.models import TaskMessage
from flotilla.runtime import clients
from flotilla.runtime.settings import ApiSettings
from functions.api.application import Application
from functions.api.handler import respond, routes
from tests.fakes import run_on_thread
from tests.gateway_events import Answer, InvocationContext, http_event, identity
from tests.integration.conftest import FleetOnMoto
from tests.unit.api.api import CATALOG

ECHO = {"agent": "echo", "input": {"value": 1}}
INLINE_BYTES = 2000


class Api:
    """The deployed function, as API Gateway calls it."""

    def __init__(self, fleet: FleetOnMoto) -> None:
        settings = ApiSettings.from_environment(fleet.environment())
        self._router = routes(settings, CATALOG)
        self._application = Application(lambda: self._router, SystemClock())

    def call(self, method: str, path: str, body: Any = None, **options: Any) -> Answer:
        options.setdefault("authorizer", identity())
        event = http_event(method, path, body, **options)
        return Answer.of(respond(self._application, event, cast(LambdaContext, InvocationContext())))

    def submit(self, body: Any = None, **headers: str) -> Answer:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.call("POST", "/v1/tasks", body or ECHO, headers=sent)


@pytest.fixture
def api(fleet: FleetOnMoto) -> Api:
    return Api(fleet)


def log_of(fleet: FleetOnMoto, task_id: str) -> list[Any]:
    items = clients.dynamodb().query(
        TableName=fleet.events_table,
        KeyConditionExpression="task_id = :id",
        ExpressionAttributeValues={":id": {"S": task_id}},
    )["Items"]
    return [from_item(dict(item)) for item in items]


def finish(fleet: FleetOnMoto, task_id: str, output: dict[str, Any]) -> None:
    """Let a worker write the two events of a task that succeeds."""
    log = DynamoEventLog(clients.dynamodb(), fleet.events_table, 30, run_on_thread)
    [head] = log_of(fleet, task_id)
    for kind, body in ((Kind.STARTED, {"lease_until_ms": 0}), (Kind.SUCCEEDED, {"output": output, "usage": {}})):
        head = chain(
            task_id=task_id,
            seq=head.seq + 1,
            kind=kind,
            at_ms=head.at_ms + 1,
            actor="worker:w/1",
            attempt=1,
            body=body,
            prev_hash=head.hash,
        )
        assert asyncio.run(log.append(head)) is None


def test_a_submit_is_one_event_and_one_message_and_no_other_call(fleet: FleetOnMoto, api: Api) -> None:
    assert api.submit().status == 202  # a process looks for limits that operators set with its first, now and then
    fleet.messages("standard")
    fleet.calls.clear()
    answer = api.submit({**ECHO, "session": "s", "labels": {"a": "b"}, "max_attempts": 3})
    assert fleet.calls == ["PutItem", "SendMessage"]
    assert answer.status == 202
    task_id = answer.json()["id"]
    [event] = log_of(fleet, task_id)
    verify_chain([event])
    [received] = fleet.messages("standard")
    message = TaskMessage.from_body(received["Body"])
    assert (message.task_id, message.seq, message.hash, message.max_attempts) == (task_id, 0, event.hash, 3)
    assert received["Attributes"]["MessageGroupId"] == message.group


def test_a_task_is_read_with_one_query(fleet: FleetOnMoto, api: Api) -> None:
    task_id = api.submit().json()["id"]
    fleet.calls.clear()
    assert api.call("GET", f"/v1/tasks/{task_id}").json()["status"] == "queued"
    assert api.call("GET", f"/v1/tasks/{task_id}/events").json()["items"][0]["input"] == {"inline": {"value": 1}}
    assert fleet.calls == ["Query", "Query"]


def test_a_finished_task_is_told_whole(fleet: FleetOnMoto, api: Api) -> None:
    task_id = api.submit(None, idempotency_key="k").json()["id"]
    finish(fleet, task_id, {"inline": {"answer": "ü"}})
    for answer in (
        api.call("GET", f"/v1/tasks/{task_id}", headers={"prefer": "wait=20"}),
        api.submit(None, idempotency_key="k", prefer="wait=20"),
    ):
        assert (answer.status, answer.json()["status"], answer.json()["output"]) == (200, "succeeded", {"answer": "ü"})


def test_a_large_input_lies_in_the_bucket_and_comes_back_whole(fleet: FleetOnMoto, api: Api) -> None:
    value = "ä" * 5000
    answer = api.submit({"agent": "echo", "input": value})
    assert answer.json()["input"] == value
    [received] = fleet.messages("standard")
    assert len(received["Body"]) < INLINE_BYTES
    assert api.call("GET", f"/v1/tasks/{answer.json()['id']}").json()["input"] == value
    [event] = api.call("GET", f"/v1/tasks/{answer.json()['id']}/events").json()["items"]
    assert event["input"].keys() == {"bytes", "sha256"}


def test_a_very_large_output_is_a_signed_link_to_it(fleet: FleetOnMoto, api: Api) -> None:
    task_id = api.submit().json()["id"]
    key = f"tenants/acme/tasks/{task_id}/x.json"
    finish(fleet, task_id, {"ref": key, "bytes": 2_000_000, "sha256": "0" * 64})
    task = api.call("GET", f"/v1/tasks/{task_id}").json()
    assert task["output"] is None
    assert f"/{key}?" in task["output_url"]
    assert "X-Amz-Expires=300" in task["output_url"]


def test_a_repeated_key_finds_its_task_and_another_body_is_refused(fleet: FleetOnMoto, api: Api) -> None:
    first = api.submit(None, idempotency_key="k")
    again = api.submit(None, idempotency_key='"k"')
    assert (again.status, again.headers["idempotent-replay"]) == (202, "true")
    assert again.json()["id"] == first.json()["id"]
    api.submit({"agent": "echo", "input": 2}, idempotency_key="k").problem(422, "idempotency-key-reused")
    assert len(fleet.messages("standard")) == 1


def test_a_refused_request_touches_nothing(fleet: FleetOnMoto, api: Api) -> None:
    fleet.calls.clear()
    api.call("POST", "/v1/tasks", '{"agent":').problem(400, "malformed-json")
    api.call("POST", "/v1/tasks", ECHO, authorizer={"outcome": "unknown"}).problem(401, "unauthenticated")
    api.call("POST", "/v1/tasks", ECHO, authorizer=identity(scopes="tasks:read")).problem(403, "missing-scope")
    api.submit({"agent": "none", "input": 1}).problem(404, "unknown-agent")
    api.submit({"agent": "sleep", "input": {}}).problem(422, "invalid-input")
    api.submit({**ECHO, "lane": "none"}).problem(422, "invalid-input")
    api.call("POST", "/v1/tasks", "x" * 5_000_000).problem(413, "too-large")
    api.call("GET", "/v1/tasks/none").problem(404, "not-found")
    assert fleet.calls == []


def test_a_tenant_does_not_see_anothers_task(api: Api) -> None:
    task_id = api.submit().json()["id"]
    api.call("GET", f"/v1/tasks/{task_id}", authorizer=identity("umbrella")).problem(404, "not-found")
    api.call("GET", f"/v1/tasks/{task_id}/events", authorizer=identity("umbrella")).problem(404, "not-found")


def test_a_log_that_does_not_answer_is_503_without_its_name(fleet: FleetOnMoto, api: Api) -> None:
    clients.dynamodb().delete_table(TableName=fleet.events_table)
    for answer in (api.submit(), api.call("GET", "/v1/tasks/tsk_" + "0" * 32)):
        assert answer.problem(503, "unavailable")["retryable"] is True
        assert "fleet-events" not in answer.text
        assert "retry-after" in answer.headers


def test_a_submit_that_lost_its_message_is_made_whole_by_its_repetition(fleet: FleetOnMoto, api: Api) -> None:
    clients.sqs().delete_queue(QueueUrl=fleet.queue_urls["standard"])
    api.submit(None, idempotency_key="k").problem(503, "unavailable")
    fleet.make_queue("standard")
    answer = api.submit(None, idempotency_key="k")
    assert answer.status == 202
    assert len(log_of(fleet, answer.json()["id"])) == 1
    [received] = fleet.messages("standard")
    assert TaskMessage.from_body(received["Body"]).task_id == answer.json()["id"]


def test_it_is_ready_while_all_answers_and_says_what_does_not(fleet: FleetOnMoto, api: Api) -> None:
    ready = api.call("GET", "/readyz", authorizer=None)
    checks = dict.fromkeys(("events", "control", "views", "lanes", "delays", "payloads"), "ok")
    assert (ready.status, ready.json()) == (200, {"status": "ok", "checks": checks})
    clients.dynamodb().delete_table(TableName=fleet.control_table)
    clients.sqs().delete_queue(QueueUrl=fleet.queue_urls["batch"])
    clients.s3().delete_bucket(Bucket=fleet.bucket)
    down = Api(fleet).call("GET", "/readyz", authorizer=None)
    assert down.status == 503
    assert down.json()["checks"] == checks | dict.fromkeys(("control", "lanes", "payloads"), "down")
    assert "fleet" not in down.text


def test_no_key_body_or_input_is_ever_logged(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="flotilla")
    sent = {"authorization": "Bearer flt_private", "idempotency-key": "private-key"}
    api.call("POST", "/v1/tasks", {"agent": "echo", "input": "private"}, headers=sent)
    api.call("POST", "/v1/tasks", {"agent": "sleep", "input": {"private": "private"}}, headers=sent)
    own = [record.__dict__ for record in caplog.records if record.name.startswith("flotilla")]
    assert len(own) == 2
    assert "private" not in str(own)
