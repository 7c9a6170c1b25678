"""How executions end, in the logs of their runs: each once, and only by the execution that the log waits for."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

import pytest

from flotilla.errors import RetryableError
from flotilla.events import verify_chain
from flotilla.models import Status
from flotilla.workflow_ports import Execution, ExecutionStatus
from tests.unit.services.crashes import Calls, Died, every_failure
from tests.unit.services.fleet import run
from tests.unit.services.running import Running


@pytest.fixture
def running() -> Running:
    return Running()


def ended(running: Running, status: ExecutionStatus, **how: Any) -> tuple[str, Any]:
    run_id = running.started()
    assert running.end(run_id, status, **how)
    verify_chain(running.events(run_id))
    return run_id, running.state(run_id)


def test_a_success_brings_its_output(running: Running) -> None:
    _, state = ended(running, ExecutionStatus.SUCCEEDED, output='{"documents": 3}')
    assert (state.status, state.output.inline) == (Status.SUCCEEDED, {"documents": 3})


def test_a_large_output_lies_outside_of_the_log(running: Running) -> None:
    run_id, state = ended(running, ExecutionStatus.SUCCEEDED, output=json.dumps(["x" * 100] * 50))
    assert state.output.ref in running.payloads.objects
    assert run_id in state.output.ref


@pytest.mark.parametrize("text", ["not JSON", "NaN", '{"a": 1e999}'])
def test_an_output_that_is_no_json_is_kept_as_text(running: Running, text: str) -> None:
    _, state = ended(running, ExecutionStatus.SUCCEEDED, output=text)
    assert (state.status, state.output.inline) == (Status.SUCCEEDED, text)


def test_what_the_news_leave_out_is_asked_for(running: Running) -> None:
    run_id = running.started()
    running.executions.end(*running.name(run_id), ExecutionStatus.SUCCEEDED, output="[1]")
    assert run(running.api.ends.record(Execution(*running.name(run_id), ExecutionStatus.SUCCEEDED)))
    assert running.executions.finds == 1
    output = running.state(run_id).output
    assert output is not None and output.inline == [1]


def test_a_failure_is_a_dead_letter_with_the_error_of_the_execution(running: Running) -> None:
    _, state = ended(running, ExecutionStatus.FAILED, error="States.Runtime", cause="x" * 5000)
    assert state.status is Status.DEAD_LETTERED
    assert (state.error.code, state.error.message, state.error.retryable) == ("States.Runtime", "x" * 1000, False)


def test_where_a_task_failed_it_the_message_is_the_tasks_and_names_it(running: Running) -> None:
    cause = {"task_id": "tsk_1", "message": "no text in it", "retryable": False, "status": "dead_lettered"}
    _, state = ended(running, ExecutionStatus.FAILED, error="document_unreadable", cause=json.dumps(cause))
    assert (state.error.code, state.error.message) == ("document_unreadable", "no text in it (tsk_1)")
    cause["message"] = "x" * 5000
    _, state = ended(running, ExecutionStatus.FAILED, error="document_unreadable", cause=json.dumps(cause))
    assert state.error.message.endswith("x (tsk_1)")
    assert len(state.error.message) == 1000


def test_where_a_definition_fails_by_itself_the_message_is_what_it_says(running: Running) -> None:
    cause = json.dumps({"message": "not done after 3 turns", "turns": 3})
    _, state = ended(running, ExecutionStatus.FAILED, error="TurnsExhausted", cause=cause)
    assert (state.error.code, state.error.message) == ("TurnsExhausted", "not done after 3 turns")


@pytest.mark.parametrize("cause", [None, "", "[1]", '{"task_id": 1, "message": 2}', "{"])
def test_a_failure_that_says_little_is_one_all_the_same(running: Running, cause: str | None) -> None:
    _, state = ended(running, ExecutionStatus.FAILED, cause=cause)
    assert (state.status, state.error.code, state.error.message) == (
        Status.DEAD_LETTERED,
        "workflow_failed",
        cause or "",
    )


def test_a_run_that_took_too_long_is_expired(running: Running) -> None:
    _, state = ended(running, ExecutionStatus.TIMED_OUT)
    assert (state.status, state.error.code) == (Status.EXPIRED, "timed_out")


def test_a_run_that_failed_by_its_deadline_is_expired_and_by_a_tasks_own_it_is_not(running: Running) -> None:
    deadline_ms = running.clock.now_ms() + 5000
    for after, status in ((1, "dead_lettered"), (5, "expired")):
        run_id = running.started(deadline_ms=deadline_ms)
        running.clock.advance(after)
        assert running.end(run_id, ExecutionStatus.FAILED, error="deadline", cause="too late")
        assert running.status(run_id) == status


def test_an_execution_that_was_stopped_elsewhere_cancels_its_run(running: Running) -> None:
    run_id, state = ended(running, ExecutionStatus.ABORTED, cause="by hand")
    assert (state.status, running.events(run_id)[1].body) == (Status.CANCELLED, {"reason": "by hand"})


def test_an_end_is_recorded_once_and_what_ended_stays(running: Running) -> None:
    run_id = running.started()
    assert running.end(run_id, ExecutionStatus.SUCCEEDED, output="1")
    for status in (ExecutionStatus.SUCCEEDED, ExecutionStatus.FAILED, ExecutionStatus.ABORTED):
        assert not running.end(run_id, status)
    assert running.kinds(run_id) == ["accepted", "succeeded"]
    cancelled = running.started()
    running.cancelled(cancelled)
    assert not running.end(cancelled, ExecutionStatus.ABORTED)
    assert running.kinds(cancelled) == ["accepted", "cancelled"]


def test_an_execution_of_an_earlier_start_ends_nothing(running: Running) -> None:
    run_id = running.started()
    first = running.executions.end(*running.name(run_id), ExecutionStatus.FAILED, error="busy")
    assert run(running.api.ends.record(first))
    run(running.api.redrive.redrive(run_id, actor="key:op", request_id="r"))
    assert not run(running.api.ends.record(first))
    assert running.status(run_id) == "queued"


@pytest.mark.parametrize(
    ("workflow", "name"),
    [
        ("analysis", "by-hand"),
        ("analysis", "wfl_" + "0" * 32 + "-0"),
        ("analysis", "wfl_" + "0" * 32),
        ("analysis/Documents", "{run}-0"),
        ("saga", "{run}-0"),
        ("analysis", "{run}-1"),
    ],
)
def test_an_execution_that_is_no_runs_ends_nothing(running: Running, workflow: str, name: str) -> None:
    run_id = running.started()
    execution = Execution(workflow, name.format(run=run_id), ExecutionStatus.SUCCEEDED, output="1")
    assert not run(running.api.ends.record(execution))
    assert running.kinds(run_id) == ["accepted"]


def test_an_execution_that_goes_on_ends_nothing(running: Running) -> None:
    run_id = running.started()
    assert not run(running.api.ends.catch_up(*running.name(run_id)))
    assert not run(running.api.ends.catch_up("analysis", "nobody"))


def test_whatever_fails_at_recording_doing_it_again_records_it_once() -> None:
    def prepared(calls: Calls) -> tuple[Running, Any, Execution]:
        running = Running()
        run_id = running.started()
        running.executions.end(*running.name(run_id), ExecutionStatus.SUCCEEDED, output=json.dumps(["x" * 100] * 50))
        return running, running.process(calls).ends, Execution(*running.name(run_id), ExecutionStatus.SUCCEEDED)

    probe = Calls()
    _, ends, execution = prepared(probe)
    run(ends.record(execution))
    for calls in every_failure(len(probe.made)):
        running, ends, execution = prepared(calls)
        with contextlib.suppress(Died, RetryableError):
            run(ends.record(execution))
        run(running.api.ends.record(execution))
        run_id = execution.name[:-2]
        assert running.kinds(run_id) == ["accepted", "succeeded"]
        verify_chain(running.events(run_id))


def test_the_end_of_an_execution_that_nobody_told_is_found_by_the_reconciler(running: Running) -> None:
    run_id = running.started()
    running.project()
    running.executions.end(*running.name(run_id), ExecutionStatus.SUCCEEDED, output="[1]")
    running.reconcile()
    running.clock.advance(901)
    running.reconcile()
    assert running.kinds(run_id) == ["accepted", "succeeded"]


def test_a_run_that_goes_on_is_asked_after_less_and_less_often(running: Running) -> None:
    run_id = running.started()
    running.project()
    for _ in range(24 * 60):
        running.clock.advance(60)
        running.reconcile()
    assert running.status(run_id) == "queued"
    assert 4 < running.executions.starts < 15
    assert len(running.executions.executions) == 1


def test_a_run_is_ended_soon_after_its_deadline_though_its_execution_goes_on(running: Running) -> None:
    run_id = running.started(deadline_ms=running.clock.now_ms() + 7_200_000)
    running.project()
    for _ in range(119):
        running.clock.advance(60)
        running.reconcile()
    assert running.status(run_id) == "queued"
    running.clock.advance(60)
    running.reconcile()
    assert running.status(run_id) == "expired"
    running.follow(*running.events(run_id))
    assert running.executions.stopped == [(*running.name(run_id), "the run is expired")]


def test_an_end_and_a_cancel_at_once_are_one_end(running: Running) -> None:
    run_id = running.started()
    execution = running.executions.end(*running.name(run_id), ExecutionStatus.SUCCEEDED, output="1")

    async def all_at_once() -> tuple[bool, bool]:
        recorders = asyncio.gather(*(running.process().ends.record(execution) for _ in range(3)))
        cancel = running.process().cancel.cancel("acme", run_id, actor="key:test", request_id="cancel")
        recorded, cancelled = await asyncio.gather(recorders, cancel)
        return any(recorded), cancelled is not None and cancelled.changed

    recorded, cancelled = run(all_at_once())
    assert recorded != cancelled
    assert running.kinds(run_id) == ["accepted", "succeeded" if recorded else "cancelled"]
    verify_chain(running.events(run_id))
