"""The example subscriber does what it shows how to do."""

from __future__ import annotations

import json
from typing import Any

import pytest

from examples.subscriber.subscriber import Subscriber, poll, show
from flotilla.runtime import clients
from tests.integration.conftest import FleetOnMoto


def body(task_id: str, seq: int, status: str = "succeeded") -> str:
    data: dict[str, Any] = {"id": task_id, "seq": seq, "status": status, "agent": "a.b", "error": None}
    return json.dumps({"id": f"{task_id}-{seq}", "type": f"task.{status}", "timestamp": "2026-11-20", "data": data})


def heard(*bodies: str, remembered: int = 100) -> list[str]:
    found: list[str] = []
    subscriber = Subscriber(lambda notice: found.append(notice["id"]), remembered)
    for each in bodies:
        subscriber.handle(each)
    return found


def test_a_notice_that_comes_twice_is_handled_once() -> None:
    assert heard(body("a", 2), body("b", 2), body("a", 2)) == ["a-2", "b-2"]


def test_a_notice_that_was_overtaken_changes_nothing() -> None:
    assert heard(body("a", 5), body("a", 2), body("a", 6)) == ["a-5", "a-6"]


def test_what_could_not_be_handled_comes_again() -> None:
    failures = [RuntimeError("the other side is busy")]
    found: list[str] = []

    def work(notice: dict[str, Any]) -> None:
        if failures:
            raise failures.pop()
        found.append(notice["id"])

    subscriber = Subscriber(work)
    with pytest.raises(RuntimeError):
        subscriber.handle(body("a", 2))
    subscriber.handle(body("a", 2))
    assert found == ["a-2"]


def test_what_is_remembered_is_bounded() -> None:
    bodies = [body(f"t{number}", 2) for number in (*range(10), 9, 0)]
    assert len(heard(*bodies, remembered=3)) == 11


def test_a_message_leaves_the_queue_when_it_was_handled(fleet: FleetOnMoto, capsys: pytest.CaptureFixture[str]) -> None:
    sqs = clients.sqs()
    url = sqs.create_queue(QueueName="fleet-example-subscriber", Attributes={"VisibilityTimeout": "0"})["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody=body("a", 2))
    assert poll(sqs, url, Subscriber(show), wait_seconds=0) == 1
    assert poll(sqs, url, Subscriber(show), wait_seconds=0) == 0
    assert capsys.readouterr().out == "2026-11-20  a  a.b  succeeded\n"
