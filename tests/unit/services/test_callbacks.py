"""What a state is told of how its task ended: once, whoever ended it, and in words that it can match."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flotilla.events import Event, Kind, TaskState, chain, fold
from flotilla.models import ErrorInfo, Payload, Status, TaskMessage, WorkflowStep
from flotilla.services.callbacks import INLINE_BYTES, Callbacks, Ended, ended_state, error_name, is_workers
from flotilla.services.claim_check import ClaimCheck
from flotilla.services.successor import successor
from flotilla.workflows.errors import BUILT_IN
from tests.fakes import MemoryPayloadStore
from tests.fakes.metrics import MemoryMetrics
from tests.fakes.workflows import Answer, MemoryTaskTokens
from tests.logs import LogBuilder
from tests.unit.services.fleet import Fleet, run
from tests.unit.services.ordering import RUN, TOKEN, asked, order_of, told, worked

STEP = WorkflowStep(RUN, "Extract", TOKEN)
SECOND_MS = 1000


class Desk:
    """Callbacks over a state that waits."""

    def __init__(self, inline_bytes: int = 1000) -> None:
        self.tokens = MemoryTaskTokens({TOKEN})
        self.claim_check = ClaimCheck(MemoryPayloadStore(), inline_bytes=inline_bytes)
        self.metrics = MemoryMetrics()
        self.callbacks = Callbacks(self.tokens, self.claim_check, self.metrics)

    def answer(self, end: Ended) -> Answer:
        assert run(self.callbacks.answer(end))
        (answer,) = self.tokens.answers
        return answer

    def failed(self, status: Status, error: ErrorInfo | None) -> dict[str, Any]:
        answer = self.answer(Ended("tsk_1", "sample.echo", STEP, status, error=error))
        assert answer.output is None
        return {"error": answer.error, **json.loads(answer.cause or "")}

    def succeeded(self, value: Any) -> Any:
        payload = run(self.claim_check.check_in("acme", "tsk_1", value))
        answer = self.answer(Ended("tsk_1", "sample.echo", STEP, Status.SUCCEEDED, output=payload))
        found = json.loads(answer.output or "")
        assert (found["task_id"], found["agent"]) == ("tsk_1", "sample.echo")
        return found["output"]


@pytest.mark.parametrize("value", [None, 0, "", [], {"größe": "\U0001f680"}, "x" * 2000, "\x00" * 2000], ids=repr)
def test_an_output_is_told_as_it_is(value: Any) -> None:
    assert Desk().succeeded(value) == value


@pytest.mark.parametrize("inline_bytes", [1000, 40_960])
def test_an_output_is_told_by_reference_where_it_is_too_large_wherever_it_lies(inline_bytes: int) -> None:
    fits = "x" * (INLINE_BYTES - 2)
    assert Desk(inline_bytes).succeeded(fits) == fits
    assert Desk(inline_bytes).succeeded(fits + "x") == {"$task_output": "tsk_1"}
    assert Desk(inline_bytes).succeeded("ä" * (INLINE_BYTES // 2)) == {"$task_output": "tsk_1"}


def test_a_failure_is_told_by_its_code() -> None:
    error = ErrorInfo("document_unreadable", "no text in it", retryable=False)
    assert Desk().failed(Status.DEAD_LETTERED, error) == {
        "error": "document_unreadable",
        "task_id": "tsk_1",
        "message": "no text in it",
        "retryable": False,
        "status": "dead_lettered",
    }


def test_a_cancelled_task_is_told_as_that_whatever_its_last_attempt_failed_with() -> None:
    failed = ErrorInfo("busy", "the other side is busy", retryable=True)
    for error in (None, failed):
        answer = Desk().failed(Status.CANCELLED, error)
        assert (answer["error"], answer["message"], answer["retryable"]) == ("cancelled", "it was cancelled", False)
    own = ErrorInfo("cancelled", "its workflow was cancelled", retryable=False)
    assert Desk().failed(Status.CANCELLED, own)["message"] == "its workflow was cancelled"


@given(st.text(max_size=400), st.text(max_size=100))
def test_whatever_an_author_calls_an_error_step_functions_takes_it(code: str, message: str) -> None:
    answer = Desk().failed(Status.DEAD_LETTERED, ErrorInfo(code, message * 200, retryable=True))
    assert 0 < len(answer["error"]) <= 256
    assert not answer["error"].startswith("States.")
    assert (message * 200).startswith(answer["message"])


def test_no_author_can_stand_in_for_step_functions_own_errors() -> None:
    assert error_name("States.Timeout") == error_name(" States.ALL") == error_name("") == "agent_error"
    assert error_name("document.unreadable") == "document.unreadable"


def test_a_state_that_no_longer_waits_is_counted_and_told_no_more(caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk()
    end = Ended("tsk_1", "sample.echo", STEP, Status.SUCCEEDED, output=Payload(inline=1))
    assert run(desk.callbacks.answer(end))
    assert not run(desk.callbacks.answer(end))
    assert desk.metrics.total("CallbacksTooLate") == 1
    (line,) = [record for record in caplog.records if record.message == "a state no longer waits"]
    assert (line.task_id, line.run, line.step) == ("tsk_1", RUN, "Extract")  # type: ignore[attr-defined]
    assert TOKEN not in str(vars(line))


class TestEnds:
    """Each way in which a task can end."""

    def test_an_authors_code_is_the_name_of_the_error(self, fleet: Fleet) -> None:
        worked(fleet, asked(fleet, "sample.failing", "permanent", times=9))
        answer = told(fleet)
        assert (answer["error"], answer["message"], answer["retryable"]) == ("never", "never", False)
        assert answer["status"] == "dead_lettered"

    def test_an_error_that_says_nothing_is_told_once_no_attempt_is_left(self, fleet: Fleet) -> None:
        body = asked(fleet, "sample.failing", times=9)
        for count in range(1, 4):
            assert not fleet.tokens.answers
            worked(fleet, body, count)
            fleet.clock.advance(100)
        answer = told(fleet)
        assert (answer["error"], answer["retryable"]) == ("agent_error", True)
        assert "anything" in answer["message"]

    def test_an_input_that_the_agent_does_not_take(self, fleet: Fleet) -> None:
        worked(fleet, asked(fleet, times="many"))  # type: ignore[arg-type]
        assert told(fleet)["error"] == "invalid_input"

    def test_a_deadline_that_passes(self, fleet: Fleet) -> None:
        body = asked(fleet, "sample.parking", 30, times=9, timeout_seconds=40)
        worked(fleet, body)
        fleet.clock.advance(41)
        worked(fleet, body, 2)
        answer = told(fleet)
        assert (answer["error"], answer["status"]) == ("deadline", "expired")

    def test_a_deadline_that_passed_before_the_order_came(self, fleet: Fleet) -> None:
        body = asked(fleet, timeout_seconds=1)
        accepted(fleet, body)
        fleet.clock.advance(2)
        worked(fleet, body)
        assert told(fleet)["error"] == "deadline"
        assert fleet.kinds(order_of(body).task_id) == ["accepted", "expired"]

    def test_a_worker_that_dies_in_the_last_attempt(self, fleet: Fleet) -> None:
        body = asked(fleet, max_attempts=1)
        message = accepted(fleet, body)
        run(fleet.log.append(started(fleet.log.logs[message.task_id][0], fleet.clock.now_ms() + SECOND_MS)))
        fleet.clock.advance(100)
        worked(fleet, body, 2)
        assert told(fleet)["error"] == "worker_lost"

    def test_what_others_end_is_left_to_the_broadcaster(self, fleet: Fleet) -> None:
        body = asked(fleet)
        message = accepted(fleet, body)
        state = run(fleet.state(message.task_id))
        cancelled = successor(state, Kind.CANCELLED, {}, actor="key:k1", at_ms=fleet.clock.now_ms())
        run(fleet.log.append(cancelled))
        assert worked(fleet, body, 2).done
        assert not fleet.tokens.answers
        end = ended_state(run(fleet.state(message.task_id)))
        assert end is not None
        assert fleet.tools.callbacks is not None
        assert run(fleet.tools.callbacks.answer(end))
        assert told(fleet)["error"] == "cancelled"


def accepted(fleet: Fleet, body: str) -> TaskMessage:
    """The task of an order whose worker died once it had accepted it."""
    assert fleet.tools.bridge is not None
    message = run(fleet.tools.bridge.task_of(order_of(body), fleet.catalog.get("sample.echo"), "g"))
    assert isinstance(message, TaskMessage)
    return message


def started(accepted: Event, lease_until_ms: int) -> Event:
    """An attempt of another worker's."""
    return chain(
        task_id=accepted.task_id,
        seq=1,
        kind=Kind.STARTED,
        at_ms=accepted.at_ms,
        actor="worker:other/1",
        attempt=1,
        body={"lease_until_ms": lease_until_ms, "solo": True},
        prev_hash=accepted.hash,
    )


