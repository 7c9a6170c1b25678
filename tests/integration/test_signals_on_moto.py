"""Signals and decisions by links, through the API's handler and the broadcaster's over real adapters."""

from __future__ import annotations

import asyncio
import json
from urllib.parse import urlsplit

import pytest

from flotilla.broadcast import Endpoint
from flotilla.dynamo.endpoints import DynamoEndpoints
from flotilla.events import Kind, verify_chain
from flotilla.models import Status, TaskMessage
from flotilla.runtime import clients
from flotilla.runtime.settings import ApiSettings, BroadcasterSettings
from functions.broadcaster.handler import BroadcasterFunction
from tests.fakes import run_on_thread
from tests.gateway_events import Answer
from tests.integration.conftest import FleetOnMoto
from tests.integration.test_api_on_moto import ECHO, Api, log_of
from tests.integration.test_operations_on_moto import append
from tests.unit.test_stream_records import record_of

ENDPOINT = Endpoint("whk_" + "1" * 24, "acme", "https://hooks.example/in", (Status.WAITING,), None, (), 1)
SECRET = "fleet/decisions"
FORM = {"content-type": "application/x-www-form-urlencoded"}


class FleetThatDecides(FleetOnMoto):
    """A fleet whose links to decisions are signed."""

    def environment(self) -> dict[str, str]:
        return super().environment() | {"FLOTILLA_DECISIONS_SECRET": SECRET}


@pytest.fixture
def api(fleet: FleetOnMoto) -> Api:
    fleet.__class__ = FleetThatDecides
    clients.secretsmanager().create_secret(Name=SECRET, SecretString="k" * 64)
    endpoints = DynamoEndpoints(clients.dynamodb(), fleet.control_table, run_on_thread)
    asyncio.run(endpoints.add(ENDPOINT))
    asyncio.run(endpoints.ask_for(ENDPOINT.events))
    return Api(fleet)


def waiting(fleet: FleetOnMoto, api: Api) -> str:
    task_id = str(api.call("POST", "/v1/tasks", ECHO).json()["id"])
    append(fleet, task_id, Kind.STARTED, {"lease_until_ms": 0})
    append(fleet, task_id, Kind.WAITING, {"for": "decision", "detail": {"amount": 3}})
    fleet.messages("standard")
    fleet.calls.clear()
    return task_id


def signal(api: Api, task_id: str, payload: object) -> Answer:
    return api.call("POST", f"/v1/tasks/{task_id}/signal", {"name": "decision", "payload": payload})


def test_a_signal_is_one_read_one_write_and_one_message(fleet: FleetOnMoto, api: Api) -> None:
    task_id = waiting(fleet, api)
    answer = signal(api, task_id, {"approved": True})
    assert fleet.calls == ["Query", "PutItem", "SendMessage"]
    assert (answer.status, answer.json()["status"]) == (202, "queued")
    events = log_of(fleet, task_id)
    verify_chain(events)
    assert events[-1].body["payload"] == {"approved": True}
    [received] = fleet.messages("standard")
    assert TaskMessage.from_body(received["Body"]).seq == 3


def test_a_signal_that_lost_its_message_is_made_whole_by_its_repetition(fleet: FleetOnMoto, api: Api) -> None:
    task_id = waiting(fleet, api)
    clients.sqs().delete_queue(QueueUrl=fleet.queue_urls["standard"])
    signal(api, task_id, 1).problem(503, "unavailable")
    fleet.make_queue("standard")
    assert signal(api, task_id, 1).headers["idempotent-replay"] == "true"
    [received] = fleet.messages("standard")
    assert TaskMessage.from_body(received["Body"]).seq == 3
    assert [event.kind for event in log_of(fleet, task_id)][3:] == [Kind.SIGNALLED]


def told_link(fleet: FleetOnMoto, task_id: str) -> str:
    """The link that the endpoint is told."""
    queue = clients.sqs().create_queue(QueueName="fleet-webhooks")["QueueUrl"]
    environment = fleet.environment() | {
        "FLOTILLA_BROADCAST": json.dumps({"transitions": [], "event_bus": None, "topic_arn": None}),
        "FLOTILLA_WEBHOOKS_QUEUE_URL": queue,
        "FLOTILLA_API_URL": "https://api.example",
    }
    broadcaster = BroadcasterFunction(BroadcasterSettings.from_environment(environment))
    records = [record_of(event) for event in log_of(fleet, task_id)]
    assert asyncio.run(broadcaster.answer({"Records": records})) == {"batchItemFailures": []}
    [message] = clients.sqs().receive_message(QueueUrl=queue)["Messages"]
    notice = json.loads(json.loads(message["Body"])["payload"])
    assert (notice["type"], notice["data"]["waiting"]["detail"]) == ("task.waiting", {"amount": 3})
    return str(notice["data"]["links"]["decide"])


def test_the_link_that_an_endpoint_is_told_decides_once(fleet: FleetOnMoto, api: Api) -> None:
    task_id = waiting(fleet, api)
    link = urlsplit(told_link(fleet, task_id))
    assert (link.scheme, link.netloc) == ("https", "api.example")
    assert api.call("GET", link.path, authorizer=None).status == 200
    first, second = (api.call("POST", link.path, "decision=approve", headers=FORM, authorizer=None) for _ in range(2))
    assert (first.status, second.status, first.text) == (200, 200, second.text)
    assert api.call("POST", link.path, "decision=deny", headers=FORM, authorizer=None).status == 409
    *_, last = log_of(fleet, task_id)
    assert (last.kind, last.actor) == (Kind.SIGNALLED, f"link:{ENDPOINT.id}")
    assert len(fleet.messages("standard")) == 1


def test_a_fleet_without_a_signing_key_has_no_links(fleet: FleetOnMoto) -> None:
    api = Api(fleet)
    assert ApiSettings.from_environment(fleet.environment()).decisions_secret is None
    for method in ("GET", "POST"):
        answer = api.call(method, "/v1/decisions/x.y", "decision=approve", headers=FORM, authorizer=None)
        assert answer.status == 404
