"""Nothing is done without a person's yes, and with it once: whoever clicks how often, and whatever dies meanwhile."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.e2e.engine import Engine
from tests.e2e.fleet_client import FleetClient
from tests.e2e.runs import Runs
from tests.e2e.tenants import new_tenant
from tests.e2e.waiting import eventually
from tests.integration.webhooks.receiver import Receiver, receiving

PROPOSAL = {"refund_eur": 40}
APPROVE = {"decision": "approve"}
DENY = {"decision": "deny"}


@pytest.fixture
def client(engine: Engine) -> Iterator[FleetClient]:
    with new_tenant(engine) as found:
        yield found


@pytest.fixture
def runs(engine: Engine, client: FleetClient) -> Runs:
    return Runs(engine, client)


def value(*, crash_attempts: int = 0, timeout_seconds: int = 120) -> dict[str, Any]:
    """A proposal, and an action that counts outside of the log how often it was done."""
    return {
        "propose": {"agent": "diagnostics.echo", "input": {"value": PROPOSAL}},
        "act": {"agent": "diagnostics.crash", "input": {"crash_attempts": crash_attempts, "when": "after_effect"}},
        "question": "Refund 40 EUR?",
        "timeout_seconds": timeout_seconds,
    }


def asked(runs: Runs, run_id: str) -> str:
    """The task that asks, once it waits."""

    def waits() -> str | None:
        found = runs.step(runs.look(run_id), "Ask")["task_ids"]
        return found[0] if found and runs.task(found[0])["status"] == "waiting" else None

    return eventually(waits, "the question")


def signal(client: FleetClient, task_id: str, payload: Any) -> httpx.Response:
    return client.http.post(f"/v1/tasks/{task_id}/signal", json={"name": "decision", "payload": payload})


def test_what_is_denied_is_never_done_and_the_log_says_who_denied_it(client: FleetClient, runs: Runs) -> None:
    run_id = runs.started("approval", value())
    task_id = asked(runs, run_id)
    assert signal(client, task_id, DENY | {"note": "too much"}).status_code == 202
    run = runs.finished(run_id)
    assert (run["status"], run["output"]["outcome"]) == ("succeeded", "denied")
    (signalled,) = [event for event in client.events(task_id) if event["kind"] == "signalled"]
    assert signalled["actor"].startswith("key:")
    changed_mind = signal(client, task_id, APPROVE)
    assert changed_mind.status_code == 409
    assert changed_mind.json()["type"].endswith("already-signalled")
    assert runs.logged(run_id, "Act") == []


def test_what_nobody_decides_in_time_is_never_done(client: FleetClient, runs: Runs) -> None:
    run_id = runs.started("approval", value(timeout_seconds=2))
    run = runs.finished(run_id)
    assert (run["status"], run["output"]["outcome"]) == ("succeeded", "timed_out")
    late = signal(client, runs.step(run, "Ask")["task_ids"][0], APPROVE)
    assert late.status_code == 409
    assert late.json()["type"].endswith("not-waiting")
    assert runs.logged(run_id, "Act") == []


def test_what_is_approved_by_many_clicks_at_once_is_done_once_though_its_worker_dies_over_it(
    client: FleetClient, runs: Runs
) -> None:
    with receiving() as receiver:
        url = f"http://127.0.0.1:{receiver.port}/approvals"
        endpoint = client.http.post("/v1/webhooks", json={"url": url, "events": []})
        assert endpoint.status_code == 201, endpoint.text
        run_id = runs.started("approval", value(crash_attempts=1), webhook=endpoint.json()["id"])
        task_id = asked(runs, run_id)
        link = eventually(lambda: link_in(receiver, task_id), "the notice with its link")
    page = httpx.get(link, timeout=30)
    assert page.status_code == 200
    assert page.headers["cache-control"] == "no-store"
    assert runs.task(task_id)["status"] == "waiting", "who only looks decides nothing"

    def click(_: int) -> int:
        return httpx.post(link, data={"decision": "approve"}, timeout=60).status_code

    with ThreadPoolExecutor(4) as pool:
        signals = [pool.submit(signal, client, task_id, APPROVE) for _ in range(2)]
        clicks = [pool.submit(click, number) for number in range(2)]
        assert {answer.result().status_code for answer in signals} <= {202, 409}
        assert all(answer.result() < 500 for answer in clicks)
    run = runs.finished(run_id)
    assert (run["status"], run["output"]["outcome"]) == ("succeeded", "approved"), run
    assert run["output"]["proposal"] == PROPOSAL
    # Its first attempt died after the effect: the second sent it again, with the same key.
    assert run["output"]["result"] == {"attempt": 2, "sends": 2, "effects": 1}
    (act,) = runs.logged(run_id, "Act")
    assert act == run["output"]["tasks"]["act"]
    signalled = [event for event in client.events(task_id) if event["kind"] == "signalled"]
    assert len(signalled) == 1
    assert re.fullmatch(r"(key|link):.+", signalled[0]["actor"])
    assert httpx.post(link, data={"decision": "deny"}, timeout=60).status_code in {200, 409, 410}
    assert [event["kind"] for event in client.events(task_id)].count("signalled") == 1


def link_in(receiver: Receiver, task_id: str) -> str | None:
    """The link by which the task is decided, once somebody was told it."""
    notices = [json.loads(each.body)["data"] for each in receiver.received]
    return next(
        (each["links"]["decide"] for each in notices if each["id"] == task_id and "decide" in each["links"]), None
    )


def test_a_question_of_a_run_that_was_cancelled_can_no_longer_be_answered(client: FleetClient, runs: Runs) -> None:
    run_id = runs.started("approval", value())
    task_id = asked(runs, run_id)
    assert runs.cancel(run_id).status_code == 202
    eventually(lambda: runs.task(task_id)["status"] == "cancelled", "the end of its question")
    late = signal(client, task_id, APPROVE)
    assert late.status_code == 409
    assert late.json()["type"].endswith("not-waiting")
    assert (runs.finished(run_id)["status"], runs.logged(run_id, "Act")) == ("cancelled", [])
