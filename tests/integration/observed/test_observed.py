"""From a client's request to its webhook, over the real handlers: what is written down, and what never is."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import flotilla
from benchmarks.fault_lab.script import Phase, Reply, Script
from benchmarks.fault_lab.server import FaultServer
from flotilla.agents.decorator import definition_of
from functions.worker import diagnostics
from stacks import integration_settings, model_settings
from stacks.config import parse
from tests.integration.webhooks.receiver import Receiver, receiving
from tests.synthesis import REPOSITORY

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE_ID}-00f067aa0ba902b7-01"
MARK = "m4rk"
MARKED = {
    name: f"{MARK}-{name.replace('_', '-')}-of-nobodys-business"
    for name in (
        "input",
        "output",
        "answer",
        "path",
        "member",
        "idempotency_key",
        "crm_secret",
        "model_secret",
        "webhook_secret",
    )
} | {"key": f"flt_{MARK}" + "k" * 36}
FLEET = """
[integrations.crm]
base_url = "{crm}"
private = true
auth.secret = "crm/token"
auth.scheme = "bearer"
limit = {{ rate_per_minute = 6000, burst = 100 }}
[models.parrot]
provider = "openai"
base_url = "{model}/v1"
private = true
id = "parrot-1"
secret = "model/key"
price = {{ input_usd = 10, output_usd = 50 }}
[routes.fast]
models = ["parrot"]
"""
AGENTS = [diagnostics.call, diagnostics.echo, diagnostics.flaky, diagnostics.generate]
COMPLETION = {
    "model": "parrot-1-0613",
    "choices": [{"message": {"role": "assistant", "content": MARKED["answer"]}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 7, "completion_tokens": 3},
}


@dataclass
class Observed:
    """What was written, and what others received."""

    written: str
    tasks: dict[str, str]
    crm: FaultServer
    model: FaultServer
    receiver: Receiver

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.written.splitlines() if line.startswith("{")]

    def metrics(self) -> dict[tuple[str, ...], Any]:
        """Each metric by its name and the values of its dimensions."""
        return {
            (metric["Name"], *(line[each] for each in dimensions)): line[metric["Name"]]
            for line in self.lines
            if "_aws" in line
            for directive in line["_aws"]["CloudWatchMetrics"]
            for dimensions in directive["Dimensions"]
            for metric in directive["Metrics"]
        }


def answering(body: dict[str, Any]) -> Script:
    reply = Reply(headers={"content-type": "application/json"}, body=json.dumps(body).encode())
    return Script(phases=(Phase(replies=(reply,)),))


def layer(folder: Path, crm_url: str, model_url: str) -> Path:
    """The flotilla layer with what these tests declare."""
    library = folder / "python"
    shutil.copytree(Path(flotilla.__file__).parent, library / "flotilla", ignore=shutil.ignore_patterns("__pycache__"))
    specs = [definition_of(agent).spec() for agent in AGENTS]
    declared = parse(FLEET.format(crm=crm_url, model=model_url))
    for place, value in {
        "agents/manifest.json": {"agents": {spec.name: spec.to_json() for spec in specs}},
        "integrations/declared.json": integration_settings.declared(declared.integrations),
        "llm/declared.json": model_settings.declared(declared.models, declared.routes),
    }.items():
        (library / "flotilla" / place).write_text(json.dumps(value))
    return library


@pytest.fixture(scope="module")
def observed(tmp_path_factory: pytest.TempPathFactory) -> Observed:
    folder = tmp_path_factory.mktemp("observed")
    crm_script, model_script = answering({"said": MARKED["output"]}), answering(COMPLETION)
    with FaultServer(crm_script) as crm, FaultServer(model_script) as model, receiving() as receiver:
        request = {"marked": MARKED, "traceparent": TRACEPARENT, "receiver_port": receiver.port}
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "FLOTILLA_"))}
        ended = subprocess.run(
            [sys.executable, "-m", "tests.integration.observed.process", json.dumps(request)],
            cwd=folder,
            env=clean | {"PYTHONPATH": f"{layer(folder, crm.url, model.url)}{os.pathsep}{REPOSITORY}"},
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert ended.returncode == 0, ended.stderr[-3000:]
    written, _, last = ended.stderr.rstrip("\n").rpartition("\n")
    return Observed(f"{ended.stdout}\n{written}", json.loads(last)["tasks"], crm, model, receiver)


def test_inputs_outputs_keys_and_tokens_are_written_nowhere(observed: Observed) -> None:
    assert len(observed.lines) > 20
    assert [line for line in observed.written.splitlines() if MARK in line] == []


def test_everything_written_is_json_a_line_with_a_constant_message(observed: Observed) -> None:
    others = [line for line in observed.written.splitlines() if line and not line.startswith("{")]
    assert others == []
    messages = {line["message"] for line in observed.lines if "_aws" not in line}
    assert {"request", "attempt ended", "model called", "batch projected", "webhook delivered"} <= messages
    assert not [message for message in messages if any(part.isdigit() for part in message)]


def test_a_trace_is_seen_by_whoever_is_called(observed: Observed) -> None:
    for received in (*observed.crm.received, *observed.model.received):
        assert received.headers["traceparent"] == TRACEPARENT
    told = {json.loads(each.body)["data"]["id"]: each.headers["traceparent"] for each in observed.receiver.received}
    assert told[observed.tasks["call"]] == told[observed.tasks["generate"]] == TRACEPARENT
    assert TRACE_ID not in told[observed.tasks["echo"]]


def test_every_line_about_a_task_says_its_trace(observed: Observed) -> None:
    traced = {observed.tasks[name] for name in ("call", "generate")}
    about = [line for line in observed.lines if line.get("task_id") in traced]
    assert {line["message"] for line in about} >= {"request", "attempt ended", "webhook delivered"}
    assert [line for line in about if line["message"] != "request" and line.get("trace_id") != TRACE_ID] == []
    assert [line["trace_id"] for line in observed.lines if line.get("message") == "model called"] == [TRACE_ID]
    [own] = {
        line["trace_id"]
        for line in observed.lines
        if line.get("task_id") == observed.tasks["echo"] and line["message"] == "attempt ended"
    }
    assert len(own) == 32 and own != TRACE_ID


def test_a_model_call_is_told_by_opentelemetrys_names(observed: Observed) -> None:
    [line] = [line for line in observed.lines if line.get("message") == "model called"]
    assert {name: value for name, value in line.items() if "." in name} == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "parrot-1",
        "gen_ai.response.model": "parrot-1-0613",
        "gen_ai.usage.input_tokens": 7,
        "gen_ai.usage.output_tokens": 3,
    }


def test_a_task_is_counted_by_lane_agent_and_class(observed: Observed) -> None:
    found = observed.metrics()
    assert found["TasksAccepted", "fleet", "standard"] == 4
    assert found["TasksSucceeded", "fleet", "diagnostics.call"] == 1
    assert found["TasksDeadLettered", "fleet", "diagnostics.flaky"] == 1
    assert found["TasksDeadLettered", "fleet", "gold"] == 1
    assert found["AttemptsFailed", "fleet", "diagnostics.flaky"] == 1
    assert len(found["QueueDelay", "fleet", "standard"]) == 4
    assert found["BatchTasks", "fleet", "standard"] == 4
    assert found["IntegrationCalls", "fleet", "crm"] == 1
    assert (found["ModelCalls", "fleet", "parrot"], found["InputTokens", "fleet", "parrot"]) == (1, 7)
    assert found["ModelCostUsd", "fleet", "parrot"] == pytest.approx(0.00022)
    assert found["CostUsd", "fleet", "diagnostics.generate"] >= 0.00022
    assert found["MessagesUnreadable", "fleet", "standard"] == 1
    assert found["ReconcilerRuns", "fleet"] == 1
