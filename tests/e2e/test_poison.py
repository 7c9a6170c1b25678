"""What nobody can read, and what kills every worker that takes it, beside healthy tasks: none of them waits for it.

How long healthy tasks take is compared within a run: by themselves, beside a task that kills its worker once (that is
a retry: the lease of those who were at work must end), and beside the poison.
"""

from __future__ import annotations

import itertools
import json
import uuid
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest

from flotilla.models import Payload, TaskMessage
from flotilla.primitives.lease import GRACE_SECONDS, SKEW_SECONDS
from tests.e2e.busy_lane import BusyLane, time_of
from tests.e2e.command import Command
from tests.e2e.engine import Engine
from tests.e2e.fleet_client import FleetClient
from tests.e2e.waiting import eventually

LANE = "batch"
LEASE_SECONDS = 5 + GRACE_SECONDS + SKEW_SECONDS
"""After a worker has died, a healthy task that it was at is taken over so much later."""

CRASH_LEASE_SECONDS = 2 + GRACE_SECONDS + SKEW_SECONDS

SHOWN_CHARACTERS = 4096
"""Of an unreadable message's body, in a list."""

UNLOGGED = TaskMessage(
    task_id="tsk_" + "0" * 32,
    tenant="demo",
    agent="diagnostics.echo",
    agent_version="1",
    lane=LANE,
    session=None,
    seq=1,
    hash="0" * 64,
    attempt=0,
    max_attempts=4,
    accepted_at_ms=0,
    deadline_ms=None,
    input=Payload(inline={"value": None}),
)
"""Readable, of a task that no log knows, and not the first of it: whose log is looked for."""


def unreadable_bodies() -> list[str]:
    return ["\u2620 no JSON", "[]", '{"v": 1}', "[" * 10_000, _unlogged()]


def _unlogged(session: str | None = None) -> str:
    return replace(UNLOGGED, task_id=f"tsk_{uuid.uuid4().hex}", session=session).to_body()


def healthy(count: int, **options: Any) -> list[dict[str, Any]]:
    """Tasks with a single attempt, which a neighbour's death must not cost them."""
    return [{"agent": "diagnostics.steps", "input": {"count": 1}, "max_attempts": 1, **options}] * count


def crash(attempts: int, **options: Any) -> dict[str, Any]:
    return {"agent": "diagnostics.crash", "input": {"crash_attempts": attempts}, **options}


@dataclass(frozen=True)
class Lane:
    """The lane of the tests; every batch finds its workers busy, and is handed out when they are free."""

    engine: Engine
    tenant: FleetClient
    operator: FleetClient

    def busy(self) -> BusyLane:
        return BusyLane.make(self.engine, self.tenant, self.operator, LANE)

    def seconds(self, *tasks: dict[str, Any]) -> float:
        """How long these take by themselves."""
        busy = self.busy()
        return busy.seconds_taken(succeeded(busy.finished(busy.submit(*tasks))))


@pytest.fixture
def lane(engine: Engine, tenant: FleetClient, operator: FleetClient) -> Lane:
    return Lane(engine, tenant, operator)


@pytest.fixture
def command(engine: Engine) -> Command:
    return Command(engine.info)


