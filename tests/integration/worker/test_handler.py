"""The worker's handler from SQS event to partial batch response, and every AWS call that it makes on the way."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import flotilla
from benchmarks.fault_lab.script import Script
from benchmarks.fault_lab.server import FaultServer, Received
from flotilla.agents.decorator import definition_of
from functions.worker import diagnostics
from stacks.config import parse
from stacks.integration_settings import declared
from tests.synthesis import ACCOUNT, REGION, REPOSITORY, Templates
from tests.unit.services import calling_agents, sample_agents

AGENTS = [
    calling_agents.calls_plain,
    diagnostics.call,
    diagnostics.echo,
    diagnostics.flaky,
    diagnostics.wait,
    sample_agents.cached,
    sample_agents.late_plain,
    sample_agents.parking,
    sample_agents.remembering,
    sample_agents.steps,
]
EVENTS, CONTROL = "flotilla-events", "flotilla-control"
OVERRUN_EXIT_STATUS = 75


@dataclass
class Told:
    """What a worker's process reported, and what reached the integration that its agents call."""

    lines: list[dict[str, Any]]
    exit_status: int
    calls_received: list[Received]

    def of(self, scenario: str, what: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if (line["scenario"], line["what"]) == (scenario, what)]

    def calls(self, scenario: str, who: str) -> Counter[str]:
        return Counter(line["call"] for line in self.of(scenario, "call") if line["who"] == who)

    def calls_on(self, scenario: str, who: str, target: str) -> Counter[str]:
        """The calls that went to one table or queue."""
        found = [line for line in self.of(scenario, "call") if (line["who"], line["target"]) == (who, target)]
        return Counter(line["call"] for line in found)

    def answer(self, scenario: str) -> dict[str, Any]:
        (line,) = self.of(scenario, "answer")
        return line

    def logs(self, scenario: str) -> dict[str, list[str]]:
        return {line["name"]: line["kinds"] for line in self.of(scenario, "log")}

    def names(self, scenario: str) -> dict[str, str]:
        return {line["task"]: line["name"] for line in self.of(scenario, "log")}


def layer(folder: Path, crm_url: str) -> Path:
    """The flotilla layer, with a manifest of the agents that these tests need, and the integration that they call."""
    library = folder / "python"
    shutil.copytree(Path(flotilla.__file__).parent, library / "flotilla", ignore=shutil.ignore_patterns("__pycache__"))
    specs = [definition_of(agent).spec() for agent in AGENTS]
    manifest = {"agents": {spec.name: spec.to_json() for spec in specs}}
    (library / "flotilla" / "agents" / "manifest.json").write_text(json.dumps(manifest))
    crm = f'[integrations.crm]\nbase_url = "{crm_url}"\nprivate = true\nauth.secret = "crm/token"\nconcurrency = 50\n'
    integrations = declared(parse(crm + "limit = { rate_per_minute = 6000, burst = 100 }").integrations)
    (library / "flotilla" / "integrations" / "declared.json").write_text(json.dumps(integrations))
    return library


@pytest.fixture(scope="module")
def told(templates: Templates, tmp_path_factory: pytest.TempPathFactory) -> Told:
    with FaultServer(Script.steady()) as crm:
        lines, exit_status = _run(templates, tmp_path_factory.mktemp("worker"), crm.url)
    return Told(lines, exit_status, crm.received)


