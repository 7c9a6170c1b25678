"""What operators and clients do to tasks, through the API's handler over real adapters."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from flotilla.dynamo.circuits import DynamoCircuits
from flotilla.dynamo.event_log import DynamoEventLog
from flotilla.dynamo.views import DynamoReadModel
from flotilla.events import Event, Kind, chain, verify_chain
from flotilla.models import TaskMessage
from flotilla.primitives.circuit import CircuitMode, CircuitRecord, CircuitState
from flotilla.read_model import UnreadableMessage
from flotilla.runtime import clients
from flotilla.services.project import entry_of_log
from tests.fakes import run_on_thread
from tests.gateway_events import identity
from tests.integration.conftest import FleetOnMoto
from tests.integration.test_api_on_moto import ECHO, Api, log_of

ERROR = {"code": "broken", "message": "order 5 was not found", "retryable": False}


@pytest.fixture
def api(fleet: FleetOnMoto) -> Api:
    return Api(fleet)


def append(fleet: FleetOnMoto, task_id: str, kind: Kind, body: dict[str, Any]) -> None:
    """Let a worker write the next event of a task."""
    log = DynamoEventLog(clients.dynamodb(), fleet.events_table, 30, run_on_thread)
    head: Event = log_of(fleet, task_id)[-1]
    event = chain(
        task_id=task_id,
        seq=head.seq + 1,
        kind=kind,
        at_ms=head.at_ms + 1,
        actor="worker:w/1",
        attempt=1,
        body=body,
        prev_hash=head.hash,
    )
    assert asyncio.run(log.append(event)) is None


def kill(fleet: FleetOnMoto, task_id: str) -> None:
    append(fleet, task_id, Kind.STARTED, {"lease_until_ms": 0})
    append(fleet, task_id, Kind.DEAD_LETTERED, {"cause": "permanent", "error": ERROR})


def project(fleet: FleetOnMoto, *tasks: str) -> None:
    """Let the read model follow the log."""
    views = DynamoReadModel(clients.dynamodb(), fleet.views_table, run_on_thread)
    for task_id in tasks:
        asyncio.run(views.put(entry_of_log(log_of(fleet, task_id))))


def submitted(api: Api, tenant: str = "acme", **members: Any) -> str:
    return str(api.call("POST", "/v1/tasks", ECHO | members, authorizer=identity(tenant)).json()["id"])


def test_a_delayed_task_is_one_event_and_one_message_on_the_ladder(fleet: FleetOnMoto, api: Api) -> None:
    submitted(api)  # a process looks for limits that operators set with its first, now and then
    fleet.messages("standard")
    fleet.calls.clear()
    task_id = submitted(api, delay_seconds=1)
    assert fleet.calls == ["PutItem", "SendMessage"]
    assert fleet.messages("standard") == []
    assert api.call("GET", f"/v1/tasks/{task_id}").json()["status"] == "scheduled"


def test_a_task_that_is_due_tomorrow_has_a_schedule_until_it_is_cancelled(fleet: FleetOnMoto, api: Api) -> None:
    task_id = submitted(api, delay_seconds=86_400)
    schedules = clients.scheduler().list_schedules(GroupName=fleet.schedule_group)["Schedules"]
    assert [schedule["Name"] for schedule in schedules] == [f"{task_id}-0"]
    fleet.calls.clear()
    assert api.call("POST", f"/v1/tasks/{task_id}/cancel").json()["cancelled"] is True
    assert fleet.calls == ["Query", "PutItem"], "and one call to the scheduler"
    assert clients.scheduler().list_schedules(GroupName=fleet.schedule_group)["Schedules"] == []
    verify_chain(log_of(fleet, task_id))


def test_a_cancel_is_one_read_and_one_write_and_again_one_read(fleet: FleetOnMoto, api: Api) -> None:
    task_id = submitted(api)
    fleet.calls.clear()
    first, again = (api.call("POST", f"/v1/tasks/{task_id}/cancel") for _ in range(2))
    assert (first.json()["cancelled"], again.json()["cancelled"]) == (True, False)
    assert fleet.calls == ["Query", "PutItem", "Query"]
    assert [event.kind for event in log_of(fleet, task_id)] == [Kind.ACCEPTED, Kind.CANCELLED]


def test_a_redrive_is_one_read_one_write_and_one_message(fleet: FleetOnMoto, api: Api) -> None:
    task_id = submitted(api)
    kill(fleet, task_id)
    fleet.messages("standard")
    fleet.calls.clear()
    answer = api.call("POST", f"/v1/tasks/{task_id}/redrive")
    assert fleet.calls == ["Query", "PutItem", "SendMessage"]
    assert (answer.status, answer.json()["status"], answer.json()["redriven"]) == (202, "queued", True)
    [received] = fleet.messages("standard")
    message = TaskMessage.from_body(received["Body"])
    assert (message.seq, message.hash) == (3, log_of(fleet, task_id)[-1].hash)
    assert api.call("POST", f"/v1/tasks/{task_id}/redrive").json()["redriven"] is False


def test_a_redrive_that_lost_its_message_is_made_whole_by_its_repetition(fleet: FleetOnMoto, api: Api) -> None:
    task_id = submitted(api)
    kill(fleet, task_id)
    clients.sqs().delete_queue(QueueUrl=fleet.queue_urls["standard"])
    api.call("POST", f"/v1/tasks/{task_id}/redrive").problem(503, "unavailable")
    fleet.make_queue("standard")
    assert api.call("POST", f"/v1/tasks/{task_id}/redrive").status == 202
    [received] = fleet.messages("standard")
    assert TaskMessage.from_body(received["Body"]).seq == 3
    assert [event.kind for event in log_of(fleet, task_id)][3:] == [Kind.REDRIVEN]


def test_a_large_corrected_input_lies_in_the_bucket(fleet: FleetOnMoto, api: Api) -> None:
    task_id = submitted(api)
    kill(fleet, task_id)
    fleet.messages("standard")
    value = "ä" * 5000
    assert api.call("POST", f"/v1/tasks/{task_id}/redrive", {"input": value}).json()["input"] == value
    [received] = fleet.messages("standard")
    assert len(received["Body"]) < 2000


def test_tasks_are_listed_and_filtered(fleet: FleetOnMoto, api: Api) -> None:
    queued, dead, theirs = submitted(api), submitted(api), submitted(api, "umbrella")
    kill(fleet, dead)
    project(fleet, queued, dead, theirs)
    listed = api.call("GET", "/v1/tasks").json()
    assert {item["id"] for item in listed["items"]} == {queued, dead}
    [found] = api.call("GET", "/v1/tasks", query={"status": "dead_lettered"}).json()["items"]
    assert (found["id"], found["error"]) == (dead, ERROR)
    page = api.call("GET", "/v1/tasks", query={"limit": "1"}).json()
    rest = api.call("GET", "/v1/tasks", query={"limit": "1", "cursor": page["next_cursor"]}).json()
    assert {page["items"][0]["id"], rest["items"][0]["id"]} == {queued, dead}


def test_dead_letters_are_listed_grouped_and_redriven(fleet: FleetOnMoto, api: Api) -> None:
    tasks = [submitted(api), submitted(api, "umbrella")]
    for task_id in tasks:
        kill(fleet, task_id)
    project(fleet, *tasks)
    fleet.messages("standard")
    views = DynamoReadModel(clients.dynamodb(), fleet.views_table, run_on_thread)
    asyncio.run(views.put_unreadable(UnreadableMessage("m1", "standard", "{", "not a task message", 1_700_000_000_000)))

    groups = api.call("GET", "/v1/dead-letters/groups").json()["items"]
    assert [(group["agent"], group["count"]) for group in groups] == [("echo", 2), (None, 1)]
    cause = groups[0]["cause"]
    assert cause == "broken: order <n> was not found"
    listed = api.call("GET", "/v1/dead-letters").json()["items"]
    assert [item["task_id"] for item in listed][2] is None
    assert {item["task_id"] for item in listed[:2]} == set(tasks)

    wanted = {"filter": {"agent": "echo", "cause": cause}, "rate_per_second": 100}
    dry = api.call("POST", "/v1/dead-letters/redrive", wanted | {"dry_run": True}).json()
    assert (dry["matched"], dry["redriven"]) == (2, 0)
    done = api.call("POST", "/v1/dead-letters/redrive", wanted).json()
    assert (done["redriven"], done["remaining"], done["next_cursor"]) == (2, 0, None)
    assert {TaskMessage.from_body(each["Body"]).task_id for each in fleet.messages("standard")} == set(tasks)
    project(fleet, *tasks)
    assert [item["task_id"] for item in api.call("GET", "/v1/dead-letters").json()["items"]] == [None]


def test_a_read_model_that_does_not_answer_is_503_without_its_name(fleet: FleetOnMoto, api: Api) -> None:
    clients.dynamodb().delete_table(TableName=fleet.views_table)
    for answer in (
        api.call("GET", "/v1/tasks"),
        api.call("GET", "/v1/dead-letters"),
        api.call("GET", "/v1/dead-letters/groups"),
        api.call("POST", "/v1/dead-letters/redrive", {"filter": {}}),
    ):
        assert answer.problem(503, "unavailable")["retryable"] is True
        assert "fleet-views" not in answer.text
    task_id = submitted(api)
    assert api.call("POST", f"/v1/tasks/{task_id}/cancel").status == 202, "it does not need it"


def test_every_other_route_answers(fleet: FleetOnMoto, api: Api) -> None:
    paused = api.call("PUT", "/v1/agents/echo/state", {"state": "paused", "reason": "a test"})
    assert paused.status == 200
    assert api.call("GET", "/v1/agents").json()["items"][0]["state"] == "paused"
    for path in ("/v1/lanes/standard/state", "/v1/fleet/state", "/v1/agents/echo/state"):
        assert api.call("PUT", path, {"state": "active"}).status == 200
    lanes = api.call("GET", "/v1/lanes").json()["items"]
    assert {lane["name"] for lane in lanes} == {"critical", "standard", "batch"}
    batch = api.call("POST", "/v1/task-batches", {"tasks": [ECHO, {"agent": "none", "input": 1}]}).json()["results"]
    assert [result["status"] for result in batch] == [202, 404]


def test_a_webhook_is_registered_named_by_a_task_and_removed(fleet: FleetOnMoto, api: Api) -> None:
    made = api.call("POST", "/v1/webhooks", {"url": "https://192.0.2.1.example.invalid/in"})
    assert made.status == 201, made.text
    webhook_id = made.json()["id"]
    task_id = submitted(api, webhook=webhook_id)
    assert log_of(fleet, task_id)[0].body["webhook"] == webhook_id
    assert [item["id"] for item in api.call("GET", "/v1/webhooks").json()["items"]] == [webhook_id]
    assert api.call("GET", f"/v1/webhooks/{webhook_id}").status == 200
    gone = api.call("DELETE", f"/v1/webhooks/{webhook_id}")
    assert (gone.status, gone.text) == (204, "")
    api.submit(ECHO | {"webhook": "whk_" + "0" * 24}).problem(422, "invalid-input")


# Circuits and limits.


def test_a_circuit_is_forced_and_shown(fleet: FleetOnMoto, api: Api) -> None:
    circuits = DynamoCircuits(clients.dynamodb(), fleet.control_table, run_on_thread)
    opened = CircuitRecord(version=1, state=CircuitState.OPEN)
    assert asyncio.run(circuits.transition("integration#crm", opened)) is None
    answer = api.call("PUT", "/v1/circuits/integration%23crm", {"state": "closed", "reason": "mended"})
    assert (answer.status, answer.json()["mode"]) == (200, "closed")
    assert api.call("GET", "/v1/circuits").json()["items"] == [answer.json()]
    assert asyncio.run(circuits.read("integration#crm", consistent=True)).mode is CircuitMode.CLOSED


def test_a_limit_that_is_set_is_one_more_write_for_each_submit_and_is_kept_to(fleet: FleetOnMoto, api: Api) -> None:
    body = {"rate_per_minute": 6, "burst": 2}
    assert api.call("PUT", "/v1/limits/tenant%23acme", body).status == 200
    first = api.call("POST", "/v1/tasks", ECHO)
    assert (first.status, first.headers["ratelimit"]) == (202, '"tenant";r=1;t=10')
    fleet.calls.clear()
    assert api.call("POST", "/v1/tasks", ECHO).status == 202
    assert fleet.calls == ["UpdateItem", "PutItem", "SendMessage"]
    fleet.calls.clear()
    refused = api.call("POST", "/v1/tasks", ECHO)
    refused.problem(429, "rate-limited")
    assert int(refused.headers["retry-after"]) in range(1, 12)
    assert fleet.calls == []
    [limit] = api.call("GET", "/v1/limits").json()["items"]
    assert (limit["name"], limit["source"], limit["remaining"]) == ("tenant#acme", "set", 0)
    assert api.call("DELETE", "/v1/limits/tenant%23acme").status == 204
    assert api.call("GET", "/v1/limits").json()["items"] == []
