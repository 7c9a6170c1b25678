"""From an HTTPS request to a stored result, on the embedded engine through the real deployment."""

from __future__ import annotations

import itertools
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.e2e.fleet_client import FleetClient


def test_a_task_is_accepted_run_and_its_log_tells_it(tenant: FleetClient) -> None:
    answer = tenant.submit("diagnostics.echo", {"value": {"a": [1, "ü", None]}}, labels={"team": "x"})
    assert answer.status_code == 202
    assert answer.headers["Location"].endswith(answer.json()["id"])
    assert "admission" in answer.json()
    task = tenant.finished(answer.json()["id"])
    assert (task["status"], task["output"], task["attempt"]) == ("succeeded", {"a": [1, "ü", None]}, 1)
    assert task["labels"] == {"team": "x"}
    events = tenant.events(task["id"])
    assert [event["kind"] for event in events] == ["accepted", "started", "succeeded"]
    assert [event["seq"] for event in events] == [0, 1, 2]
    assert [event["prev_hash"] for event in events[1:]] == [event["hash"] for event in events[:-1]]


def test_prefer_wait_answers_with_the_finished_task(tenant: FleetClient) -> None:
    answer = tenant.submit("diagnostics.echo", {"value": 1}, headers={"Prefer": "wait=20"})
    assert answer.status_code == 200
    assert answer.json()["output"] == 1


@pytest.mark.parametrize("lane", ["critical", "standard", "batch"])
def test_every_lane_runs_tasks(tenant: FleetClient, lane: str) -> None:
    task = tenant.run("diagnostics.echo", {"value": lane}, lane=lane)
    assert (task["lane"], task["output"]) == (lane, lane)


def test_a_large_input_and_output_come_back_whole(tenant: FleetClient) -> None:
    value = "ä" * 200_000
    task = tenant.run("diagnostics.echo", {"value": value})
    assert task["output"] == value
    assert task["input"] == {"value": value}


def test_fifty_concurrent_submits_with_one_key_are_one_task_and_one_execution(tenant: FleetClient) -> None:
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    value = {"count": 3}
    with ThreadPoolExecutor(50) as pool:
        calls = [pool.submit(tenant.submit, "diagnostics.steps", value, headers=headers) for _ in range(50)]
        answers = [call.result() for call in calls]
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert sum("Idempotent-Replay" not in answer.headers for answer in answers) == 1
    task = tenant.finished(answers[0].json()["id"])
    assert task["output"]["runs"] == {"step-1": 1, "step-2": 1, "step-3": 1}
    assert tenant.kinds(task["id"]).count("started") == 1
    reused = tenant.submit("diagnostics.steps", {"count": 4}, headers=headers)
    assert reused.status_code == 422
    assert reused.json()["type"].endswith("idempotency-key-reused")


def test_a_failed_attempt_is_tried_again_and_a_permanent_error_is_not(tenant: FleetClient) -> None:
    flaky = tenant.accepted("diagnostics.flaky", {"fail_attempts": 2, "error": "retryable"})
    permanent = tenant.run("diagnostics.flaky", {"fail_attempts": 1, "error": "permanent"})
    assert (permanent["status"], permanent["attempt"]) == ("dead_lettered", 1)
    assert permanent["error"] == {"code": "told_to_fail", "message": "told to fail for good", "retryable": False}
    task = tenant.finished(flaky)
    assert (task["status"], task["output"]) == ("succeeded", {"attempt": 3})
    assert tenant.kinds(flaky).count("attempt_failed") == 2


def test_a_session_keeps_its_order_across_a_retry(tenant: FleetClient) -> None:
    session = uuid.uuid4().hex
    first = tenant.accepted("diagnostics.flaky", {"fail_attempts": 1}, session=session)
    others = [tenant.accepted("diagnostics.echo", {"value": n}, session=session) for n in range(3)]
    tasks = [tenant.finished(task_id) for task_id in (first, *others)]
    for earlier, later in itertools.pairwise(tasks):
        assert earlier["finished_at"] <= later["started_at"]


@pytest.mark.parametrize("when", ["before", "after_effect"])
def test_a_worker_that_kills_its_process_is_taken_over(tenant: FleetClient, when: str) -> None:
    task = tenant.run("diagnostics.crash", {"crash_attempts": 1, "when": when})
    assert task["status"] == "succeeded"
    assert task["output"]["effects"] == 1
    assert task["output"]["sends"] == (1 if when == "before" else 2)
    events = tenant.events(task["id"])
    assert [event["kind"] for event in events] == ["accepted", "started", "started", "succeeded"]
    assert events[2]["takes_over"] == {"attempt": 1, "worker": events[1]["actor"]}


def test_recorded_steps_are_not_run_again_after_a_crash(tenant: FleetClient) -> None:
    task = tenant.run("diagnostics.steps", {"count": 5, "crash_at": 3})
    assert task["status"] == "succeeded"
    assert task["output"] == {"attempt": 2, "runs": {f"step-{n}": 1 for n in range(1, 6)}}
    kinds = tenant.kinds(task["id"])
    assert (kinds.count("started"), kinds.count("step_recorded"), kinds.count("succeeded")) == (2, 5, 1)


def test_a_task_that_always_kills_its_worker_ends_in_the_dead_letters_and_harms_no_other(
    tenant: FleetClient,
) -> None:
    poison = tenant.accepted("diagnostics.crash", {"crash_attempts": 100}, max_attempts=2, lane="batch")
    others = [tenant.accepted("diagnostics.echo", {"value": n}, lane="batch", max_attempts=1) for n in range(10)]
    assert {tenant.finished(task_id)["status"] for task_id in others} == {"succeeded"}
    task = tenant.finished(poison)
    assert (task["status"], task["error"]["code"]) == ("dead_lettered", "worker_lost")


def test_a_document_is_analyzed(tenant: FleetClient) -> None:
    text = "MIT License\n\nCopyright (c) 2024 Example\n\nPermission is hereby granted, free of charge, to any person."
    task = tenant.run("document.analyze", {"text": text})
    assert task["status"] == "succeeded"
    assert task["output"]["document_class"] == "permissive"
