"""Tasks that wait for a signal: nothing is held meanwhile, and each wait ends once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from flotilla.events import Kind
from flotilla.models import Status
from flotilla.primitives.ladder import REACH_SECONDS
from flotilla.services.cancel import CancelService
from flotilla.services.dispatch import message_for
from flotilla.services.redrive import Correction, RedriveService
from flotilla.services.suspension import MOST_WAITS
from tests.logs import LogBuilder
from tests.unit.services import waiting_agents
from tests.unit.services.fleet import Fleet, run
from tests.unit.services.open_logs import open_logs
from tests.unit.services.waiting import LANES, begun, delivery_of, give, go_on, on_lane, submitted

WAITED = ["accepted", "started", "step_recorded", "waiting"]


@pytest.fixture
def fleet() -> Fleet:
    waiting_agents.HISTORY.clear()
    waiting_agents.LINGER.clear()
    return Fleet(waiting_agents.ALL)


def died(fleet: Fleet, task: str) -> tuple[str, str]:
    """How it died."""
    state = run(fleet.state(task))
    assert state.status is Status.DEAD_LETTERED
    return state.error.code, state.error.message


def test_the_attempt_ends_in_the_wait_and_nothing_is_held(fleet: Fleet) -> None:
    task = submitted(fleet, "waiting.approval")
    result = run(fleet.deliver(fleet.delivery(task)))
    assert [delivery.message_id for delivery in result.done] == [task]
    assert fleet.kinds(task) == WAITED
    state = run(fleet.state(task))
    assert (state.status, state.waiting_for, state.waiting_until_ms) == (Status.WAITING, "decision", None)
    assert state.waiting_detail == {"proposal": "PROPOSE"}
    assert not fleet.delays.tiers and not fleet.schedules.waiting and fleet.lanes.sends == 1


@pytest.mark.parametrize("agent", ["waiting.approval", "waiting.plain"])
def test_the_signal_brings_the_next_attempt_and_its_payload(fleet: Fleet, agent: str) -> None:
    task = begun(fleet, agent)
    done = run(give(fleet, task, payload={"approved": True}))
    assert (done.changed, done.state.status) == (True, Status.QUEUED)
    go_on(fleet, task)
    state = run(fleet.state(task))
    assert (state.status, state.output.inline) == (Status.SUCCEEDED, {"approved": True})
    assert (state.attempt, state.attempts_charged, state.max_attempts) == (2, 0, 1)
    assert waiting_agents.HISTORY.count("propose") == 1, "the recorded step is replayed"
    signalled = run(fleet.log.read(task))[4]
    assert (signalled.actor, signalled.body) == (
        "key:k2",
        {"name": "decision", "payload": {"approved": True}, "request_id": "r1"},
    )


def test_a_later_attempt_is_told_the_same_again(fleet: Fleet) -> None:
    task = begun(fleet, "waiting.flaky")
    run(give(fleet, task))
    go_on(fleet, task)
    fleet.clock.advance(60)
    run(fleet.deliver(delivery_of(on_lane(fleet, task), 2)))
    assert run(fleet.state(task)).output.inline == "yes"
    assert waiting_agents.HISTORY == [("attempt", 2), ("attempt", 3)]


def test_a_name_used_again_is_another_wait(fleet: Fleet) -> None:
    task = begun(fleet, "waiting.twice")
    for name, payload in (("decision", 1), ("decision#2", 2), ("other", 3)):
        assert run(fleet.state(task)).waiting_for == name
        run(give(fleet, task, name, payload))
        go_on(fleet, task)
    assert run(fleet.state(task)).output.inline == [1, 2, 3]


def test_of_two_waits_at_once_the_first_comes_first(fleet: Fleet) -> None:
    task = begun(fleet, "waiting.together")
    for name in ("left", "right"):
        assert run(fleet.state(task)).waiting_for == name
        run(give(fleet, task, name, name))
        go_on(fleet, task)
    assert run(fleet.state(task)).output.inline == ["left", "right"]


def test_a_short_wait_is_ended_by_a_message_through_the_ladder(fleet: Fleet) -> None:
    task = begun(fleet, "waiting.patient", {"seconds": 100})
    state = run(fleet.state(task))
    assert state.waiting_until_ms == fleet.clock.now_ms() + 100_000
    (message,) = fleet.delays.take(15)
    assert (message.seq, message.not_before_ms, message.attempt) == (state.head_seq, state.waiting_until_ms, 1)
    fleet.clock.advance(100)
    run(fleet.deliver(delivery_of(message)))
    assert fleet.kinds(task)[2:] == ["waiting", "resumed", "started", "step_recorded", "succeeded"]
    assert run(fleet.log.read(task))[3].body == {"for": "decision", "timed_out": True}
    state = run(fleet.state(task))
    assert state.output.inline == ["timed out", "wait_timeout", "INSTEAD"]
    assert state.attempts_charged == 0


def test_a_wait_that_nobody_catches_the_end_of_is_what_the_task_dies_of(fleet: Fleet) -> None:
    task = begun(fleet, value={"seconds": 100})
    (message,) = fleet.delays.take(15)
    fleet.clock.advance(100)
    run(fleet.deliver(delivery_of(message)))
    assert died(fleet, task) == ("wait_timeout", "'decision' was not signalled in time")
    assert waiting_agents.HISTORY == ["propose"]


def test_a_wait_beyond_the_ladder_is_left_to_the_reconciler(fleet: Fleet) -> None:
    task = begun(fleet, "waiting.patient", {"seconds": REACH_SECONDS + 1})
    assert not fleet.delays.tiers and not fleet.schedules.waiting
    assert run(fleet.state(task)).status is Status.WAITING


def test_a_message_that_comes_too_early_is_not_kept_long(fleet: Fleet) -> None:
    """A group hands out one message at a time: kept on the lane it would hold up the signal's."""
    task = begun(fleet, "waiting.patient", {"seconds": 100})
    (message,) = fleet.delays.take(15)
    fleet.clock.advance(99)
    result = run(fleet.deliver(delivery_of(message)))
    assert len(result.again) == 1
    assert fleet.receipts.visibility[-1] == (f"{task}/{message.seq}", 1)
    fleet.clock.advance(-60)
    assert run(fleet.deliver(delivery_of(message))).again == []
    assert fleet.kinds(task)[2:] == ["waiting"]


