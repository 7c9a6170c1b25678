"""The ends of tasks that no worker wrote: their states are answered, once, and by nobody else."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace

import pytest

from flotilla.errors import RetryableError
from flotilla.events import Kind
from tests.fakes.workflows import MemoryTaskTokens
from tests.logs import ERROR, log_of
from tests.unit.services.crashes import Calls, Died, every_failure
from tests.unit.services.running import Running


@pytest.fixture
def running() -> Running:
    return Running()


def cancelled_by(running: Running, actor: str, number: int = 1) -> str:
    run_id = running.started()
    return running.task(run_id, "Extract", number, Kind.CANCELLED, actor=actor)


def test_the_state_of_a_task_that_a_client_cancelled_is_told(running: Running) -> None:
    task_id = cancelled_by(running, "key:k1")
    assert running.follow(*running.events(task_id)) is None
    (answer,) = running.tokens.answers
    assert (answer.token, answer.error) == ("token-1", "cancelled")
    assert json.loads(answer.cause or "")["task_id"] == task_id


def test_the_state_of_a_task_that_the_triage_gave_up_is_told_why(running: Running) -> None:
    run_id = running.started()
    error = ERROR | {"code": "undeliverable", "retryable": False}
    dead = (Kind.DEAD_LETTERED, {"cause": "undeliverable", "error": error})
    task_id = running.task(run_id, "Extract", 1, dead, actor="triage:t/1")
    assert running.follow(*running.events(task_id)) is None
    assert [answer.error for answer in running.tokens.answers] == ["undeliverable"]


@pytest.mark.parametrize("actor", ["worker:w/1", "workflow:analysis"])
def test_what_a_worker_or_its_own_workflow_ended_is_left_to_them(running: Running, actor: str) -> None:
    task_id = cancelled_by(running, actor)
    reads = running.log.reads
    assert running.follow(*running.events(task_id)) is None
    assert (running.tokens.answers, running.tokens.late) == ([], [])
    assert running.log.reads == reads


def test_nothing_is_read_for_what_ends_nothing(running: Running) -> None:
    run_id = running.started()
    task_id = running.task(run_id, "Extract", 1, Kind.STARTED, Kind.STEP_RECORDED, Kind.PARKED, actor="key:k")
    reads = running.log.reads
    assert running.follow(*running.events(task_id), *running.events(run_id)) is None
    assert running.log.reads == reads


def test_a_task_of_no_workflow_is_nobodys_business(running: Running) -> None:
    for event in log_of(Kind.CANCELLED, task_id="tsk_plain"):
        running.log.logs.setdefault("tsk_plain", {})[event.seq] = replace(event, actor="key:k1")
    assert running.follow(*running.events("tsk_plain")) is None
    assert running.tokens.late == []


def test_a_state_that_no_longer_waits_is_counted_and_not_tried_again(running: Running) -> None:
    task_id = cancelled_by(running, "key:k1")
    running.tokens.waiting.clear()
    assert running.follow(*running.events(task_id)) is None
    assert running.metrics.total("CallbacksTooLate") == 1


def test_a_task_that_was_redriven_meanwhile_is_told_as_it_was(running: Running) -> None:
    run_id = running.started()
    task_id = running.task(run_id, "Extract", 1, Kind.DEAD_LETTERED, Kind.REDRIVEN, actor="triage:t/1")
    assert running.follow(running.events(task_id)[1]) is None
    assert [answer.error for answer in running.tokens.answers] == ["busy"]


def test_what_is_gone_or_corrupt_holds_nothing_up(running: Running) -> None:
    gone, corrupt = cancelled_by(running, "key:k1", 1), cancelled_by(running, "key:k1", 2)
    fine = cancelled_by(running, "key:k1", 3)
    batch = [running.events(task_id)[1] for task_id in (gone, corrupt, fine)]
    del running.log.logs[gone][0]
    log = running.log.logs[corrupt]
    log[1] = replace(log[1], prev_hash="0" * 64)
    assert running.follow(*batch) is None
    assert [answer.token for answer in running.tokens.answers] == ["token-3"]


def test_what_fails_comes_again_and_the_others_are_done() -> None:
    probe_calls = Calls()
    probe = Running()
    probe.follow(*probe.events(cancelled_by(probe, "key:k1")), process=probe.process(probe_calls))
    for calls in every_failure(len(probe_calls.made)):
        running = Running()
        events = running.events(cancelled_by(running, "key:k1"))
        with contextlib.suppress(Died, RetryableError):
            assert running.follow(*events, process=running.process(calls)) == 1
        assert running.follow(*events) is None
        assert [answer.error for answer in running.tokens.answers] == ["cancelled"]


class DownForOne(MemoryTaskTokens):
    """Tokens of which one cannot be answered for a while."""

    down_for: str | None = None

    async def fail(self, token: str, error: str, cause: str) -> bool:
        if token == self.down_for:
            raise RetryableError("no answer")
        return await super().fail(token, error, cause)


def test_the_first_that_failed_is_where_the_stream_goes_on() -> None:
    tokens = DownForOne()
    running = Running(tokens=tokens)
    batch = [running.events(cancelled_by(running, "key:k1", number))[1] for number in (1, 2, 3)]
    tokens.down_for = "token-2"
    assert running.follow(*batch) == 1
    tokens.down_for = None
    assert running.follow(*batch[1:]) is None
    assert sorted(answer.token for answer in tokens.answers) == ["token-1", "token-2", "token-3"]
