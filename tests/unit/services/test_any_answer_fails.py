"""A worker's every call to the world, failing in every way it can: each state is told once, and as its task ended."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from flotilla.coordination import stop_mark
from flotilla.events import verify_chain
from flotilla.models import Delivery, Status
from flotilla.services.attempt_tools import AttemptTools
from flotilla.workflows.references import reference_to
from tests.unit.services import referring_agents, sample_agents
from tests.unit.services.crashes import Calls, Died, Fate, every_failure
from tests.unit.services.fleet import Fleet, run
from tests.unit.services.ordering import RUN, asked, order_of

ROUNDS = 30
ROUND_SECONDS = 100


@dataclass
class Lane:
    """A queue that hands everything out again until it is done, and what comes to it from elsewhere."""

    fleet: Fleet
    waiting: dict[str, tuple[str, str, int]] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)

    def put(self, name: str, body: str, group: str) -> None:
        if name not in self.seen:
            self.seen.add(name)
            self.waiting[name] = (body, group, 0)

    def hand_out(self, process: AttemptTools) -> None:
        """One batch to one process, which may die over it."""
        for message in self.fleet.lanes.sent.values():
            self.put(message.deduplication_id, message.to_body(), message.group)
        self.waiting = {name: (body, group, count + 1) for name, (body, group, count) in self.waiting.items()}
        batch = [
            Delivery(name, f"{name}/{count}", group, count, body) for name, (body, group, count) in self.waiting.items()
        ]
        with contextlib.suppress(Died):
            for delivery in run(self.fleet.deliver(*batch, process=process)).done:
                del self.waiting[delivery.message_id]

    def let_time_pass(self) -> None:
        self.fleet.clock.advance(ROUND_SECONDS)
        now_ms = self.fleet.clock.now_ms()
        for tier in list(self.fleet.delays.tiers):
            for message in self.fleet.delays.take(tier):
                if (message.not_before_ms or 0) <= now_ms:
                    self.put(f"{message.deduplication_id}-{message.hops}", message.to_body(), message.group)
                else:
                    run(self.fleet.delays.send(replace(message, hops=message.hops + 1), tier))

    @property
    def idle(self) -> bool:
        sent = {message.deduplication_id for message in self.fleet.lanes.sent.values()}
        return not self.waiting and not any(self.fleet.delays.tiers.values()) and sent <= self.seen


Scene = Callable[[Fleet], list[str]]


def of(agent: str, value: Any = None, **members: Any) -> Scene:
    return lambda fleet: [asked(fleet, agent, value, **members)]


def both(fleet: Fleet) -> list[str]:
    return [asked(fleet, "sample.cached", 1, token=token) for token in ("one", "two")]


def stopped(fleet: Fleet) -> list[str]:
    run(fleet.pauses.put(stop_mark(RUN, "key:k1", fleet.clock.now_ms())))
    return [asked(fleet)]


def referring(fleet: Fleet) -> list[str]:
    first = asked(fleet, value="x" * 20_000, token="one")
    run(fleet.deliver(Delivery("first", "first/1", "first", 1, first)))
    fleet.tokens.answers.clear()
    return [asked(fleet, value=reference_to(order_of(first).task_id))]


@dataclass(frozen=True)
class Story:
    """What states ask for, and what they must be told: an error's name, or None for the output.

    Attributes:
        runs_unknowing: A worker that cannot read what was stopped runs the task: the policy of pauses.
    """

    scene: Scene
    error: str | None = None
    status: Status | None = Status.SUCCEEDED
    runs_unknowing: bool = False

    def as_known(self, calls: Calls) -> Story:
        """What is to be expected where that call of a process failed."""
        unknowing = calls.fatal is not None and calls.fate in (Fate.REFUSED, Fate.ANSWER_LOST)
        if self.runs_unknowing and unknowing and calls.made[calls.fatal or 0] == "read":
            return Story(self.scene)
        return self


STORIES = {
    "happy": Story(of("sample.echo", 1)),
    "a large input and output": Story(of("sample.echo", "x" * 20_000)),
    "steps": Story(of("sample.steps", "stop")),
    "cannot succeed": Story(of("sample.failing", "permanent", times=9), "never", Status.DEAD_LETTERED),
    "fails once": Story(of("sample.failing", times=1)),
    "an input it does not take": Story(of("sample.echo", times="many"), "invalid_input", Status.DEAD_LETTERED),
    "past its deadline": Story(of("sample.parking", 500, times=9, timeout_seconds=60), "deadline", Status.EXPIRED),
    "parked in place": Story(of("sample.parking", 30, times=1)),
    "parked in the ladder": Story(of("sample.parking", 600, times=1)),
    "a session that remembers": Story(of("sample.remembering", "one", session="{run}")),
    "on another lane": Story(of("sample.echo", 1, lane="critical")),
    "identical tasks": Story(both),
    "its run was stopped": Story(stopped, "cancelled", Status.CANCELLED, runs_unknowing=True),
    "refers to another's output": Story(referring),
    "refers to nothing": Story(of("sample.echo", reference_to("tsk_0")), "invalid_input", Status.DEAD_LETTERED),
    "no task can be made of it": Story(of("sample.echo", lane="none"), "invalid_order", None),
}


def play(story: Story, calls: Calls, failing_round: int) -> tuple[Fleet, list[str], Lane]:
    """Processes until all is done, of which that of one round fails at one call."""
    sample_agents.HISTORY.clear()
    sample_agents.BETWEEN_STEPS.clear()
    fleet = Fleet([*sample_agents.ALL, referring_agents.names])
    bodies = story.scene(fleet)
    lane = Lane(fleet)
    for number, body in enumerate(bodies):
        lane.put(f"order-{number}", body, f"group-{number}")
    failing = fleet.process(calls)
    for number in range(ROUNDS):
        lane.hand_out(failing if number == failing_round else fleet.process())
        if lane.idle:
            break
        lane.let_time_pass()
    return fleet, bodies, lane


@pytest.mark.parametrize("failing_round", [0, 1])
@pytest.mark.parametrize("name", STORIES)
def test_whatever_call_fails_and_how_each_state_is_told_once_how_its_task_ended(name: str, failing_round: int) -> None:
    story = STORIES[name]
    healthy = Calls()
    play(story, healthy, failing_round)
    for calls in every_failure(len(healthy.made)):
        fleet, bodies, lane = play(story, calls, failing_round)
        where = f"{name}: call {calls.fatal} ({calls.made}), {calls.fate}"
        expected = story.as_known(calls)
        assert lane.idle, where
        for order in map(order_of, bodies):
            (answer,) = fleet.tokens.answers_to(order.token)
            assert answer.error == expected.error, where
            if expected.status is None:
                assert order.task_id not in fleet.log.logs, where
                continue
            events = run(fleet.log.read(order.task_id))
            verify_chain(events)
            state = run(fleet.state(order.task_id))
            assert state.status is expected.status, where
            if answer.output is not None:
                output = run(fleet.claim_check.check_out(state.output))
                told = json.loads(answer.output)
                shown = output if len(json.dumps(output)) < 16_000 else reference_to(order.task_id)
                assert told == {"task_id": order.task_id, "agent": order.agent, "output": shown}, where
        assert not fleet.tokens.waiting, where


def test_what_a_healthy_step_costs() -> None:
    calls = Calls()
    fleet, _, _ = play(STORIES["happy"], calls, 0)
    made = [name for name in calls.made if name != "set_visibility"]
    assert made == ["append", "read", "append", "append", "succeed"], "the one read is that of what is paused"
    assert fleet.log.reads == 0


def test_answers_that_were_given_in_vain_are_counted() -> None:
    healthy = Calls()
    play(STORIES["happy"], healthy, 0)
    late = 0
    for calls in every_failure(len(healthy.made)):
        fleet, _, _ = play(STORIES["happy"], calls, 0)
        late += fleet.metrics.total("CallbacksTooLate")
        assert fleet.metrics.total("CallbacksTooLate") == len(fleet.tokens.late)
    assert late >= 2, "the answer that was lost, and the process that died once it was given"
