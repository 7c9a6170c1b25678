"""What tasks used, as the fleet tells it: to the cent, and to the last figure, what their logs say."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from flotilla.clock import SystemClock, rfc3339
from tests.e2e.command import Command
from tests.e2e.engine import Engine
from tests.e2e.fleet_client import FleetClient
from tests.e2e.runs import Runs
from tests.e2e.tenants import new_tenant
from tests.e2e.waiting import eventually

ENDS = frozenset({"succeeded", "dead_lettered", "cancelled", "expired"})
MONEY = ("model_usd", "compute_usd")
COUNTED = ("tasks", "attempts", "billed_ms", "model_calls", "input_tokens", "output_tokens")
COUNTED_BY_MODEL = ("model_calls", "input_tokens", "output_tokens")


@pytest.fixture
def command(engine: Engine) -> Command:
    return Command(engine.info)


@pytest.fixture
def client(engine: Engine) -> Iterator[FleetClient]:
    with new_tenant(engine) as client:
        yield client


class Told:
    """What the fleet tells of usage from now on, beyond what it told before."""

    def __init__(self, command: Command, client: FleetClient) -> None:
        self._command = command
        self._client = client
        self._since = rfc3339(SystemClock().now_ms())
        # Once this one is told of, so is all that ended before it.
        self.tenant = client.run("diagnostics.echo", {"value": 1})["tenant"]
        eventually(lambda: self.now("tenant").get(self.tenant), "the first task's usage", every=0.5)
        self._before = {group: self.now(group) for group in ("agent", "model", "tenant")}

    def now(self, group: str) -> dict[str, Any]:
        """By the members of a group; as the API tells it."""
        query = {"group_by": group, "since": self._since, "limit": "100"}
        return self._items(group, self._client.http.get("/v1/usage", params=query).json())

    def since(self, group: str) -> Callable[[str, str], float]:
        """How much more of something a member of a group used; as the command tells it."""
        before = self._before[group]
        after = self._items(group, self._command.json("usage", "--by", group, "--since", self._since))
        return lambda name, member: after.get(name, {}).get(member, 0) - before.get(name, {}).get(member, 0)

    @staticmethod
    def _items(group: str, answer: Any) -> dict[str, Any]:
        assert answer["complete"]
        return {item[group]: item for item in answer["items"]}


def mixed(client: FleetClient, engine: Engine) -> list[str]:
    """Have tasks of all kinds done; those whose logs tell what they used."""
    waiting = client.accepted("diagnostics.echo", {"value": 1}, delay_seconds=600)
    tasks = [
        *(client.accepted("diagnostics.generate", {"route": "fast", "prompt": f"Say {word}."}) for word in "abc"),
        client.accepted("diagnostics.steps", {"count": 3}),
        client.accepted("diagnostics.flaky", {"fail_attempts": 1, "error": "retryable"}),
        client.accepted("diagnostics.sleep", {"seconds": 0.3}),
        waiting,
    ]
    failed = client.run("diagnostics.flaky", {"fail_attempts": 1, "error": "permanent"})
    assert failed["status"] == "dead_lettered"
    assert client.http.post(f"/v1/tasks/{failed['id']}/redrive").status_code == 202
    assert client.http.post(f"/v1/tasks/{waiting}/cancel").status_code == 202
    generate = {"name": "say", "agent": "diagnostics.generate", "input": {"route": "fast", "prompt": "Say d."}}
    runs = Runs(engine, client)
    run = runs.done("saga", {"steps": [generate]})
    assert run["status"] == "succeeded", run
    ended = [client.finished(task_id) for task_id in [*tasks, failed["id"]]]
    assert {task["status"] for task in ended} == {"succeeded", "cancelled"}
    return [*(task["id"] for task in ended), run["id"], *(task["id"] for task in runs.tasks(run["id"]))]


def by_logs(client: FleetClient, tasks: list[str]) -> dict[str, dict[str, dict[str, float]]]:
    """What the logs of tasks say that they used, read event by event: by agent, model and tenant."""
    used: dict[str, dict[str, dict[str, float]]] = {
        group: defaultdict(lambda: defaultdict(float)) for group in ("agent", "model", "tenant")
    }
    for task_id in tasks:
        events = client.events(task_id)
        for event in events:
            usage = event.get("usage", {})
            for group in ("agent", "tenant"):
                sums = used[group][events[0][group]]
                sums["tasks"] += event["kind"] in ENDS
                sums["attempts"] += bool(usage)
                sums["model_usd"] += usage.get("cost_usd", 0)
                for member in ("compute_usd", "billed_ms", "model_calls", "input_tokens", "output_tokens"):
                    sums[member] += usage.get(member, 0)
            for name, model in usage.get("models", {}).items():
                sums = used["model"][name]
                sums["model_usd"] += model["cost_usd"]
                sums["model_calls"] += model["calls"]
                for member in ("input_tokens", "output_tokens"):
                    sums[member] += model[member]
    return used


def test_what_is_told_of_a_mixed_run_is_what_its_logs_say(
    engine: Engine, client: FleetClient, command: Command
) -> None:
    told = Told(command, client)
    tasks = mixed(client, engine)
    logs = by_logs(client, tasks)
    mine, before = logs["tenant"][told.tenant], 1
    eventually(lambda: told.now("tenant")[told.tenant]["tasks"] == mine["tasks"] + before, "the last task's", every=0.5)
    assert mine["model_usd"] > 0
    assert mine["compute_usd"] > 0
    for group, members in logs.items():
        found = told.since(group)
        for name, sums in members.items():
            for member in COUNTED_BY_MODEL if group == "model" else COUNTED:
                assert found(name, member) == sums[member], (group, name, member)
            for member in ("model_usd",) if group == "model" else MONEY:
                assert math.isclose(found(name, member), sums[member], abs_tol=1e-9), (group, name, member)


def test_a_task_says_what_it_used_of_its_process(tenant: FleetClient) -> None:
    usage = tenant.run("diagnostics.sleep", {"seconds": 0.2})["usage"]
    assert usage["billed_ms"] >= 190
    assert 0 < usage["cpu_ms"] < usage["billed_ms"]
    assert usage["memory_mb"] == 1024
    assert 20 < usage["peak_memory_mb"] < 1024
    # By 0.2 seconds of a gigabyte and a request, at $13.33 and $0.20 a million.
    expected = usage["billed_ms"] / 1000 * 13.33e-6 + 0.2e-6
    assert usage["compute_usd"] == pytest.approx(expected, rel=0.02)


def test_what_the_same_tokens_cost_elsewhere_memory_and_the_hourly_rollup(
    engine: Engine, tenant: FleetClient, command: Command
) -> None:
    tenant.run("diagnostics.generate", {"route": "fast", "prompt": "Say something."})
    eventually(lambda: command.json("usage", "--by", "model")["items"], "the model's usage", every=0.5)
    same = command.json("usage", "--by", "model", "--as-model", "nova")
    assert same["as_if"] == {"route": None, "model": "nova"}
    (nova,) = [item for item in same["items"] if item["model"] == "nova"]
    # Each call is rounded up to a millionth of a dollar.
    assert 0 <= nova["model_usd"] - nova["as_if_model_usd"] <= nova["model_calls"] * 1e-6
    assert "of the tasks made" in command.run("usage")
    assert {item["lane"] for item in command.json("profile")["items"]} >= {"standard"}
    answer = engine.client("lambda").invoke(FunctionName=engine.info.outputs["RollupFunction"])
    report = json.loads(answer["Payload"].read())
    assert (report["complete"], report["failed"]) == (True, 0), report
