"""Webhooks through the deployed fleet, to a real receiver that verifies with the standard's own library.

Each test has a tenant of its own: an endpoint of a tenant that the broadcaster has not seen yet is told at once.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from flotilla.broadcast import Answer
from flotilla.clock import SystemClock, rfc3339
from tests.e2e.engine import Engine
from tests.e2e.fleet_client import FleetClient
from tests.e2e.tenants import new_tenant
from tests.e2e.waiting import eventually
from tests.integration.webhooks.receiver import Received, Receiver, receiving


@pytest.fixture
def client(engine: Engine) -> Iterator[FleetClient]:
    with new_tenant(engine) as found:
        yield found


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


@dataclass(frozen=True)
class Endpoint:
    """A registered endpoint."""

    id: str
    url: str
    secret: str


def register(client: FleetClient, receiver: Receiver, path: str = "/hook", **options: Any) -> Endpoint:
    url = f"http://127.0.0.1:{receiver.port}{path}"
    answer = client.http.post("/v1/webhooks", json={"url": url, **options})
    assert answer.status_code == 201, answer.text
    return Endpoint(answer.json()["id"], url, answer.json()["secret"])


def refused(answer: httpx.Response) -> list[str]:
    """Where a request was wrong."""
    assert answer.status_code == 422, answer.text
    return [error["path"] for error in answer.json()["errors"]]


def in_a_second() -> str:
    return rfc3339(SystemClock().now_ms() + 1000)


def verified(received: Received, secret: str) -> Any:
    return Webhook(secret).verify(received.body, received.headers)


def told(receiver: Receiver, count: int, path: str = "/hook") -> list[Received]:
    """What came to a path, once so much has come."""

    def came() -> list[Received] | None:
        found = [each for each in receiver.received if each.path == path]
        return found if len(found) >= count else None

    return eventually(came, f"{count} webhooks")


def test_how_tasks_end_is_told_signed_and_to_no_other_tenant(
    client: FleetClient, tenant: FleetClient, receiver: Receiver
) -> None:
    endpoint = register(client, receiver)
    tenant.run("diagnostics.echo", {"value": "another's"})
    ends = {
        client.accepted("diagnostics.echo", {"value": {"größe": 1}}, labels={"team": "x"}): "succeeded",
        client.accepted("diagnostics.flaky", {"fail_attempts": 1, "error": "permanent"}): "dead_lettered",
        client.accepted("diagnostics.echo", {"value": 1}, delay_seconds=600): "cancelled",
        client.accepted("diagnostics.sleep", {"seconds": 2}, session="s"): "succeeded",
        client.accepted("diagnostics.echo", {"value": 1}, session="s", deadline=in_a_second()): "expired",
    }
    for task_id, status in ends.items():
        if status == "cancelled":
            assert client.http.post(f"/v1/tasks/{task_id}/cancel").status_code == 202
    received = told(receiver, len(ends))
    notices = [verified(each, endpoint.secret) for each in received]
    assert {notice["data"]["id"]: notice["type"] for notice in notices} == {
        task_id: f"task.{status}" for task_id, status in ends.items()
    }
    assert len({each.headers["webhook-id"] for each in received}) == len(ends)
    succeeded, dead, *_ = ({notice["data"]["id"]: notice["data"] for notice in notices}[task_id] for task_id in ends)
    assert (succeeded["output"], succeeded["labels"]) == ({"größe": 1}, {"team": "x"})
    assert dead["error"]["code"] == "told_to_fail"
    for notice in notices:
        newest = client.events(notice["data"]["id"])[-1]
        assert (notice["data"]["seq"], notice["timestamp"]) == (newest["seq"], newest["at"])


def test_what_is_not_taken_comes_again_as_the_same_and_a_redirect_is_never_followed(
    client: FleetClient, receiver: Receiver
) -> None:
    failing, redirecting = register(client, receiver, "/fails"), register(client, receiver, "/moved")
    receiver.location = f"http://127.0.0.1:{receiver.port}/elsewhere"
    first = {"/fails": 500, "/moved": 307}
    receiver.answer = lambda received: Answer(first.pop(received.path, 204))
    client.run("diagnostics.echo", {"value": 1})
    for endpoint, path in ((failing, "/fails"), (redirecting, "/moved")):
        once, again = told(receiver, 2, path)
        assert once.headers["webhook-id"] == again.headers["webhook-id"]
        assert verified(once, endpoint.secret) == verified(again, endpoint.secret)
        assert int(once.headers["webhook-timestamp"]) < int(again.headers["webhook-timestamp"])
    assert {each.path for each in receiver.received} == {"/fails", "/moved"}


def test_while_a_secret_is_rotated_both_verify(client: FleetClient, receiver: Receiver) -> None:
    before = register(client, receiver)
    after = register(client, receiver)
    assert (after.id, after.secret != before.secret) == (before.id, True)
    client.run("diagnostics.echo", {"value": 1})
    (received,) = told(receiver, 1)
    assert verified(received, before.secret) == verified(received, after.secret)
    with pytest.raises(WebhookVerificationError):
        verified(received, "whsec_" + "A" * 32)
    listed = client.http.get("/v1/webhooks").json()["items"]
    assert [endpoint["id"] for endpoint in listed] == [after.id]
    assert "secret" not in json.dumps(listed)


def test_a_task_may_name_who_is_told_of_its_end(client: FleetClient, tenant: FleetClient, receiver: Receiver) -> None:
    endpoint = register(client, receiver, events=[])
    client.run("diagnostics.echo", {"value": "names nobody"})
    named = [
        client.run("diagnostics.echo", {"value": "by its id"}, webhook=endpoint.id)["id"],
        client.run("diagnostics.echo", {"value": "by its URL"}, webhook=endpoint.url)["id"],
    ]
    notices = [verified(each, endpoint.secret) for each in told(receiver, 2)]
    assert sorted(notice["data"]["id"] for notice in notices) == sorted(named)
    unknown = f"whk_{uuid.uuid4().hex[:24]}"
    assert refused(client.submit("diagnostics.echo", {"value": 1}, webhook=unknown)) == ["/webhook"]
    # Another tenant's is as unknown as one that never was.
    assert refused(tenant.submit("diagnostics.echo", {"value": 1}, webhook=endpoint.id)) == ["/webhook"]


def test_who_says_that_it_is_gone_is_told_nothing_more(client: FleetClient, receiver: Receiver) -> None:
    endpoint, witness = register(client, receiver, "/gone"), register(client, receiver, "/witness")
    receiver.answer = lambda received: Answer(410 if received.path == "/gone" else 204)

    def state() -> str:
        return str(client.http.get(f"/v1/webhooks/{endpoint.id}").json()["state"])

    client.run("diagnostics.echo", {"value": 1})
    eventually(lambda: state() == "disabled", "the end of the endpoint")
    client.run("diagnostics.echo", {"value": 2})
    told(receiver, 2, "/witness")
    assert client.http.delete(f"/v1/webhooks/{witness.id}").status_code == 204
    assert len(told(receiver, 1, "/gone")) == 1


@pytest.mark.parametrize(
    "url",
    [
        "https://10.0.0.1/hook",
        "https://172.16.0.1/hook",
        "https://192.168.1.1/hook",
        "https://100.64.0.1/hook",
        "https://169.254.169.254/latest/meta-data/",
        "http://169.254.169.254/latest/meta-data/",
        "https://[fd00:ec2::254]/latest/meta-data/",
        "https://[::1]/hook",
        "https://[::ffff:10.0.0.1]/hook",
        "https://[64:ff9b::a9fe:a9fe]/hook",
        "https://127.0.0.2/hook",
        "https://0.0.0.0/hook",
        "https://2130706433/hook",
        "https://0x7f000001/hook",
        "https://user@example.com/hook",
        "https://example.com:25/hook",
        "http://example.com/hook",
        "ftp://127.0.0.1/hook",
    ],
)
def test_where_no_webhook_may_go_none_is_registered(client: FleetClient, url: str) -> None:
    assert refused(client.http.post("/v1/webhooks", json={"url": url})) == ["/url"]
    assert client.http.get("/v1/webhooks").json()["items"] == []


def test_what_leads_inside_since_it_was_registered_is_not_called(
    client: FleetClient, engine: Engine, receiver: Receiver
) -> None:
    """As if its name had stood for a public address then, and stood for these now."""
    inside = f"https://127.0.0.2:{receiver.port}/", "https://169.254.169.254/latest/meta-data/", "https://10.0.0.1/"
    endpoints = [register(client, receiver, f"/{number}") for number in range(len(inside))]
    register(client, receiver)
    tables, control = engine.client("dynamodb"), engine.info.outputs["ControlTable"]
    tenant = client.http.get(f"/v1/tasks/{client.accepted('diagnostics.echo', {'value': 1})}").json()["tenant"]
    told(receiver, 1)
    for endpoint, url in zip(endpoints, inside, strict=True):
        tables.update_item(
            TableName=control,
            Key={"pk": {"S": f"WEBHOOKS#{tenant}"}, "sk": {"S": endpoint.id}},
            UpdateExpression="SET #url = :url",
            ExpressionAttributeNames={"#url": "url"},
            ExpressionAttributeValues={":url": {"S": url}},
        )
    before = len(receiver.received)
    task = client.run("diagnostics.echo", {"value": 2})
    assert verified_ids(told(receiver, 2)) >= {task["id"]}
    errors = eventually(lambda: refusals(engine, task["id"], len(inside)), "the refusals")
    assert all("not public" in error for error in errors)
    assert {each.path for each in receiver.received[before:]} == {"/hook"}


def verified_ids(received: list[Received]) -> set[str]:
    return {json.loads(each.body)["data"]["id"] for each in received}


def refusals(engine: Engine, task_id: str, count: int) -> list[str] | None:
    """Why deliveries of a task's notice failed, by the webhook function's log."""
    group = f"/aws/lambda/{engine.info.outputs['WebhookFunction']}"
    found = []
    for page in engine.client("logs").get_paginator("filter_log_events").paginate(logGroupName=group):
        lines = [event["message"] for event in page["events"] if task_id in event["message"]]
        found += [line["error"] for line in map(json.loads, lines) if line["message"] == "webhook failed"]
    return found if len(found) >= count else None