def succeeded(tasks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    assert {task["status"] for task in tasks} == {"succeeded"}, tasks
    return tasks


def actors(tenant: FleetClient, task_id: str) -> list[str]:
    """Which invocations started a task."""
    return [event["actor"] for event in tenant.events(task_id) if event["kind"] == "started"]


def test_messages_that_nobody_can_read_hold_up_nothing_and_are_kept_and_shown(
    lane: Lane, tenant: FleetClient, command: Command
) -> None:
    alone = lane.seconds(*healthy(5))
    busy = lane.busy()
    before = busy.submit(*healthy(2))
    bodies = unreadable_bodies()
    for body in bodies:
        busy.send(body)
    behind = busy.submit(*healthy(3))
    tasks = succeeded(busy.finished([*before, *behind]))
    assert {task["attempt"] for task in tasks} == {1}
    assert busy.seconds_taken(tasks) <= alone + LEASE_SECONDS

    def kept() -> list[dict[str, Any]] | None:
        listed = command.json("dlq", "list", "--limit", "500")
        letters = {letter["body"]: letter for letter in listed if letter["task_id"] is None and letter["lane"] == LANE}
        found = [letters.get(body[:SHOWN_CHARACTERS]) for body in bodies]
        return [letter for letter in found if letter] if all(found) else None

    found = eventually(kept, "the dead letters")
    assert all(letter["message"] for letter in found)
    (large,) = [letter for letter in found if "body_url" in letter]
    assert httpx.get(large["body_url"]).text == "[" * 10_000
    groups = {group["fingerprint"]: group for group in command.json("dlq", "groups")}
    for letter in found:
        group = groups[letter["fingerprint"]]
        assert (group["agent"], group["cause"], group["sample_task_id"]) == (None, letter["cause"], None)
    shown = command.run("dlq", "show", found[-1]["fingerprint"])
    assert f"message {found[-1]['message_id']}" in shown
    assert "the task has no log" in shown


def test_a_task_that_kills_its_workers_delays_those_beside_and_behind_it_by_a_retry(
    lane: Lane, tenant: FleetClient
) -> None:
    """All of a batch die with it once. They come back together, and it must not take them along again."""
    alone = lane.seconds(*healthy(9))
    once = lane.seconds(*healthy(3), crash(1), *healthy(5))
    busy = lane.busy()
    poison_id, *beside = busy.submit(crash(100, max_attempts=3), *healthy(8))
    eventually(lambda: actors(tenant, poison_id), "the first death")
    behind = busy.submit(*healthy(5))
    tasks = succeeded(busy.finished([*beside, *behind]))
    first = actors(tenant, poison_id)[0]
    assert any(actors(tenant, task_id)[0] == first for task_id in beside), "some were handed out together with it"
    assert {len(actors(tenant, task["id"])) for task in tasks} <= {1, 2}
    looping = busy.seconds_taken(tasks)
    assert looping <= max(once, alone + LEASE_SECONDS) + LEASE_SECONDS / 2

    poison = tenant.finished(poison_id)
    assert (poison["status"], poison["error"]["code"]) == ("dead_lettered", "worker_lost")
    # The first time it was not alone, so nobody knew whose fault it was.
    assert len(actors(tenant, poison_id)) == 1 + 3


def test_what_kills_its_workers_is_found_corrected_and_redriven_by_the_command(
    tenant: FleetClient, command: Command
) -> None:
    poison = tenant.run("diagnostics.crash", {"crash_attempts": 100}, max_attempts=2, lane=LANE)
    assert poison["status"] == "dead_lettered"
    (letter,) = eventually(
        lambda: [it for it in command.json("dlq", "list", "--agent", "diagnostics.crash") if it["id"] == poison["id"]],
        "the dead letter",
    )
    (group,) = [it for it in command.json("dlq", "groups") if it["fingerprint"] == letter["fingerprint"]]
    assert group["agent"] == "diagnostics.crash"
    assert group["cause"].startswith("worker_lost")
    assert group["fingerprint"] in command.run("dlq", "groups")

    corrected = ("dlq", "redrive", poison["id"], "--input", json.dumps({"crash_attempts": 0}))
    command.run("dlq", "redrive", poison["id"], "--input", '{"crash_attempts": -1}', status=1)
    (foretold,) = command.json(*corrected, "--dry-run")
    assert foretold["outcome"] == "would_redrive"
    assert tenant.kinds(poison["id"])[-1] == "dead_lettered", "nothing was done yet"
    (redriven,) = command.json(*corrected)
    assert (redriven["task_id"], redriven["outcome"]) == (poison["id"], "redriven")
    task = tenant.finished(poison["id"])
    assert (task["status"], task["input"]) == ("succeeded", {"crash_attempts": 0})
    kinds = tenant.kinds(poison["id"])
    assert kinds[kinds.index("dead_lettered") :] == ["dead_lettered", "redriven", "started", "succeeded"]

    (again,) = command.json(*corrected)
    assert again["outcome"] == "nothing"
    answer = tenant.http.post(f"/v1/tasks/{poison['id']}/redrive")
    assert answer.status_code in {200, 202}, answer.text
    assert answer.json()["redriven"] is False
    assert tenant.kinds(poison["id"]) == kinds
    eventually(
        lambda: poison["id"] not in {it["id"] for it in command.json("dlq", "list", "--agent", "diagnostics.crash")},
        "its end as a dead letter",
    )


def test_a_message_that_nobody_can_read_holds_up_its_session_no_longer_than_its_way_aside(
    lane: Lane, tenant: FleetClient
) -> None:
    alone = lane.seconds(*healthy(4, session=uuid.uuid4().hex))
    session = uuid.uuid4().hex
    group = replace(UNLOGGED, session=session).group
    busy = lane.busy()
    ids: list[str] = []
    for body in ("\u2620", _unlogged(session), "{}"):
        ids += busy.submit(*healthy(1, session=session))
        busy.send(body, group=group)
    ids += busy.submit(*healthy(1, session=session))
    tasks = succeeded(busy.finished(ids))
    for earlier, later in itertools.pairwise(tasks):
        assert earlier["finished_at"] <= later["started_at"]
    assert {task["attempt"] for task in tasks} == {1}
    assert busy.seconds_taken(tasks) <= alone + LEASE_SECONDS


def test_a_task_that_kills_its_workers_holds_up_its_session_until_it_is_given_up_and_no_other(
    lane: Lane, tenant: FleetClient
) -> None:
    alone = lane.seconds(*healthy(1, session=uuid.uuid4().hex))
    session, other = uuid.uuid4().hex, uuid.uuid4().hex
    busy = lane.busy()
    poison_id, behind_id, elsewhere_id = busy.submit(
        crash(100, session=session, max_attempts=1), *healthy(1, session=session), *healthy(1, session=other)
    )
    poison = tenant.finished(poison_id)
    behind, elsewhere = succeeded(busy.finished([behind_id, elsewhere_id]))
    assert poison["status"] == "dead_lettered"
    assert time_of(behind["started_at"]) >= time_of(poison["finished_at"])
    # A batch comes back when the worker could have ended all of it, and that works a session off in order.
    assert busy.seconds_taken([elsewhere]) <= alone + CRASH_LEASE_SECONDS + LEASE_SECONDS + LEASE_SECONDS / 2
    assert len(actors(tenant, elsewhere_id)) <= 2


def test_a_task_whose_input_is_gone_ends_and_can_be_looked_at(engine: Engine, tenant: FleetClient) -> None:
    task_id = tenant.accepted("diagnostics.echo", {"value": "x" * 100_000}, delay_seconds=3, max_attempts=2)
    objects, bucket = engine.client("s3"), engine.info.outputs["PayloadsBucket"]
    (found,) = objects.list_objects_v2(Bucket=bucket, Prefix=f"tenants/demo/tasks/{task_id}/")["Contents"]
    objects.delete_object(Bucket=bucket, Key=found["Key"])
    task = tenant.finished(task_id)
    assert (task["status"], task["error"]["code"], task["attempt"]) == ("dead_lettered", "payload_missing", 2)
    assert (task["input"], task["omitted"]) == (None, ["input"])


def test_a_message_that_nobody_can_read_on_the_delay_ladder_delays_nothing_there(
    engine: Engine, tenant: FleetClient, command: Command
) -> None:
    body = f"{uuid.uuid4().hex} is no JSON"
    delayed = [tenant.accepted("diagnostics.echo", {"value": n}, delay_seconds=1) for n in range(2)]
    engine.client("sqs").send_message(
        QueueUrl=engine.info.outputs["DelayQueue1"], MessageBody=body, MessageGroupId=uuid.uuid4().hex
    )
    delayed += [tenant.accepted("diagnostics.echo", {"value": n}, delay_seconds=1) for n in range(2)]
    tasks = succeeded([tenant.finished(task_id) for task_id in delayed])
    assert all(task["started_at"] >= task["due_at"] for task in tasks if task["due_at"])
    letter = eventually(
        lambda: next((it for it in command.json("dlq", "list", "--limit", "500") if it.get("body") == body), None),
        "the dead letter",
    )
    assert (letter["task_id"], letter["lane"]) == (None, "delays")
