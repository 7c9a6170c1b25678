"""Starting runs: once for one key, whatever dies in between, and always with the same execution."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace

import pytest

from flotilla.errors import IdempotencyKeyReusedError, RetryableError
from flotilla.events import fold, verify_chain
from flotilla.models import Status
from flotilla.services.dispatch import message_for
from flotilla.services.redrive import NotRedrivableError
from flotilla.services.runs import run_id_for
from flotilla.services.submit import task_id_for
from flotilla.workflow_ports import ExecutionStatus
from flotilla.workflows.declaration import Workflow
from flotilla.workflows.order import RunHeader
from tests.fakes.assembly import dispatch_to
from tests.logs import log_of
from tests.unit.services.crashes import Calls, Died, every_failure
from tests.unit.services.fleet import run
from tests.unit.services.running import Running


@pytest.fixture
def running() -> Running:
    return Running()


def test_a_run_is_a_task_of_its_own_kind(running: Running) -> None:
    answer = running.start({"documents": 3}, idempotency_key="k", labels={"a": "b"}, deadline_ms=2**50)
    state = answer.state
    assert (state.task_id, state.agent, state.agent_version) == (run_id_for("acme", "k"), "workflow:analysis", "d1")
    assert (state.status, state.input.inline, state.lane) == (Status.QUEUED, {"documents": 3}, "standard")
    assert (state.max_attempts, state.labels, state.deadline_ms) == (1, {"a": "b"}, 2**50)
    assert running.lanes.sent == {}


def test_its_states_are_told_whose_they_are(running: Running) -> None:
    run_id = running.started(
        [1],
        labels={"a": "b"},
        deadline_ms=2**50,
        budget_micros=5_000_000,
        webhook="whk_1",
        trace="Root=1",
        lane="batch",
    )
    assert running.document(run_id)["input"] == [1]
    assert RunHeader.from_json(running.document(run_id)["workflow"]) == RunHeader(
        run=run_id,
        tenant="acme",
        name="analysis",
        lane="batch",
        deadline_ms=2**50,
        trace="Root=1",
        webhook="whk_1",
        labels={"a": "b"},
        budgets=((run_id, 5_000_000),),
    )


def test_a_lane_that_nobody_asked_for_is_left_to_the_states(running: Running) -> None:
    assert running.document(running.started())["workflow"]["lane"] is None
    assert running.document(running.started(lane="standard"))["workflow"]["lane"] == "standard"


def test_a_large_input_lies_outside_of_the_log_and_reaches_the_execution(running: Running) -> None:
    value = {"documents": ["x" * 100] * 50}
    run_id = running.started(value)
    assert running.state(run_id).input.ref is not None
    assert running.document(run_id)["input"] == value


def test_a_key_is_one_run_and_no_task_of_the_same_key(running: Running) -> None:
    first, second = running.start(1, idempotency_key="k"), running.start(1, idempotency_key="k")
    assert (first.replayed, second.replayed) == (False, True)
    assert first.state.task_id == second.state.task_id
    assert first.state.task_id[4:] != task_id_for("acme", "k")[4:]
    assert first.state.task_id != running.started(1, idempotency_key="k", tenant="other")
    assert running.started(1) != running.started(1)


def test_a_key_that_stands_for_another_request_is_refused(running: Running) -> None:
    running.start(1, idempotency_key="k")
    with pytest.raises(IdempotencyKeyReusedError):
        running.start(2, idempotency_key="k")
    other = Workflow("saga", "1", "", None, ())
    with pytest.raises(IdempotencyKeyReusedError):
        running.start(1, idempotency_key="k", workflow=other)


def test_two_starts_at_once_with_one_key_are_one_run(running: Running) -> None:
    async def both() -> list[str]:
        wanted = [running.wanted(1, idempotency_key="k") for _ in range(2)]
        answers = await asyncio.gather(*(running.process().runs.start(each) for each in wanted))
        assert sorted(answer.replayed for answer in answers) == [False, True]
        return [answer.state.task_id for answer in answers]

    first, second = run(both())
    assert first == second
    assert running.kinds(first) == ["accepted"]
    assert list(running.executions.executions) == [running.name(first)]


def test_whatever_fails_at_a_start_a_repetition_makes_it_whole_and_once() -> None:
    probe, calls = Running(), Calls()
    probe.start({"documents": ["x" * 100] * 50}, idempotency_key="k", process=probe.process(calls))
    for process_calls in every_failure(len(calls.made)):
        running = Running()
        value = {"documents": ["x" * 100] * 50}
        with contextlib.suppress(Died, RetryableError):
            running.start(value, idempotency_key="k", process=running.process(process_calls))
        answer = running.start(value, idempotency_key="k")
        assert running.kinds(answer.state.task_id) == ["accepted"]
        assert list(running.executions.executions) == [running.name(answer.state.task_id)]
        assert running.document(answer.state.task_id)["input"] == value


def test_a_start_that_died_before_the_execution_is_made_up_for_by_the_reconciler() -> None:
    for deadline_ms in (None, 2**50):
        running = Running()
        probe = Calls()
        running.start(process=running.process(probe))
        running = Running()
        with contextlib.suppress(Died):
            running.start(process=running.process(Calls(probe.made.index("start"))), deadline_ms=deadline_ms)
        (run_id,) = running.log.logs
        running.project()
        assert running.executions.executions == {}
        running.reconcile()
        running.clock.advance(901)
        running.reconcile()
        assert list(running.executions.executions) == [running.name(run_id)]


def test_a_workflow_that_has_no_state_machine_ends_the_run_and_says_so(running: Running) -> None:
    running.executions.workflows.clear()
    run_id = running.started()
    state = running.state(run_id)
    assert (state.status, state.error and state.error.code) == (Status.DEAD_LETTERED, "unknown_workflow")
    verify_chain(running.events(run_id))


def test_a_run_that_was_cancelled_before_it_was_started_is_not(running: Running) -> None:
    probe = Calls()
    running.start(idempotency_key="probe", process=running.process(probe))
    with contextlib.suppress(Died):
        running.start(idempotency_key="k", process=running.process(Calls(probe.made.index("start"))))
    run_id = run_id_for("acme", "k")
    running.cancelled(run_id)
    assert running.start(idempotency_key="k").state.status is Status.CANCELLED
    assert running.name(run_id) not in running.executions.executions


def test_a_run_whose_deadline_has_passed_is_not_started_but_ended(running: Running) -> None:
    run_id = running.started(deadline_ms=running.clock.now_ms())
    assert (running.status(run_id), running.executions.executions) == ("expired", {})


def test_a_dead_run_is_redriven_as_a_new_execution_with_another_input(running: Running) -> None:
    run_id = running.started({"n": 1})
    running.end(run_id, ExecutionStatus.FAILED, error="document_unreadable", cause="no text")
    redriven = run(running.api.redrive.redrive(run_id, actor="key:op", request_id="r"))
    assert redriven is not None and redriven.changed
    assert running.document(run_id, 2) == running.document(run_id)
    again = run(running.api.redrive.redrive(run_id, actor="key:op", request_id="r2"))
    assert again is not None and not again.changed
    assert len(running.executions.executions) == 2
    assert running.end(run_id, ExecutionStatus.SUCCEEDED, 2, output="1")
    assert running.kinds(run_id) == ["accepted", "dead_lettered", "redriven", "succeeded"]


def test_a_run_of_a_workflow_that_is_gone_is_not_redriven(running: Running) -> None:
    run_id = running.started(workflow=Workflow("gone", "1", "", None, ()))
    assert running.status(run_id) == "dead_lettered"
    with pytest.raises(NotRedrivableError):
        run(running.api.redrive.redrive(run_id, actor="key:op", request_id="r"))


def test_a_run_is_put_on_no_lane_also_among_other_messages(running: Running) -> None:
    state = running.start(idempotency_key="k").state
    messages = [message_for(state), replace(message_for(fold(log_of())), not_before_ms=None)]
    assert run(running.api.dispatch.batch(messages)) == [True, True]
    assert list(running.lanes.sent) == ["tsk_sample-0"]


def test_who_starts_no_runs_says_so(running: Running) -> None:
    message = message_for(running.start().state)
    elsewhere = dispatch_to(running.lanes, running.clock)
    with pytest.raises(RetryableError):
        run(elsewhere(message))
    assert run(elsewhere.batch([message])) == [False]
    assert running.lanes.sent == {}
