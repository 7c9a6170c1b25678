"""What was counted is set beside what the plan reckons with."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.cost.bill import bill, compared, way_of
from benchmarks.cost.pipeline import _timing

MEMORY = {"api": 1024, "authorizer": 1024, "worker": 1024, "projector": 256}


def counted(**other: Any) -> dict[str, Any]:
    """A thousand tasks that were submitted singly, ran by tens, and took a tenth of a second each."""
    return {
        "calls": {
            "api sqs SendMessage": 1000,
            "event source sqs ReceiveMessage": 100,
            "event source sqs DeleteMessageBatch": 100,
            "worker sqs ChangeMessageVisibilityBatch": 100,
            "projector s3 PutObject": 8,
        },
        "write_units": {"api f-events": 1000.0, "worker f-events": 2000.0, "projector f-views": 1050.0},
        "read_units": {"worker f-control": 15.0, "projector f-events": 50.0},
        "invocations": {"api": 1000, "authorizer": 1000, "worker": 100, "projector": 8},
        "cpu_ms": {"api": 4500.0, "authorizer": 100.0, "worker": 4000.0, "projector": 1800.0},
        "log_bytes": {"api": 245_000},
        "span_seconds": 0.1,
        "elapsed_seconds": 16.0,
        "payload_bytes": 100,
        "read_units_of_an_invocation": 0.15,
        **other,
    }


def apart(count: dict[str, Any]) -> float:
    return compared(list(bill(count, 1000, MEMORY)), way_of(count, 1000, MEMORY, submit_batch=1, batch=10))[1]


def test_a_count_as_the_plan_has_it_is_not_apart() -> None:
    assert apart(counted()) < 0.001


def test_a_write_more_for_each_task_shows() -> None:
    units = {"api f-events": 1000.0, "worker f-events": 3000.0, "projector f-views": 1050.0}
    assert apart(counted(write_units=units)) == pytest.approx(0.625 / 5.27, rel=0.05)


def test_a_call_that_the_plan_does_not_know_shows() -> None:
    calls = {**counted()["calls"], "worker sqs SendMessage to another": 0, "worker sqs GetQueueUrl": 1000}
    assert apart(counted(calls=calls)) > 0.05


def test_spans_are_from_a_tasks_first_event_to_its_last() -> None:
    events = (("a", 1000), ("b", 1500), ("a", 1200), ("b", 2500))
    records = [{"dynamodb": {"NewImage": {"task_id": {"S": task}, "at_ms": {"N": str(at)}}}} for task, at in events]
    assert _timing(records) == {"span_seconds": pytest.approx(0.6), "elapsed_seconds": pytest.approx(1.5)}