def test_a_message_from_before_the_wait_sends_the_one_that_ends_it_again(fleet: Fleet) -> None:
    """The process died after `waiting`, before or after it had sent the message."""
    task = begun(fleet, "waiting.patient", {"seconds": 100}, session="s")
    fleet.delays.tiers.clear()
    result = run(fleet.deliver(fleet.delivery(task, 2)))
    assert len(result.done) == 1
    (message,) = fleet.delays.take(15)
    assert (message.seq, message.not_before_ms) == (2, run(fleet.state(task)).waiting_until_ms)
    assert fleet.lanes.sends == 1, "a session does not wait with it"


def test_a_message_from_before_the_wait_does_not_end_it(fleet: Fleet) -> None:
    """It is of a place in its session that the task has given up."""
    task = begun(fleet, "waiting.patient", {"seconds": 100}, session="s")
    fleet.clock.advance(100)
    assert len(run(fleet.deliver(fleet.delivery(task, 2))).done) == 1
    assert fleet.kinds(task)[-1] == "waiting"
    go_on(fleet, task)
    assert run(fleet.state(task)).output.inline[0] == "timed out"


def test_a_message_from_before_a_signal_sends_the_signals_own(fleet: Fleet) -> None:
    """Who signalled died before it had sent the message."""
    task = begun(fleet)
    run(give(fleet, task))
    signalled = run(fleet.state(task)).head_seq
    del fleet.lanes.sent[f"{task}-{signalled}"]
    assert len(run(fleet.deliver(fleet.delivery(task, 2))).done) == 1
    assert on_lane(fleet, task).seq == signalled
    go_on(fleet, task)
    assert run(fleet.state(task)).output.inline == "yes"
    run(fleet.deliver(fleet.delivery(task, 3)))
    assert run(fleet.state(task)).attempt == 2


def test_a_message_from_before_an_endless_wait_is_done(fleet: Fleet) -> None:
    task = begun(fleet)
    assert len(run(fleet.deliver(fleet.delivery(task, 2))).done) == 1
    assert fleet.kinds(task) == WAITED


