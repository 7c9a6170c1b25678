"""The contract of `Executions`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import pytest

from flotilla.errors import PermanentError
from flotilla.workflow_ports import Execution, Executions, ExecutionStatus

WORKFLOW = "told"
"""A workflow whose executions end as their input tells them to."""

FOR_EVER = json.dumps({"end": "never"})
WELL = json.dumps({"end": "well"})
BADLY = json.dumps({"end": "badly"})

OUTPUT = {"größe": [1, None, "\U0001f680"]}
"""What it ends well with."""

ERROR = "document_unreadable"
CAUSE = '{"task_id":"tsk_1","message":"größe"}'
"""What it ends badly with."""

LetEnd = Callable[[str], None]


def start(executions: Executions, name: str, document: str = FOR_EVER, workflow: str = WORKFLOW) -> bool:
    return asyncio.run(executions.start(workflow, name, document))


def stop(executions: Executions, name: str) -> None:
    asyncio.run(executions.stop(WORKFLOW, name, "its run was cancelled"))


def find(executions: Executions, name: str) -> Execution | None:
    return asyncio.run(executions.find(WORKFLOW, name))


def status(executions: Executions, name: str) -> ExecutionStatus | None:
    found = find(executions, name)
    return None if found is None else found.status


class ExecutionsContract:
    """Provide fixtures `executions` and `let_end`, which waits until an execution has ended as its input says."""

    def test_what_is_started_runs(self, executions: Executions) -> None:
        assert start(executions, "runs")
        assert find(executions, "runs") == Execution(WORKFLOW, "runs", ExecutionStatus.RUNNING)

    def test_starting_it_again_is_the_same_execution(self, executions: Executions) -> None:
        assert start(executions, "twice")
        assert start(executions, "twice")
        assert start(executions, "twice", json.dumps({"end": "never", "since": 2})), "whatever it is told then"
        assert status(executions, "twice") is ExecutionStatus.RUNNING

    def test_what_has_ended_is_not_started_again(self, executions: Executions, let_end: LetEnd) -> None:
        assert start(executions, "once", WELL)
        let_end("once")
        assert not start(executions, "once", WELL)
        assert status(executions, "once") is ExecutionStatus.SUCCEEDED

    def test_of_one_that_succeeded_its_output_is_found(self, executions: Executions, let_end: LetEnd) -> None:
        start(executions, "good", WELL)
        let_end("good")
        found = find(executions, "good")
        assert found is not None
        assert found.status is ExecutionStatus.SUCCEEDED
        assert json.loads(found.output or "") == OUTPUT
        assert (found.error, found.cause) == (None, None)

    def test_of_one_that_failed_its_error_is_found(self, executions: Executions, let_end: LetEnd) -> None:
        start(executions, "bad", BADLY)
        let_end("bad")
        assert find(executions, "bad") == Execution(WORKFLOW, "bad", ExecutionStatus.FAILED, error=ERROR, cause=CAUSE)

    def test_what_is_stopped_has_ended(self, executions: Executions) -> None:
        start(executions, "stopped")
        stop(executions, "stopped")
        assert status(executions, "stopped") is ExecutionStatus.ABORTED
        assert not start(executions, "stopped")

    def test_what_never_began_can_be_stopped_and_looked_for(self, executions: Executions) -> None:
        stop(executions, "never")
        assert find(executions, "never") is None
        assert asyncio.run(executions.find("none", "never")) is None
        assert asyncio.run(executions.maps(WORKFLOW, "never")) == []

    def test_a_workflow_without_a_state_machine_is_unknown(self, executions: Executions) -> None:
        with pytest.raises(PermanentError) as raised:
            start(executions, "lost", workflow="none")
        assert raised.value.code == "unknown_workflow"

    def test_an_input_that_is_too_long_starts_nothing(self, executions: Executions) -> None:
        with pytest.raises(PermanentError) as raised:
            start(executions, "long", json.dumps({"end": "never", "text": "ä" * 50_000}))
        assert raised.value.code == "input_too_long"
        assert find(executions, "long") is None

    def test_the_names_that_runs_have_are_taken(self, executions: Executions) -> None:
        name = f"wfl_{'0' * 32}-{10**6}"
        assert start(executions, name)
        assert status(executions, name) is ExecutionStatus.RUNNING

    def test_an_execution_without_maps_has_none(self, executions: Executions) -> None:
        start(executions, "plain")
        assert asyncio.run(executions.maps(WORKFLOW, "plain")) == []


class EndedExecutionsContract:
    """The rest of it, which moto does not keep to: it stops what has ended."""

    def test_stopping_changes_nothing_of_what_has_ended(self, executions: Executions, let_end: LetEnd) -> None:
        start(executions, "ended", WELL)
        let_end("ended")
        stop(executions, "ended")
        assert status(executions, "ended") is ExecutionStatus.SUCCEEDED
        start(executions, "stopped-twice")
        stop(executions, "stopped-twice")
        stop(executions, "stopped-twice")
        assert status(executions, "stopped-twice") is ExecutionStatus.ABORTED
