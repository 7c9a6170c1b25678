"""Tasks that agents submit: each once, in whatever way a worker fails, and never beyond what is above it."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from flotilla.coordination import PauseScope
from flotilla.events import Kind, verify_chain
from flotilla.models import Delivery, Status, TaskMessage
from flotilla.services.attempt_tools import AttemptTools
from flotilla.services.children import DEEPEST, child_task_id
from flotilla.services.successor import successor
from tests.unit.services import submitting_agents
from tests.unit.services.crashes import Calls, Died, every_failure
from tests.unit.services.fleet import Fleet, run

ROUNDS = 30
ROUND_SECONDS = 100


@pytest.fixture
def fleet() -> Fleet:
    submitting_agents.BEFORE.clear()
    return Fleet(submitting_agents.ALL)


@dataclass
class Lanes:
    """All lanes of a fleet: each message once, again and again until it is done."""

    fleet: Fleet
    waiting: dict[str, tuple[TaskMessage, int]] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)

    def hand_out(self, process: AttemptTools) -> bool:
        """One batch to one process, which may die over it; False where nothing is left."""
        for tier in list(self.fleet.delays.tiers):
            for message in self.fleet.delays.take(tier):
                run(self.fleet.lanes.send(message))
        for name, message in self.fleet.lanes.sent.items():
            if name not in self.seen:
                self.waiting[name] = (message, 0)
        self.seen |= self.fleet.lanes.sent.keys()
        self.waiting = {name: (message, count + 1) for name, (message, count) in self.waiting.items()}
        batch = [
            Delivery(name, f"{name}/{count}", message.group, count, message.to_body())
            for name, (message, count) in self.waiting.items()
        ]
        with contextlib.suppress(Died):
            for delivery in run(self.fleet.deliver(*batch, process=process)).done:
                del self.waiting[delivery.message_id]
        return bool(batch)


def play(fleet: Fleet, calls: Calls | None = None, failing_round: int = 0) -> None:
    lanes = Lanes(fleet)
    failing = fleet.process(calls)
    for number in range(ROUNDS):
        if not lanes.hand_out(failing if number == failing_round else fleet.process()):
            return
        fleet.clock.advance(ROUND_SECONDS)
    raise AssertionError("there is no end to it")


def submitted(fleet: Fleet, agent: str, order: dict[str, Any], **options: Any) -> str:
    return str(run(fleet.submit(agent, order, **options)).state.task_id)


def output(fleet: Fleet, task: str) -> Any:
    return run(fleet.claim_check.check_out(run(fleet.state(task)).output))


def test_a_child_is_a_task_of_the_same_tenant_that_names_its_parent(fleet: Fleet) -> None:
    task = submitted(fleet, "submitting.parent", {"children": 2}, tenant="umbrella", trace="Root=1-2")
    play(fleet)
    children = output(fleet, task)
    assert len(set(children)) == 2
    assert set(fleet.log.logs) == {task, *children}
    for number, child in enumerate(children):
        state = run(fleet.state(child))
        assert (state.tenant, state.lane, state.status) == ("umbrella", "batch", Status.SUCCEEDED)
        assert (state.parent, state.root, state.depth, state.trace) == (task, task, 1, "Root=1-2")
        assert state.input.inline == {"number": number, "attempt": 1}
        assert fleet.log.logs[child][0].actor == "agent:submitting.parent@1"
    assert fleet.kinds(task) == ["accepted", "started", "succeeded"], "nothing more is written of it"


def test_a_child_costs_one_write_and_one_message(fleet: Fleet) -> None:
    task = submitted(fleet, "submitting.parent", {"children": 3})
    calls = Calls()
    run(fleet.deliver(fleet.delivery(task), process=fleet.process(calls)))
    assert sorted(calls.made) == sorted(["read", "set_visibility", *["append"] * 5, *["send"] * 3])


def test_a_child_may_be_told_all_that_a_client_may_tell(fleet: Fleet) -> None:
    options = {
        "lane": "critical",
        "labels": {"of": "this"},
        "delay_seconds": 600,
        "budget_usd": 0.5,
        "session": "s",
        "name": "n",
    }
    task = submitted(fleet, "submitting.parent", {"options": options})
    run(fleet.deliver(fleet.delivery(task)))
    (child,) = output(fleet, task)
    state = run(fleet.state(child))
    assert (state.lane, state.labels, state.session) == ("critical", {"of": "this"}, "s")
    assert (state.status, state.due_at_ms) == (Status.SCHEDULED, fleet.clock.now_ms() + 600_000)
    assert state.budget_micros == 500_000


@pytest.mark.parametrize("agent", ["submitting.parent", "submitting.plain", "submitting.once-more"])
@pytest.mark.parametrize("failing_round", [0, 1])
def test_whatever_call_fails_and_how_each_child_is_made_once(agent: str, failing_round: int) -> None:
    order = {"children": 2, "fail_attempts": 1}
    healthy, fleet = Calls(), Fleet(submitting_agents.ALL)
    submitted(fleet, agent, order)
    play(fleet, healthy, failing_round)
    for calls in every_failure(len(healthy.made)):
        fleet = Fleet(submitting_agents.ALL)
        task = submitted(fleet, agent, order, idempotency_key="k")
        play(fleet, calls, failing_round)
        where = (calls.fatal, calls.made, calls.fate)
        children = output(fleet, task)
        assert len(set(children)) == 2, where
        assert set(fleet.log.logs) == {task, *children}, where
        for child in children:
            events = run(fleet.log.read(child))
            verify_chain(events)
            assert run(fleet.state(child)).status is Status.SUCCEEDED, where
            assert events[0].body["parent"] == task


def test_the_child_that_was_made_first_stands_whatever_a_later_attempt_says(fleet: Fleet) -> None:
    task = submitted(fleet, "submitting.parent", {"fail_attempts": 2})
    play(fleet)
    (child,) = output(fleet, task)
    assert run(fleet.state(task)).attempt == 3
    assert run(fleet.state(child)).input.inline == {"number": 0, "attempt": 1}


def test_another_input_makes_other_children() -> None:
    assert child_task_id("tsk_1", 0, "call") == child_task_id("tsk_1", 0, "call")
    assert len({child_task_id(*each) for each in [("tsk_1", 0, "a"), ("tsk_1", 1, "a"), ("tsk_2", 0, "a")]}) == 3


async def cancel(fleet: Fleet, task: str) -> None:
    state = await fleet.state(task)
    cancelled = successor(state, Kind.CANCELLED, {}, actor="key:k", at_ms=fleet.clock.now_ms())
    assert await fleet.log.append(cancelled) is None


async def pause(fleet: Fleet, task: str) -> None:
    await fleet.pause(PauseScope.FLEET)


@pytest.mark.parametrize(("stop", "status"), [(cancel, Status.CANCELLED), (pause, Status.PARKED)])
def test_an_attempt_that_was_cancelled_or_paused_submits_nothing(
    fleet: Fleet, stop: Callable[[Fleet, str], Awaitable[None]], status: Status
) -> None:
    task = submitted(fleet, "submitting.parent", {})

    async def happen() -> None:
        fleet.clock.advance(2)
        await stop(fleet, task)

    submitting_agents.BEFORE.append(happen)
    run(fleet.deliver(fleet.delivery(task)))
    assert run(fleet.state(task)).status is status
    assert set(fleet.log.logs) == {task}


def test_no_agent_submits_itself_for_ever(fleet: Fleet) -> None:
    submitted(fleet, "submitting.itself", {"number": 0})
    play(fleet)
    states = [run(fleet.state(task)) for task in fleet.log.logs]
    assert sorted(state.depth for state in states) == list(range(DEEPEST + 1))
    (deepest,) = [state for state in states if state.depth == DEEPEST]
    assert deepest.error is not None
    assert (deepest.status, deepest.error.code) == (Status.DEAD_LETTERED, "too_deep")
    assert len({state.root or state.task_id for state in states}) == 1


def test_a_child_counts_against_its_own_budget_and_all_those_above_it(fleet: Fleet) -> None:
    task = submitted(fleet, "submitting.parent", {"agent": "submitting.frugal"}, budget_micros=700_000)
    play(fleet)
    (child,) = output(fleet, task)
    assert run(fleet.state(child)).budgets == ((child, 250_000), (task, 700_000))
    assert fleet.message(child).budgets == ((child, 250_000), (task, 700_000))
    leaf = submitted(fleet, "submitting.parent", {}, budget_micros=5)
    play(fleet)
    (child,) = output(fleet, leaf)
    assert run(fleet.state(child)).budgets == ((leaf, 5),), "without one of its own"
    free = submitted(fleet, "submitting.parent", {})
    play(fleet)
    (child,) = output(fleet, free)
    assert not {"budgets", "session", "labels"} & fleet.log.logs[child][0].body.keys()


@pytest.mark.parametrize(
    ("order", "code"),
    [
        ({"agent": "no.such"}, "unknown_agent"),
        ({"options": {"lane": "no"}}, "invalid_submission"),
        ({"options": {"name": ""}}, "invalid_submission"),
        ({"options": {"name": "n" * 257}}, "invalid_submission"),
        ({"options": {"session": ""}}, "invalid_submission"),
        ({"options": {"delay_seconds": 0.5}}, "invalid_submission"),
        ({"options": {"delay_seconds": 43_201}}, "invalid_submission"),
        ({"options": {"budget_usd": 0}}, "invalid_submission"),
        ({"options": {"budget_usd": 1e-8}}, "invalid_submission"),
        ({"options": {"labels": {"a": 1}}}, "invalid_submission"),
        ({"options": {"labels": {"a" * 65: ""}}}, "invalid_submission"),
        ({"options": {"labels": {str(number): "" for number in range(17)}}}, "invalid_submission"),
    ],
)
def test_what_is_not_right_is_a_failure_for_good(fleet: Fleet, order: dict[str, Any], code: str) -> None:
    task = submitted(fleet, "submitting.parent", order)
    run(fleet.deliver(fleet.delivery(task)))
    state = run(fleet.state(task))
    assert state.error is not None
    assert (state.status, state.error.code) == (Status.DEAD_LETTERED, code)
    assert set(fleet.log.logs) == {task}
