"""Runs of workflows on a deployed fleet: started once, seen step by step, cancelled with all their tasks."""

from __future__ import annotations

import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from benchmarks.documents.variety import Varied, varied
from cli.corpus import read_corpus
from flotilla.events import Kind
from tests.e2e.engine import Engine
from tests.e2e.fleet_client import FleetClient
from tests.e2e.runs import Runs
from tests.e2e.tenants import new_tenant
from tests.e2e.waiting import eventually

DOCUMENTS = 12
BROKEN = "broken"
STEPS = ("Extract", "Classify", "Summarize")
TERMINAL = {"succeeded", "dead_lettered", "cancelled", "expired"}


@pytest.fixture
def runs(engine: Engine, tenant: FleetClient) -> Runs:
    return Runs(engine, tenant)


def short_documents(count: int) -> list[Varied]:
    """Documents that all fit into a request together."""
    shortest = sorted(range(len(read_corpus())), key=lambda number: len(read_corpus()[number].text))[:count]
    corpus = list(varied(len(read_corpus())))
    return [corpus[number] for number in shortest]


def echo(*values: Any) -> dict[str, Any]:
    """A workflow's input, of so many steps that do nothing."""
    return {
        "steps": [
            {"name": f"step-{number}", "agent": "diagnostics.echo", "input": {"value": value}}
            for number, value in enumerate(values)
        ]
    }


def test_documents_are_analyzed_and_one_that_is_broken_is_in_the_report_with_its_task(
    engine: Engine, tenant: FleetClient, runs: Runs
) -> None:
    files, bucket = engine.client("s3"), engine.info.outputs["PayloadsBucket"]
    key = f"workflows/inputs/demo/{uuid.uuid4().hex}.txt"
    files.put_object(Bucket=bucket, Key=key, Body=b"\xff\xfe\x00 is no text")
    documents = short_documents(DOCUMENTS - 1)
    listed: list[dict[str, Any]] = [{"id": each.id, "text": each.text} for each in documents]
    listed.insert(5, {"id": BROKEN, "key": key})

    run = runs.done("document-analysis", {"documents": listed, "concurrency": 6}, labels={"team": "x"})

    assert run["status"] == "succeeded", run
    told = run["output"]
    assert (told["total"], told["done"], told["failed"]) == (DOCUMENTS, DOCUMENTS - 1, 1)
    report = files.get_object(Bucket=bucket, Key=told["files"]["report"])["Body"].read().decode()
    lines = [json.loads(line) for line in report.splitlines()]
    assert [line["id"] for line in lines] == [each["id"] for each in listed]
    by_id = {line["id"]: line for line in lines}
    broken = by_id.pop(BROKEN)
    assert (broken["status"], broken["step"], broken["error"]) == ("failed", "Extract", "document_unreadable")
    task = runs.task(broken["task_id"])
    assert (task["status"], task["error"]["code"]) == ("dead_lettered", "document_unreadable")
    assert {name: line["class"] for name, line in by_id.items()} == {each.id: each.document_class for each in documents}
    for step in STEPS:
        ids = [line["tasks"][step.lower()] for line in by_id.values()]
        assert set(ids) <= set(runs.logged(run["id"], step))
        assert len(set(ids)) == DOCUMENTS - 1
    assert [len(runs.logged(run["id"], step)) for step in STEPS] == [DOCUMENTS, DOCUMENTS - 1, DOCUMENTS - 1]
    assert {tuple(tenant.kinds(line["tasks"]["extract"])) for line in by_id.values()} == {
        ("accepted", "started", "succeeded")
    }

    seen = eventually(lambda: settled(runs, run["id"]), "the read model, up to the run's end")
    assert [(step["name"], step["tasks"]) for step in seen["steps"]] == [
        ("Manifest", 1),
        ("Extract", DOCUMENTS),
        ("Classify", DOCUMENTS - 1),
        ("Summarize", DOCUMENTS - 1),
        ("Report", 1),
    ]
    assert runs.step(seen, "Extract")["counts"] == {"succeeded": DOCUMENTS - 1, "dead_lettered": 1}
    assert {task["labels"]["team"] for task in runs.tasks(run["id"])} == {"x"}
    events = runs.events(run["id"])
    assert [event["at"] for event in events] == sorted(event["at"] for event in events)
    assert {event["task_id"] for event in events} == {run["id"], *runs.logged(run["id"])}
    assert "token" not in json.dumps([event.get("workflow") for event in events]).replace("token_sha256", "")


def settled(runs: Runs, run_id: str) -> dict[str, Any] | None:
    """The run's view, once it knows how all of its tasks ended."""
    run = runs.look(run_id)
    known = [count for step in run["steps"] for status, count in step["counts"].items() if status in TERMINAL]
    return run if sum(known) == len(runs.logged(run_id)) else None


def test_many_starts_with_one_key_are_one_run_and_one_execution(engine: Engine, runs: Runs) -> None:
    key = uuid.uuid4().hex
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: runs.start("saga", echo(1), key=key), range(20)))
    assert {answer.status_code for answer in answers} == {202}, [answer.text for answer in answers]
    (run_id,) = {answer.json()["id"] for answer in answers}
    assert sum("Idempotent-Replay" not in answer.headers for answer in answers) == 1
    run = runs.finished(run_id)
    assert (run["status"], run["output"]["outputs"]) == ("succeeded", {"step-0": 1})
    assert len(runs.logged(run_id)) == 1
    assert len(executions(engine, run_id)) == 1
    other = runs.start("saga", echo(2), key=key)
    assert other.status_code == 422
    assert other.json()["type"].endswith("idempotency-key-reused")