def test_the_deadline_ends_a_wait_and_the_task(fleet: Fleet) -> None:
    deadline_ms = fleet.clock.now_ms() + 50_000
    task = begun(fleet, "waiting.patient", {"seconds": 100}, deadline_ms=deadline_ms)
    (message,) = fleet.delays.take(15)
    assert message.not_before_ms == deadline_ms
    fleet.clock.advance(50)
    run(fleet.deliver(delivery_of(message)))
    assert fleet.kinds(task)[2:] == ["waiting", "expired"]
    state = run(fleet.state(task))
    assert (state.waiting_for, state.waiting_until_ms, state.waiting_detail) == (None, None, None)


def test_an_endless_wait_with_a_deadline_ends_with_it(fleet: Fleet) -> None:
    task = begun(fleet, deadline_ms=fleet.clock.now_ms() + 50_000)
    (message,) = fleet.delays.take(15)
    fleet.clock.advance(50)
    run(fleet.deliver(delivery_of(message)))
    assert run(fleet.state(task)).status is Status.EXPIRED


def test_a_signal_that_the_task_hears_of_after_its_deadline_does_not_save_it(fleet: Fleet) -> None:
    task = begun(fleet, deadline_ms=fleet.clock.now_ms() + 50_000)
    run(give(fleet, task))
    fleet.clock.advance(60)
    go_on(fleet, task)
    assert fleet.kinds(task)[-2:] == ["signalled", "expired"]
    assert "act" not in waiting_agents.HISTORY


def test_a_cancelled_wait_is_over(fleet: Fleet) -> None:
    task = begun(fleet, "waiting.patient", {"seconds": 100})
    service = CancelService(logs=open_logs(fleet), schedules=fleet.schedules, clock=fleet.clock)
    assert run(service.cancel("acme", task, actor="key:k2", request_id="c1")).changed
    (message,) = fleet.delays.take(15)
    fleet.clock.advance(100)
    run(fleet.deliver(delivery_of(message)))
    assert fleet.kinds(task)[-1] == "cancelled"


def test_a_paused_agent_goes_on_after_the_pause(fleet: Fleet) -> None:
    task = begun(fleet)
    run(fleet.pause())
    fleet.clock.advance(5)
    run(give(fleet, task))
    go_on(fleet, task)
    assert fleet.kinds(task)[-2:] == ["signalled", "parked"]
    fleet.pauses.__init__()  # type: ignore[misc]
    fleet.clock.advance(60)
    run(fleet.deliver(delivery_of(on_lane(fleet, task), 2)))
    assert run(fleet.state(task)).status is Status.SUCCEEDED


def redrive(fleet: Fleet, task: str, **options: Any) -> None:
    service = RedriveService(
        logs=open_logs(fleet),
        dispatch=fleet.dispatch,
        claim_check=fleet.claim_check,
        catalog=fleet.catalog,
        lanes=LANES,
        clock=fleet.clock,
    )
    assert run(service.redrive(task, actor="key:k3", request_id="d1", **options)).changed
    go_on(fleet, task)


def test_a_redrive_of_what_died_of_its_wait_waits_anew(fleet: Fleet) -> None:
    task = begun(fleet, value={"seconds": 100})
    fleet.clock.advance(100)
    run(fleet.deliver(delivery_of(fleet.delays.take(15)[0])))
    redrive(fleet, task)
    assert run(fleet.state(task)).status is Status.WAITING
    run(give(fleet, task))
    go_on(fleet, task)
    assert run(fleet.state(task)).output.inline == "yes"


def test_a_redrive_keeps_what_was_signalled(fleet: Fleet) -> None:
    task = begun(fleet, "waiting.dying")
    run(give(fleet, task))
    go_on(fleet, task)
    assert died(fleet, task)[0] == "told_to_die"
    redrive(fleet, task)
    assert run(fleet.state(task)).output.inline == "yes"


def test_a_corrected_input_is_decided_upon_anew(fleet: Fleet) -> None:
    task = begun(fleet, "waiting.dying")
    run(give(fleet, task))
    go_on(fleet, task)
    redrive(fleet, task, correction=Correction({"value": "another"}))
    assert run(fleet.state(task)).waiting_for == "decision"


@pytest.mark.parametrize("what", ["returns", "fails", "works", "waits again", "hangs"])
def test_whatever_an_agent_makes_of_being_told_to_wait_it_waits(fleet: Fleet, what: str) -> None:
    task = begun(fleet, "waiting.careless", {"value": what}) if what != "hangs" else _hangs(fleet)
    assert fleet.kinds(task) == ["accepted", "started", "waiting"]
    assert run(fleet.state(task)).waiting_for == "decision"
    assert waiting_agents.HISTORY == []
    run(give(fleet, task))
    go_on(fleet, task)
    assert run(fleet.state(task)).output.inline == "yes"


