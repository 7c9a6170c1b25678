"""On the engine, capacity follows the work: a burst raises its lane, which is lowered again; what was lent comes back.

The scaler is deployed and its schedule is not: each run here is a period.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local.engine import down, up
from local.instance import Instance
from stacks.background import reserved_concurrency
from stacks.config import parse
from stacks.settings_rules import UNRESERVED_CONCURRENCY
from tests.e2e.engine import Engine
from tests.e2e.fleet_client import FleetClient
from tests.e2e.waiting import eventually

SHARES = {"standard": 3, "batch": 4}
LENT = 2
BURST = 900
LATER = 100
DRAIN_SECONDS = 300
"""Much longer than it takes: a machine may have other things to do."""


@dataclass(frozen=True)
class Scaled:
    engine: Engine
    tenant: FleetClient
    operator: FleetClient

    def period(self) -> list[dict[str, Any]]:
        """Have the scaler run once; what it changed."""
        answer = self.engine.client("lambda").invoke(FunctionName="flotilla-scaler", Payload=b"{}")
        assert "FunctionError" not in answer, answer["Payload"].read()
        return list(json.loads(answer["Payload"].read()))

    def has(self, lane: str) -> tuple[int, int]:
        """A lane's maximum concurrency and what is reserved for it, as the engine has them."""
        functions, name = self.engine.client("lambda"), f"flotilla-worker-{lane}"
        (mapping,) = functions.list_event_source_mappings(FunctionName=name)["EventSourceMappings"]
        reserved = functions.get_function_concurrency(FunctionName=name)["ReservedConcurrentExecutions"]
        found = int(mapping["ScalingConfig"]["MaximumConcurrency"]), int(reserved)
        assert found[0] <= found[1]
        return found

    def all(self) -> dict[str, tuple[int, int]]:
        found = {lane: self.has(lane) for lane in SHARES}
        assert sum(reserved for _, reserved in found.values()) <= sum(SHARES.values())
        return found

    def shown(self, lane: str) -> dict[str, Any]:
        lanes = self.operator.http.get("/v1/lanes").json()["items"]
        return next(dict(each["concurrency"]) for each in lanes if each["name"] == lane)

    def submit(self, count: int, agent: str, value: Any, lane: str) -> list[str]:
        ids: list[str] = []
        while len(ids) < count:
            tasks = [{"agent": agent, "input": value, "lane": lane}] * min(100, count - len(ids))
            answer = self.tenant.http.post(
                "/v1/task-batches", json={"tasks": tasks}, headers={"Idempotency-Key": uuid.uuid4().hex}
            )
            assert answer.status_code == 200, answer.text
            ids += [result["task"]["id"] for result in answer.json()["results"]]
        return ids

    def messages(self, lane: str) -> tuple[int, int]:
        """A lane's messages that could be handed out, and that are."""
        counts = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        queue = self.engine.info.outputs[f"LaneQueue{lane.capitalize()}"]
        found = self.engine.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=counts)["Attributes"]
        return int(found[counts[0]]), int(found[counts[1]])

    def nothing_left(self) -> bool:
        return all(self.messages(lane) == (0, 0) for lane in SHARES)

    def histories(self) -> dict[str, list[str]]:
        """What happened to each task."""
        pages = self.engine.client("dynamodb").get_paginator("scan")
        found: dict[str, list[tuple[int, str]]] = defaultdict(list)
        for page in pages.paginate(TableName=self.engine.info.outputs["EventsTable"]):
            for item in page["Items"]:
                found[item["task_id"]["S"]].append((int(item["seq"]["N"]), item["kind"]["S"]))
        return {task: [kind for _, kind in sorted(events)] for task, events in found.items()}


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scaled]:
    root = tmp_path_factory.mktemp("scaled")
    text = Path(__file__).with_name("scaled_fleet.toml").read_text(encoding="utf-8")
    others = sum(reserved_concurrency(parse(text.replace("$account", "1000"), local=True)).values())
    config = root / "fleet.toml"
    account = UNRESERVED_CONCURRENCY + others + sum(SHARES.values())
    config.write_text(text.replace("$account", str(account)), encoding="utf-8")
    instance = Instance(root=root / "engine", port=0, config=config, owner_pid=os.getpid())
    try:
        info = up(instance)
        tenant, operator = (FleetClient(info.api_url, key) for key in (info.tenant_key, info.operator_key))
        with tenant.http, operator.http:
            yield Scaled(Engine(instance, info), tenant, operator)
    finally:
        down(instance)


def test_a_burst_raises_its_lane_by_what_another_lends_which_has_it_back_within_two_periods(fleet: Scaled) -> None:
    assert fleet.all() == {"standard": (3, 3), "batch": (4, 4)}, "as deployed"
    eventually(
        lambda: not fleet.period() and fleet.all() == {"standard": (2, 3), "batch": (2, 4)},
        "idle lanes are lowered to the least",
        every=1,
    )

    burst = fleet.submit(BURST, "diagnostics.sleep", {"seconds": 0.3}, "standard")
    eventually(
        lambda: fleet.period() and fleet.has("standard") == (5, 5), "the burst has all that can be lent", every=0.5
    )
    assert fleet.has("batch") == (2, SHARES["batch"] - LENT)
    assert (fleet.shown("standard")["allowed"], fleet.shown("standard")["borrowed"]) == (5, 2)
    assert fleet.shown("batch")["lent"] == LENT

    later = fleet.submit(LATER, "diagnostics.sleep", {"seconds": 1}, "batch")
    eventually(lambda: fleet.messages("batch")[1] >= 10, "the lane that lent is at work", every=0.2)
    fleet.period()
    assert fleet.has("standard") == (3, 5), "first its mapping is told, and only later is less reserved"
    time.sleep(1.5)  # the settling time, which the scaler takes from the machine's own clock
    fleet.period()
    assert fleet.all() == {"standard": (3, 3), "batch": (4, 4)}

    eventually(fleet.nothing_left, "every task has been worked off", seconds=DRAIN_SECONDS, every=1)
    ends = eventually(lambda: ended(fleet.histories(), [*burst, *later]), "every task has ended", every=3)
    assert ends == [1] * (BURST + LATER), "each has succeeded once"

    since = time.monotonic()
    fleet.period()
    eventually(
        lambda: fleet.period() and all(fleet.has(lane)[0] == 2 for lane in SHARES), "the lanes are lowered", every=1
    )
    assert time.monotonic() - since >= 5, "not before the cooldown, of which five seconds are jitter"
    assert fleet.all() == {"standard": (2, 3), "batch": (2, 4)}


def ended(histories: dict[str, list[str]], tasks: list[str]) -> list[int] | None:
    """How often each of the tasks has succeeded; None while one has not ended. Nothing else may have become of any."""
    found = [histories.get(task, []) for task in tasks]
    for kinds in found:
        # A store that is slow to answer parks a task: on a machine with other things to do that may happen.
        assert set(kinds) <= {"accepted", "started", "parked", "succeeded"}, kinds
    return [kinds.count("succeeded") for kinds in found] if all("succeeded" in kinds for kinds in found) else None
