"""What a run leaves when it ends: its execution is stopped, and its tasks are ended, whatever dies in between."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace

import pytest

from flotilla.coordination import PauseScope
from flotilla.errors import RetryableError
from flotilla.events import Kind, verify_chain
from flotilla.models import Status
from flotilla.workflow_ports import ExecutionStatus
from tests.unit.services.crashes import Calls, Died, every_failure
from tests.unit.services.fleet import run
from tests.unit.services.running import Running


@pytest.fixture
def running() -> Running:
    return Running()


def with_tasks(running: Running) -> tuple[str, list[str]]:
    """A run with a task that has ended and three that have not."""
    run_id = running.started()
    running.task(run_id, "Extract", 0, Kind.STARTED, Kind.SUCCEEDED)
    living = [
        running.task(run_id, "Extract", 1, Kind.STARTED),
        running.task(run_id, "Extract", 2, Kind.STARTED, Kind.PARKED),
        running.task(run_id, "Extract", 3),
    ]
    return run_id, living


def test_a_cancelled_run_is_stopped_with_all_its_tasks(running: Running) -> None:
    run_id, living = with_tasks(running)
    other, _ = with_tasks(Running())
    bystander = running.task(other, "Extract", 9)
    running.cancelled(run_id)
    assert running.follow(running.events(run_id)[-1]) is None
    assert running.executions.stopped == [(*running.name(run_id), "the run is cancelled")]
    mark = running.pauses.pauses[PauseScope.RUN, run_id]
    assert mark.expires_at == running.clock.now_ms() // 1000 + 86_400
    assert {running.status(task_id) for task_id in living} == {"cancelled"}
    assert running.status(f"tsk_{0:032x}") == "succeeded"
    assert running.status(bystander) == "queued"
    for task_id in living:
        verify_chain(running.events(task_id))
        assert running.events(task_id)[-1].actor == "workflow:analysis"


def test_doing_it_again_changes_nothing(running: Running) -> None:
    run_id, living = with_tasks(running)
    running.cancelled(run_id)
    for _ in range(3):
        assert running.follow(*running.events(run_id)) is None
    running.project()
    assert running.follow(*running.events(run_id)) is None
    assert [running.kinds(task_id).count("cancelled") for task_id in living] == [1, 1, 1]
    assert len(running.executions.stopped) == 1


def test_a_task_that_the_read_model_did_not_know_yet_is_ended_by_the_reconciler(running: Running) -> None:
    run_id, _ = with_tasks(running)
    late = running.task(run_id, "Extract", 7, Kind.STARTED, projected=False)
    running.cancelled(run_id)
    running.follow(*running.events(run_id))
    assert running.status(late) == "running"
    running.project()
    assert running.reconcile() == {}, "it is given the time to become known"
    running.clock.advance(61)
    assert running.reconcile() == {"cleared": 1}
    assert running.status(late) == "cancelled"
    running.clock.advance(3600)
    assert running.reconcile().get("cleared", 0) == 0


def test_an_execution_that_was_started_beside_the_cancel_is_stopped_by_the_reconciler(running: Running) -> None:
    run_id = running.started()
    execution = running.executions.executions.pop(running.name(run_id))
    running.cancelled(run_id)
    running.follow(*running.events(run_id))
    running.executions.executions[running.name(run_id)] = execution
    running.project()
    running.clock.advance(61)
    running.reconcile()
    assert running.executions.executions[running.name(run_id)].status is ExecutionStatus.ABORTED


def test_a_dead_run_leaves_no_mark_and_loses_only_the_tasks_that_it_had(running: Running) -> None:
    run_id, living = with_tasks(running)
    running.end(run_id, ExecutionStatus.FAILED, error="busy")
    died = running.events(run_id)[-1]
    running.clock.advance(1)
    run(running.api.redrive.redrive(run_id, actor="key:op", request_id="r"))
    running.clock.advance(1)
    new = running.task(run_id, "Extract", 5, Kind.STARTED)
    assert running.follow(died) is None
    assert {running.status(task_id) for task_id in living} == {"cancelled"}
    assert running.status(new) == "running"
    assert running.pauses.pauses == {}
    assert running.executions.stopped == []
    running.clock.advance(61)
    running.reconcile()
    assert (running.status(new), running.status(run_id)) == ("running", "queued")


def test_a_run_that_succeeded_leaves_nothing(running: Running) -> None:
    run_id, living = with_tasks(running)
    running.end(run_id, ExecutionStatus.SUCCEEDED, output="1")
    assert running.follow(*running.events(run_id)) is None
    assert running.status(living[0]) == "running"
    running.project()
    assert all(entry.look_at_ms is None for entry in running.views.entries.values() if entry.is_run)


def test_a_redriven_run_that_is_cancelled_has_its_newest_execution_stopped(running: Running) -> None:
    run_id = running.started()
    running.end(run_id, ExecutionStatus.FAILED, error="busy")
    run(running.api.redrive.redrive(run_id, actor="key:op", request_id="r"))
    running.cancelled(run_id)
    running.follow(*running.events(run_id))
    assert [name for _, name, _ in running.executions.stopped] == [f"{run_id}-2"]


def test_what_there_is_no_time_for_comes_again(running: Running) -> None:
    run_id, living = with_tasks(running)
    running.cancelled(run_id)
    assert running.follow(*running.events(run_id), seconds=0) == 1
    assert running.status(living[0]) == "running"
    assert running.follow(*running.events(run_id)) is None
    assert running.status(living[0]) == "cancelled"


def test_many_tasks_are_ended_page_by_page(running: Running) -> None:
    run_id = running.started()
    tasks = [running.task(run_id, "Extract", number, projected=False) for number in range(450)]
    running.project()
    running.cancelled(run_id)
    assert running.follow(*running.events(run_id)) is None
    assert {running.status(task_id) for task_id in tasks} == {"cancelled"}


@pytest.mark.parametrize("by", ["the broadcaster", "the reconciler"])
def test_whatever_fails_at_clearing_up_doing_it_again_clears_it_up(by: str) -> None:
    def prepared() -> tuple[Running, str, list[str]]:
        running = Running()
        run_id, living = with_tasks(running)
        running.cancelled(run_id)
        running.project()
        running.clock.advance(61)
        return running, run_id, living

    def clear(running: Running, run_id: str) -> Callable[[Calls | None], object]:
        if by == "the broadcaster":
            return lambda calls: running.follow(running.events(run_id)[-1], process=running.process(calls))
        return lambda calls: running.reconcile(running.process(calls))

    running, run_id, _ = prepared()
    probe = Calls()
    clear(running, run_id)(probe)
    for calls in every_failure(len(probe.made)):
        running, run_id, living = prepared()
        with contextlib.suppress(Died, RetryableError):
            clear(running, run_id)(calls)
        for _ in range(3):
            running.clock.advance(121)
            clear(running, run_id)(None)
        assert {running.status(task_id) for task_id in living} == {"cancelled"}, (calls.fatal, calls.fate)
        assert len(running.executions.stopped) == 1
        assert (PauseScope.RUN, run_id) in running.pauses.pauses


def test_a_failure_is_told_to_the_stream() -> None:
    running = Running()
    run_id, _ = with_tasks(running)
    running.cancelled(run_id)
    probe = Calls()
    running.follow(running.events(run_id)[-1], process=running.process(probe))
    for calls in every_failure(len(probe.made)):
        again = Running()
        run_id, _ = with_tasks(again)
        again.cancelled(run_id)
        with contextlib.suppress(Died):
            position = again.follow(*again.events(run_id), process=again.process(calls))
            assert position == 1, (calls.made, calls.fate)


def test_a_task_whose_log_is_corrupt_does_not_keep_the_others(running: Running) -> None:
    run_id, living = with_tasks(running)
    log = running.log.logs[living[0]]
    log[1] = replace(log[1], prev_hash="0" * 64)
    running.cancelled(run_id)
    assert running.follow(*running.events(run_id)) is None
    assert [running.status(task_id) for task_id in living[1:]] == [Status.CANCELLED, Status.CANCELLED]