def _hangs(fleet: Fleet) -> str:
    fleet.catalog._agents["waiting.careless"] = replace(fleet.catalog.get("waiting.careless"), timeout_seconds=0.05)
    return begun(fleet, "waiting.careless", {"value": "hangs"})


def test_what_goes_on_on_its_thread_does_not_wait(fleet: Fleet) -> None:
    """A signal might come at once, and two attempts would run side by side."""
    task = submitted(fleet, "waiting.overrunning")

    async def first_attempt() -> None:
        await fleet.deliver(fleet.delivery(task))
        waiting_agents.LINGER.set()

    run(first_attempt())
    assert fleet.kinds(task) == ["accepted", "started", "attempt_failed"]
    assert run(fleet.state(task)).error.code == "timeout"
    fleet.clock.advance(300)
    run(fleet.deliver(fleet.delivery(task, 2)))
    assert run(fleet.state(task)).waiting_for == "decision"


@pytest.mark.parametrize("agent", ["waiting.in-step", "waiting.in-plain-step"])
def test_a_step_cannot_wait(fleet: Fleet, agent: str) -> None:
    assert died(fleet, begun(fleet, agent))[0] == "wait_in_step"


@pytest.mark.parametrize(
    "wait",
    [
        {"name": ""},
        {"name": "a b"},
        {"name": "a#2"},
        {"name": "x" * 65},
        {"name": "a", "timeout_seconds": 0},
        {"name": "a", "timeout_seconds": -1},
        {"name": "a", "timeout_seconds": 31_536_001},
        {"name": "a", "detail": "x" * 8191},
    ],
)
def test_a_wait_that_is_wrong_is_the_agents_error(fleet: Fleet, wait: dict[str, Any]) -> None:
    assert died(fleet, begun(fleet, "waiting.wrongly", {"value": wait}))[0] == "invalid_wait"


@pytest.mark.parametrize("wait", [{"name": "x" * 64, "timeout_seconds": 31_536_000, "detail": "x" * 8190}])
def test_the_longest_wait_is_none_too_long(fleet: Fleet, wait: dict[str, Any]) -> None:
    task = begun(fleet, "waiting.wrongly", {"value": wait})
    state = run(fleet.state(task))
    assert (state.waiting_for, state.waiting_detail) == (wait["name"], wait["detail"])
    assert state.waiting_until_ms == fleet.clock.now_ms() + 31_536_000_000


def test_an_agent_whose_results_answer_others_cannot_wait(fleet: Fleet) -> None:
    assert died(fleet, begun(fleet, "waiting.cached"))[0] == "invalid_wait"


def test_a_task_does_not_wait_for_ever_and_ever(fleet: Fleet) -> None:
    task = submitted(fleet, "waiting.for-ever")
    builder = LogBuilder(task)
    builder.events = run(fleet.log.read(task))
    for number in range(1, MOST_WAITS + 1):
        name = "again" if number == 1 else f"again#{number}"
        builder.add(Kind.STARTED, attempt=number, lease_until_ms=0)
        builder.add(Kind.WAITING, attempt=number, **{"for": name})
        builder.add(Kind.SIGNALLED, attempt=number, name=name, payload=None)
    fleet.log.logs[task] = {event.seq: event for event in builder.events}
    run(fleet.deliver(delivery_of(message_for(run(fleet.state(task))))))
    assert died(fleet, task)[0] == "too_many_waits"


def test_a_session_goes_on_meanwhile_and_what_was_appended_is_appended_once(fleet: Fleet) -> None:
    first = submitted(fleet, "waiting.session", {"value": "first", "seconds": 100}, session="s")
    second = submitted(fleet, "waiting.session", {"value": "second"}, session="s")
    result = run(fleet.deliver(fleet.delivery(first), fleet.delivery(second)))
    assert [delivery.message_id for delivery in result.done] == [first, second]
    run(give(fleet, first))
    message = on_lane(fleet, first)
    assert message.group == fleet.message(second).group
    run(fleet.deliver(delivery_of(message)))
    assert run(fleet.state(first)).output.inline == ["second"]
    turns = run(fleet.turns.read("acme", "s"))
    assert [turn.content.inline for turn in turns] == ["second", "first"]
