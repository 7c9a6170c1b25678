"""Integrations of a deployed fleet: what is sent, what is repeated, and what an outage costs the tasks that need it."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from benchmarks.chaos.tally import read_logs
from benchmarks.fault_lab.script import Phase, Reply, Script
from benchmarks.fault_lab.server import FaultServer, Received
from flotilla.events import Kind
from local.engine import down, up
from local.instance import Instance
from tests.e2e.conftest import Engine
from tests.e2e.fleet_client import FleetClient
from tests.e2e.waiting import eventually

SECRET = "what-opens-the-lab"
AGENT = "diagnostics.call"

WELL = Script.steady()
DEAD = Script.steady(Reply(weight=2, status=503), Reply(fault="reset"))
OUTAGE_TASKS = 12
DELAY_SECONDS = 8


@dataclass(frozen=True)
class Lab:
    """A fleet, and the server that it declares as the integration `lab`."""

    engine: Engine
    server: FaultServer
    tenant: FleetClient

    def call(self, **value: Any) -> str:
        """Submit a task that makes one call; its id."""
        return self.tenant.accepted(AGENT, {"integration": "lab", **value})

    def received(self, path: str) -> list[Received]:
        return [request for request in self.server.received if request.path == path]

    def parked(self, task_id: str) -> list[dict[str, Any]]:
        return [event for event in self.tenant.events(task_id) if event["kind"] == "parked"]

    def recover(self) -> None:
        """Have the server do well, and the circuit find out."""
        self.server.follow(WELL)
        assert self.tenant.finished(self.call(path="/things/recovered"))["status"] == "succeeded"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    root = tmp_path_factory.mktemp("integrations")
    template = Path(__file__).with_name("integration_fleet.toml").read_text(encoding="utf-8")
    with FaultServer(WELL) as server:
        config = root / "fleet.toml"
        config.write_text(template.replace("$lab", f"{server.url}/v1"), encoding="utf-8")
        instance = Instance(root=root / "engine", port=0, config=config, owner_pid=os.getpid())
        try:
            engine = Engine(instance, up(instance))
            secret = json.dumps({"key": SECRET})
            engine.client("secretsmanager").create_secret(Name="lab/key", SecretString=secret)
            tenant = FleetClient(engine.info.api_url, engine.info.tenant_key)
            with tenant.http:
                yield Lab(engine, server, tenant)
        finally:
            down(instance)


@pytest.fixture
def path(lab: Lab) -> Iterator[str]:
    """A path of the test's own; afterwards the integration is well again."""
    yield f"/things/{uuid.uuid4().hex}"
    lab.server.follow(WELL)


def test_a_call_goes_below_the_base_url_with_the_secret_that_is_declared(lab: Lab, path: str) -> None:
    task = lab.tenant.finished(lab.call(path=f"{path}?page=2"))
    assert (task["status"], task["output"]["status"]) == ("succeeded", 200)
    (request,) = lab.received(f"/v1{path}?page=2")
    assert request.method == "GET"
    assert request.headers["x-api-key"] == SECRET
    assert "idempotency-key" not in request.headers
    assert SECRET not in json.dumps(lab.tenant.events(task["id"])[0])


def test_a_post_carries_its_body_and_one_idempotency_key_however_often_it_is_made(lab: Lab, path: str) -> None:
    lab.server.follow(Script.one_after_the_other(Reply(fault="reset"), Reply()))
    task = lab.tenant.finished(lab.call(method="POST", path=path, body={"name": "Ada"}))
    assert task["status"] == "succeeded"
    first, second = lab.received(f"/v1{path}")
    assert first.json() == second.json() == {"name": "Ada"}
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
    other = lab.tenant.finished(lab.call(method="POST", path=path, body={"name": "Ada"}))
    assert other["status"] == "succeeded"
    assert lab.received(f"/v1{path}")[-1].headers["idempotency-key"] != first.headers["idempotency-key"]


def test_what_the_other_side_refuses_is_given_up_at_once(lab: Lab, path: str) -> None:
    lab.server.follow(Script.steady(Reply(status=422, body=b'{"why": "no such thing"}')))
    task = lab.tenant.finished(lab.call(path=path))
    assert (task["status"], task["error"]["code"]) == ("dead_lettered", "integration_refused")
    assert "attempt_failed" not in lab.tenant.kinds(task["id"])
    assert len(lab.received(f"/v1{path}")) == 1


def test_a_server_error_that_passes_is_tried_again_within_the_attempt(lab: Lab, path: str) -> None:
    lab.server.follow(Script((Phase((Reply(status=502),), requests=1), Phase())))
    task = lab.tenant.finished(lab.call(path=path))
    assert task["status"] == "succeeded"
    assert "attempt_failed" not in lab.tenant.kinds(task["id"])
    assert [request.status for request in lab.received(f"/v1{path}")] == [502, 200]


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ({"path": "/others"}, "path_not_allowed"),
        ({"path": "//127.0.0.1:1/things"}, "path_not_allowed"),
        ({"path": "/things/../../admin"}, "invalid_request"),
        ({"path": "/things", "integration": "elsewhere"}, "integration_forbidden"),
        ({"path": "/things", "integration": "unheard-of"}, "integration_not_declared"),
    ],
)
def test_nothing_goes_where_it_was_not_declared_to(lab: Lab, value: dict[str, Any], code: str) -> None:
    task = lab.tenant.finished(lab.call(**value))
    assert (task["status"], task["error"]["code"]) == ("dead_lettered", code)