def state_of(*kinds: Kind, **accepted: Any) -> TaskState:
    builder = LogBuilder()
    builder.add(Kind.ACCEPTED, **accepted)
    for number, kind in enumerate(kinds):
        builder.add(kind, attempt=number)
    return fold(builder.events)


def test_a_state_has_an_end_to_tell_once_its_task_has_one() -> None:
    step = {"workflow": STEP.to_json()}
    assert ended_state(state_of(**step)) is None
    assert ended_state(state_of(Kind.STARTED, **step)) is None
    end = ended_state(state_of(Kind.STARTED, Kind.SUCCEEDED, **step))
    assert end == Ended("tsk_sample", "sample.echo", STEP, Status.SUCCEEDED, output=Payload(inline={"value": 2}))


def test_a_task_that_no_state_asked_for_has_none_to_tell() -> None:
    assert ended_state(state_of(Kind.STARTED, Kind.SUCCEEDED)) is None


def test_nobody_can_answer_by_what_is_told_of_a_token() -> None:
    told_of = {"workflow": {"run": RUN, "step": "Extract", "token_sha256": "0" * 64}}
    assert ended_state(state_of(Kind.STARTED, Kind.SUCCEEDED, **told_of)) is None


def test_workers_are_known_by_their_names() -> None:
    assert is_workers("worker:fleet-worker-standard/1-2-3")
    assert not any(map(is_workers, ["key:k1", "triage:x/1", "operator:o", "agent:worker", "workflow:w"]))


def test_every_built_in_code_can_be_told_and_has_a_line() -> None:
    assert all(error_name(code) == code for code in BUILT_IN)
    assert all(meaning and "\n" not in meaning for meaning in BUILT_IN.values())
