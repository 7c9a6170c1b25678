"""Tasks that wait for a signal, through the deployed fleet: by the API, by a link, and in vain."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.e2e.engine import Engine
from tests.e2e.fleet_client import FleetClient
from tests.e2e.tenants import new_tenant
from tests.e2e.waiting import eventually
from tests.integration.webhooks.receiver import Receiver, receiving

WAIT = "diagnostics.wait"
WAITED = ["accepted", "started", "waiting"]


@pytest.fixture
def client(engine: Engine) -> Iterator[FleetClient]:
    with new_tenant(engine) as found:
        yield found


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


def waiting(client: FleetClient, task_id: str) -> dict[str, Any]:
    """The task, once it waits."""

    def looked() -> dict[str, Any] | None:
        task: dict[str, Any] = client.http.get(f"/v1/tasks/{task_id}").json()
        return task if task["status"] == "waiting" else None

    return eventually(looked, "the wait")


def signal(client: FleetClient, task_id: str, payload: Any, name: str = "decision") -> httpx.Response:
    return client.http.post(f"/v1/tasks/{task_id}/signal", json={"name": name, "payload": payload})


def test_a_signal_sets_a_waiting_task_going_and_its_payload_is_the_agents(client: FleetClient) -> None:
    task_id = client.accepted(WAIT, {"name": "go"}, session="s")
    task = waiting(client, task_id)
    assert (task["waiting"]["for"], task["waiting"]["until"]) == ("go", None)
    meanwhile = client.run("diagnostics.echo", {"value": 1}, session="s")
    assert meanwhile["status"] == "succeeded", "the session goes on"
    assert signal(client, task_id, 1, "other").status_code == 409
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: signal(client, task_id, {"yes": [1, "ü"]}, "go"), range(10)))
    assert {answer.status_code for answer in answers} == {202}, [answer.text for answer in answers]
    assert sum("Idempotent-Replay" not in answer.headers for answer in answers) == 1
    assert signal(client, task_id, {"yes": []}, "go").status_code == 409
    task = client.finished(task_id)
    assert (task["output"], task["attempt"]) == ({"payload": {"yes": [1, "ü"]}}, 2)
    assert client.kinds(task_id) == [*WAITED, "signalled", "started", "succeeded"]


def test_a_wait_is_over_in_time_and_a_cancel_ends_it(client: FleetClient) -> None:
    in_vain = client.accepted(WAIT, {"timeout_seconds": 2})
    cancelled = client.accepted(WAIT, {"timeout_seconds": 86_400})
    waiting(client, cancelled)
    assert client.http.post(f"/v1/tasks/{cancelled}/cancel").json()["cancelled"] is True
    task = client.finished(in_vain)
    assert (task["status"], task["error"]["code"]) == ("dead_lettered", "wait_timeout")
    assert client.kinds(in_vain) == [*WAITED, "resumed", "started", "dead_lettered"]
    events = client.events(in_vain)
    assert events[3]["at"] >= events[2]["until"]
    assert client.kinds(cancelled) == [*WAITED, "cancelled"]


def test_the_endpoint_that_a_task_names_is_told_a_link_that_decides_once(
    client: FleetClient, receiver: Receiver
) -> None:
    registered = client.http.post("/v1/webhooks", json={"url": f"http://127.0.0.1:{receiver.port}/in", "events": []})
    endpoint_id = registered.json()["id"]
    task_id = client.accepted(WAIT, {"timeout_seconds": 600}, webhook=endpoint_id)

    def told() -> str | None:
        notices = [json.loads(received.body) for received in receiver.received]
        links = [notice["data"]["links"] for notice in notices if notice["type"] == "task.waiting"]
        return str(links[0]["decide"]) if links else None

    path = urlsplit(eventually(told, "the link")).path
    with httpx.Client(base_url=client.http.base_url, timeout=60) as person:
        page = person.get(path)
        assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert task_id in page.text and "frame-ancestors 'none'" in page.headers["content-security-policy"]
        assert client.kinds(task_id) == WAITED, "looking decides nothing"
        with ThreadPoolExecutor(5) as pool:
            clicks = list(pool.map(lambda _: person.post(path, data={"decision": "approve"}), range(5)))
        assert {click.status_code for click in clicks} == {200}, [click.text for click in clicks]
        assert len({click.text for click in clicks}) == 1
        assert person.post(path, data={"decision": "deny"}).status_code == 409
        assert person.get(path[:-1]).status_code == 404
    task = client.finished(task_id)
    assert task["output"] == {"payload": {"decision": "approve", "via": "link"}}
    signalled = client.events(task_id)[3]
    assert (signalled["kind"], signalled["actor"]) == ("signalled", f"link:{endpoint_id}")