def _run(templates: Templates, folder: Path, crm_url: str) -> tuple[list[dict[str, Any]], int]:
    report = folder / "report.jsonl"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")} | {
        "PYTHONPATH": f"{layer(folder, crm_url)}{os.pathsep}{REPOSITORY}",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "MOTO_ACCOUNT_ID": ACCOUNT,
    }
    ended = subprocess.run(
        [sys.executable, "-m", "tests.integration.worker.process", str(templates.directory), str(report)],
        cwd=folder,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode in (0, OVERRUN_EXIT_STATUS), ended.stderr[-2000:]
    return [json.loads(line) for line in report.read_text().splitlines()], ended.returncode


def test_nothing_touches_aws_before_the_first_message(told: Told) -> None:
    assert told.calls("start", "worker") == Counter()
    assert told.calls("prepare", "worker") == Counter()


def test_a_happy_task_is_three_event_writes_and_no_read(told: Told) -> None:
    """Ten of them: one write each by the client's side, two each by the worker."""
    assert told.calls_on("ten_happy_tasks", "client", EVENTS)["PutItem"] == 10
    assert told.calls_on("ten_happy_tasks", "worker", EVENTS) == {"PutItem": 20}
    assert list(told.logs("ten_happy_tasks").values()) == [["accepted", "started", "succeeded"]] * 10


def test_a_happy_batch_costs_the_worker_one_sqs_call_and_no_other(told: Told) -> None:
    """Deleting is left to the event source, which does it in batches and at no cost to the worker's time.

    The query is for what is paused: once a second for the whole process, and not for every task.
    """
    assert told.calls("ten_happy_tasks", "worker") == {"PutItem": 20, "ChangeMessageVisibilityBatch": 1, "Query": 1}
    assert told.calls_on("ten_happy_tasks", "worker", CONTROL) == {"Query": 1}
    (visibility,) = [
        line for line in told.of("ten_happy_tasks", "call") if line["call"] == "ChangeMessageVisibilityBatch"
    ]
    assert visibility["entries"] == 10


def test_a_happy_batch_is_answered_with_nothing_to_keep(told: Told) -> None:
    (batch,) = told.of("ten_happy_tasks", "batch")
    answer = told.answer("ten_happy_tasks")
    assert answer["members"] == ["batchItemFailures"]
    assert answer["kept"] == []
    assert sorted(answer["done"]) == sorted(batch["tasks"])
    assert len(batch["tasks"]) == 10


def test_a_states_order_is_three_event_writes_no_read_and_one_answer(told: Told) -> None:
    scenario = "an_order_of_a_state"
    assert told.logs(scenario) == {"task": ["accepted", "started", "succeeded"]}
    assert told.calls_on(scenario, "worker", EVENTS) == {"PutItem": 3}
    calls = told.calls(scenario, "worker")
    assert calls - Counter(Query=1) == {"PutItem": 3, "ChangeMessageVisibilityBatch": 1, "SendTaskSuccess": 1}


def test_an_order_that_comes_again_is_found_done_and_its_state_told_again(told: Told) -> None:
    scenario = "an_order_that_comes_again"
    assert told.logs(scenario) == {"task": ["accepted", "started", "succeeded"]}
    # The write is refused: the event that is there comes with the refusal.
    assert told.calls_on(scenario, "worker", EVENTS) == {"PutItem": 1, "Query": 1}
    assert told.calls(scenario, "worker")["SendTaskSuccess"] == 1
    assert told.answer(scenario)["kept"] == []


def test_a_message_that_comes_again_after_its_task_ended_costs_one_read(told: Told) -> None:
    scenario = "a_message_that_comes_again"
    assert told.calls(scenario, "worker") == {"Query": 1, "ChangeMessageVisibilityBatch": 1}
    assert told.calls_on(scenario, "worker", EVENTS) == {"Query": 1}
    assert told.answer(scenario)["kept"] == []
    assert told.logs(scenario) == {"task": ["accepted", "started", "succeeded"]}


def test_each_message_of_a_mixed_batch_gets_its_own_answer(told: Told) -> None:
    scenario = "a_batch_of_everything"
    names = told.names(scenario)
    answer = told.answer(scenario)
    assert {names.get(task, task) for task in answer["kept"]} == {"failing", "first", "second", "not_deployed"}
    assert {names.get(task, task) for task in answer["done"]} == {
        "happy",
        "hopeless",
        "large",
        "stray",
        "not_a_hash",
    }


def test_each_task_of_a_mixed_batch_has_its_own_log(told: Told) -> None:
    assert told.logs("a_batch_of_everything") == {
        "happy": ["accepted", "started", "succeeded"],
        "failing": ["accepted", "started", "attempt_failed"],
        "hopeless": ["accepted", "started", "dead_lettered"],
        "large": ["accepted", "started", "succeeded"],
        "first": ["accepted", "started", "attempt_failed"],
        "second": ["accepted"],
        "not_deployed": ["accepted"],
        "not_a_hash": ["accepted"],
    }


def test_what_nobody_can_read_is_put_aside_once_and_with_its_reason(told: Told) -> None:
    dead = told.of("a_batch_of_everything", "dead letter")
    assert '{"not": "a task"}' in [letter["body"] for letter in dead]
    assert all(letter["reason"] for letter in dead)
    assert len(dead) == 2


def test_a_paused_agents_task_is_kept_and_not_started(told: Told) -> None:
    scenario = "a_task_of_a_paused_agent"
    assert told.logs(scenario) == {"task": ["accepted", "parked"]}
    assert len(told.answer(scenario)["kept"]) == 1
    assert told.calls_on(scenario, "worker", EVENTS) == {"PutItem": 1}
    assert set(told.calls_on(scenario, "worker", CONTROL)) <= {"Query"}, "what is paused was known, or was asked for"


def test_a_session_that_remembers_is_read_and_written_once_for_each_task(told: Told) -> None:
    scenario = "a_session_that_remembers"
    assert told.logs(scenario) == {name: ["accepted", "started", "succeeded"] for name in ("first", "second")}
    calls = told.calls_on(scenario, "worker", CONTROL)
    assert calls["PutItem"] == 2
    assert calls["Query"] in (2, 3), "one for each task's session, and one for what is paused where a second had passed"


def test_identical_tasks_run_once_and_the_others_wait_or_are_answered(told: Told) -> None:
    """Which of both depends on whether the first has ended when they look."""
    scenario = "identical_tasks"
    logs = list(told.logs(scenario).values())
    assert logs.count(["accepted", "started", "succeeded"]) == 1
    waiting, answered = logs.count(["accepted", "parked"]), logs.count(["accepted", "succeeded"])
    assert waiting + answered == 2
    assert len(told.answer(scenario)["kept"]) == waiting


def test_what_is_parked_for_long_goes_to_the_ladder_by_one_message(told: Told) -> None:
    scenario = "a_task_parked_for_long"
    assert told.logs(scenario) == {"task": ["accepted", "started", "parked"]}
    assert told.answer(scenario)["kept"] == []
    (sent,) = [line for line in told.of(scenario, "call") if (line["who"], line["call"]) == ("worker", "SendMessage")]
    assert sent["target"] == "flotilla-delay-480.fifo"


def test_a_task_that_waits_costs_one_write_and_a_message_only_where_it_is_soon_over(told: Told) -> None:
    scenario = "a_task_that_waits"
    assert told.logs(scenario) == {
        name: ["accepted", "started", "waiting"] for name in ("signalled", "for_long", "for_a_while")
    }
    assert told.answer(scenario)["kept"] == []
    assert told.calls_on(scenario, "worker", EVENTS) == {"PutItem": 6}
    (sent,) = [line for line in told.of(scenario, "call") if (line["who"], line["call"]) == ("worker", "SendMessage")]
    assert sent["target"] == "flotilla-delay-480.fifo"


def test_a_task_that_was_signalled_goes_on_after_one_read(told: Told) -> None:
    scenario = "a_task_that_was_signalled"
    assert told.logs(scenario) == {"signalled": ["accepted", "started", "waiting", "signalled", "started", "succeeded"]}
    assert told.calls_on(scenario, "client", EVENTS)["PutItem"] == 1
    assert told.calls_on(scenario, "worker", EVENTS) == {"PutItem": 2, "Query": 1}


def test_a_plain_agent_that_does_not_stop_ends_the_process_after_what_is_done_is_deleted(told: Told) -> None:
    assert told.exit_status == OVERRUN_EXIT_STATUS
    scenario = "a_plain_agent_that_does_not_stop"
    assert told.of(scenario, "answer") == [], "the process ended before it answered"
    last = told.of(scenario, "call")[-1]
    assert (last["who"], last["call"]) == ("worker", "DeleteMessageBatch")


def test_calls_to_an_integration_get_through_with_a_key_and_credentials_each_once(told: Told) -> None:
    logs = told.logs("calls_to_an_integration")
    ends = {name: kinds[-1] for name, kinds in logs.items()}
    assert ends.pop("other") == "dead_lettered", "the fleet has no such integration"
    assert set(ends.values()) == {"succeeded"}
    assert len(told.calls_received) == 10
    assert {received.headers["authorization"] for received in told.calls_received} == {"Bearer t0ken"}
    assert len({received.headers["idempotency-key"] for received in told.calls_received}) == 10
    assert {received.path for received in told.calls_received} == {"/orders?x=1", "/orders"}


def test_calls_share_what_protects_them(told: Told) -> None:
    calls = told.calls_on("calls_to_an_integration", "worker", CONTROL)
    assert calls["GetItem"] <= 4, "looks at the circuit, and one at the bucket"
    assert calls["UpdateItem"] <= 4, "draws from the bucket, and a report to the circuit"
    assert calls["DeleteItem"] == 10, "a slot is given up for each call, since there is a cap"