def test_an_answer_that_leads_to_another_host_is_not_followed(lab: Lab, path: str) -> None:
    lab.server.follow(Script.steady(Reply(status=302, headers={"Location": "http://127.0.0.1:1/things"})))
    task = lab.tenant.finished(lab.call(path=path))
    assert (task["status"], task["error"]["code"]) == ("dead_lettered", "integration_redirect")


def test_a_failure_of_which_no_other_call_says_better_is_nobodys_attempt(lab: Lab, path: str) -> None:
    """Too few tasks for the circuit to be sure: they wait all the same, and none is given up."""
    lab.server.follow(DEAD)
    task_id = lab.tenant.accepted(AGENT, {"integration": "lab", "path": path}, max_attempts=1)
    eventually(lambda: len(lab.parked(task_id)) >= 1, "a task that waits")
    lab.server.follow(WELL)
    assert lab.tenant.finished(task_id)["status"] == "succeeded"
    assert "attempt_failed" not in lab.tenant.kinds(task_id)


def test_an_outage_parks_tasks_at_no_cost_of_attempts_and_stops_the_calls(lab: Lab) -> None:
    lab.recover()
    lab.server.follow(DEAD)
    paths = [f"/effects/{uuid.uuid4().hex}" for _ in range(OUTAGE_TASKS)]
    tasks = {lab.call(method="POST", path=path, body={}): path for path in paths}

    def open_parks(task_id: str) -> int:
        return sum(event["reason"] == "circuit_open" for event in lab.parked(task_id))

    eventually(lambda: all(open_parks(task_id) for task_id in tasks), "all tasks parked", every=0.5)
    rejected = lab.tenant.submit("diagnostics.echo", {"value": 1})
    assert rejected.status_code == 503, rejected.text
    assert rejected.json()["type"].endswith("dependency-unavailable")
    assert int(rejected.headers["Retry-After"]) >= 1

    parks, calls = sum(map(open_parks, tasks)), len(lab.server.received)
    eventually(
        lambda: sum(map(open_parks, tasks)) >= parks + OUTAGE_TASKS, "tasks that looked again in vain", every=0.5
    )
    looks, calls = sum(map(open_parks, tasks)) - parks, len(lab.server.received) - calls
    assert calls <= looks / 2, f"{calls} calls and {looks} refusals while it was down"

    lab.server.follow(WELL)
    for task_id, path in tasks.items():
        task = lab.tenant.finished(task_id)
        assert task["status"] == "succeeded"
        assert sum(request.status == 200 for request in lab.received(f"/v1{path}")) == 1
        assert len({request.headers["idempotency-key"] for request in lab.received(f"/v1{path}")}) == 1


@pytest.fixture
def storeless(lab: Lab) -> Iterator[None]:
    """The fleet's `control` table is gone: circuits, limits, caps, pauses and keys; afterwards it is as it was."""
    tables, name = lab.engine.client("dynamodb"), lab.engine.info.outputs["ControlTable"]
    shape = tables.describe_table(TableName=name)["Table"]
    items = [item for page in tables.get_paginator("scan").paginate(TableName=name) for item in page["Items"]]
    tables.delete_table(TableName=name)
    try:
        yield
    finally:
        tables.create_table(
            TableName=name,
            KeySchema=shape["KeySchema"],
            AttributeDefinitions=shape["AttributeDefinitions"],
            BillingMode="PAY_PER_REQUEST",
        )
        for item in items:
            tables.put_item(TableName=name, Item=item)


@pytest.fixture
def delayed(lab: Lab) -> list[str]:
    """Tasks that will call the integration in a few seconds."""
    lab.recover()
    call = {"integration": "lab", "method": "POST", "path": f"/effects/{uuid.uuid4().hex}", "body": {}}
    return [lab.tenant.accepted(AGENT, call, delay_seconds=DELAY_SECONDS) for _ in range(5)]


def test_calls_go_on_without_what_protects_them_and_the_log_says_so(
    lab: Lab, delayed: list[str], storeless: None
) -> None:
    def ended() -> bool:
        logs = read_logs(lab.engine.info)
        return all(logs[task_id][-1].kind is Kind.SUCCEEDED for task_id in delayed)

    eventually(ended, "the tasks' success", every=0.5)
    eventually(lambda: "protection unavailable" in worker_log(lab.engine), "the line about it", every=0.5)


def worker_log(engine: Engine) -> str:
    group = "/aws/lambda/flotilla-worker-standard"
    pages = engine.client("logs").get_paginator("filter_log_events").paginate(logGroupName=group)
    return "\n".join(event["message"] for page in pages for event in page["events"])