def executions(engine: Engine, run_id: str) -> list[dict[str, Any]]:
    """What Step Functions knows of a run."""
    service = engine.client("stepfunctions")
    machines = [each["stateMachineArn"] for each in service.list_state_machines()["stateMachines"]]
    found = [
        each
        for machine in machines
        for page in service.get_paginator("list_executions").paginate(stateMachineArn=machine)
        for each in page["executions"]
    ]
    return [each for each in found if each["name"].startswith(run_id)]


def test_a_run_answers_who_waits_for_it_and_is_listed(runs: Runs, tenant: FleetClient) -> None:
    run = runs.done("saga", echo("a", "b"))
    assert (run["workflow"], run["status"], run["error"]) == ("saga", "succeeded", None)
    assert runs.step(run, "Do")["agent"] is None

    def listed() -> dict[str, Any] | None:
        answer = tenant.http.get("/v1/workflows", params={"name": "saga", "status": "succeeded", "limit": "100"})
        assert answer.status_code == 200, answer.text
        return next((item for item in answer.json()["items"] if item["id"] == run["id"]), None)

    assert eventually(listed, "the run in the list")["status"] == "succeeded"


@pytest.mark.parametrize(
    ("workflow", "value", "status", "kind"),
    [
        ("unheard-of", {}, 404, "unknown-workflow"),
        ("saga", {"steps": "none"}, 422, "invalid-input"),
        ("approval", {"propose": {"agent": "diagnostics.echo"}}, 422, "invalid-input"),
        ("saga", echo("x" * 200_000), 413, "too-large"),
    ],
)
def test_what_is_no_run_is_refused(runs: Runs, workflow: str, value: Any, status: int, kind: str) -> None:
    answer = runs.start(workflow, value)
    assert answer.status_code == status, answer.text
    assert answer.json()["type"].endswith(kind)


def test_another_tenant_does_not_learn_that_there_is_a_run(engine: Engine, runs: Runs) -> None:
    run_id = runs.started("saga", echo(1))
    with new_tenant(engine) as other:
        for path in ("", "/tasks", "/events"):
            assert other.http.get(f"/v1/workflows/{run_id}{path}").status_code == 404, path
        assert other.http.post(f"/v1/workflows/{run_id}/cancel").status_code == 404
        assert other.http.get("/v1/workflows").json()["items"] == []
        task_id = runs.logged(run_id)[0] if runs.logged(run_id) else run_id
        signal = other.http.post(f"/v1/tasks/{task_id}/signal", json={"name": "decision", "payload": 1})
        assert signal.status_code == 404
    assert runs.finished(run_id)["status"] == "succeeded"


def test_a_cancelled_run_stops_its_execution_and_the_task_that_runs_and_asks_for_no_other(
    engine: Engine, runs: Runs
) -> None:
    value = echo("first", "never", "never")
    value["steps"][1] |= {"agent": "diagnostics.sleep", "input": {"seconds": 40}}
    run_id = runs.started("saga", value)
    asleep = eventually(lambda: running(runs, run_id, "Do"), "the task that sleeps")

    answer = runs.cancel(run_id)

    assert answer.status_code == 202, answer.text
    assert runs.look(run_id)["status"] == "cancelled"
    assert eventually(lambda: ended(runs, asleep), "the end of its task") == "cancelled"
    eventually(lambda: executions(engine, run_id)[0]["status"] == "ABORTED", "the end of its execution")
    assert len(runs.logged(run_id)) == 2
    run = runs.finished(run_id)
    assert (run["status"], run["output"]) == ("cancelled", None)
    assert runs.cancel(run_id).status_code == 202
    assert [event["kind"] for event in runs.tenant.events(run_id)] == ["accepted", "cancelled"]


def test_a_run_that_is_cancelled_amid_many_documents_leaves_none_at_work(engine: Engine, runs: Runs) -> None:
    documents = [{"id": each.id, "text": each.text[:2000]} for each in varied(40)]
    run_id = runs.started("document-analysis", {"documents": documents, "concurrency": 10})
    eventually(lambda: len(runs.logged(run_id, "Classify")) >= 3, "documents at work")

    assert runs.tenant.http.post(f"/v1/tasks/{run_id}/cancel").status_code == 202

    eventually(lambda: executions(engine, run_id)[0]["status"] == "ABORTED", "the end of its execution")
    tasks = eventually(lambda: all_ended(runs, run_id), "the end of all its tasks", every=0.5)
    assert len(tasks) < len(STEPS) * len(documents)
    runs.done("saga", echo("some time"))
    assert runs.logged(run_id) == [task["id"] for task in tasks], "it asks for no other"
    assert runs.look(run_id)["status"] == "cancelled"


def running(runs: Runs, run_id: str, step: str) -> str | None:
    """The newest task of a step, once it is the second and runs."""
    tasks = runs.logged(run_id, step)
    return tasks[1] if len(tasks) == 2 and Kind.STARTED in runs.tenant.kinds(tasks[1]) else None


def ended(runs: Runs, task_id: str) -> str | None:
    status = str(runs.task(task_id)["status"])
    return status if status in TERMINAL else None


def all_ended(runs: Runs, run_id: str) -> list[dict[str, Any]] | None:
    tasks = [runs.task(task_id) for task_id in runs.logged(run_id)]
    return tasks if all(task["status"] in TERMINAL for task in tasks) else None
