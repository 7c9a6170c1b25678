"""A worker's every call to the world, failing in every way it can: nothing is lost, doubled, early or out of order."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from flotilla.coordination import PauseScope
from flotilla.events import Kind, verify_chain
from flotilla.models import Delivery, Status, TaskMessage
from flotilla.services.attempt_tools import AttemptTools
from tests.unit.services import sample_agents
from tests.unit.services.crashes import Calls, Died, every_failure
from tests.unit.services.fleet import Fleet, run

ROUNDS = 30
ROUND_SECONDS = 100


@dataclass
class Lane:
    """A queue that hands everything out again until it is done, and what comes through the ladder with it."""

    fleet: Fleet
    waiting: dict[str, tuple[TaskMessage, int]] = field(default_factory=dict)

    def put(self, messages: Iterable[TaskMessage]) -> None:
        for message in messages:
            self.waiting.setdefault(message.deduplication_id, (message, 0))

    def hand_out(self, process: AttemptTools) -> None:
        """One batch to one process, which may die over it."""
        self.waiting = {name: (message, count + 1) for name, (message, count) in self.waiting.items()}
        batch = [
            Delivery(name, f"{name}/{count}", message.group, count, message.to_body())
            for name, (message, count) in self.waiting.items()
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
                    self.put([message])
                else:
                    run(self.fleet.delays.send(replace(message, hops=message.hops + 1), tier))


Scene = Callable[[Fleet], list[str]]


def of(agent: str, *values: Any, times: int = 0, **options: Any) -> Scene:
    def submitted(fleet: Fleet) -> list[str]:
        return [
            str(run(fleet.submit(agent, {"value": value, "times": times}, **options)).state.task_id) for value in values
        ]

    return submitted


def delayed(fleet: Fleet) -> list[str]:
    due_at_ms = fleet.clock.now_ms() + 150_000
    return of("sample.echo", 1, session="s", due_at_ms=due_at_ms)(fleet) + of("sample.echo", 2, session="s")(fleet)


def paused(fleet: Fleet) -> list[str]:
    tasks = of("sample.echo", 1, 2)(fleet)
    run(fleet.pause())
    return tasks


def late(fleet: Fleet) -> list[str]:
    tasks = of("sample.echo", 1, deadline_ms=fleet.clock.now_ms() + 1000)(fleet)
    fleet.clock.advance(2)
    return tasks


@dataclass(frozen=True)
class Story:
    """What is submitted, how it must end, and what its session must hold then."""

    scene: Scene
    status: Status = Status.SUCCEEDED
    remembered: tuple[str, ...] = ()


STORIES = {
    "happy": Story(of("sample.echo", 1)),
    "steps": Story(of("sample.steps", "stop")),
    "fails once": Story(of("sample.failing", None, times=1)),
    "cannot succeed": Story(of("sample.failing", "permanent", times=9), status=Status.DEAD_LETTERED),
    "past its deadline": Story(late, status=Status.EXPIRED),
    "delayed in a session": Story(delayed),
    "paused": Story(paused),
    "parked in place": Story(of("sample.parking", 30, times=1)),
    "parked in the ladder": Story(of("sample.parking", 600, times=1)),
    "parked in a session": Story(of("sample.parking", 600, times=1, session="s")),
    "a session that remembers": Story(
        of("sample.remembering", "one", "two", times=0, session="s"), remembered=("one", "two")
    ),
    "a session that remembers after a failure": Story(
        of("sample.remembering", "one", "two", times=1, session="s"), remembered=("one", "two")
    ),
    "a large turn": Story(of("sample.remembering", "x" * 3000, session="s"), remembered=("x" * 3000,)),
    "identical tasks": Story(of("sample.cached", 1, 1, 1)),
    "identical tasks with large results": Story(of("sample.cached", *["y" * 3000] * 2)),
}


def play(story: Story, calls: Calls, failing_round: int = 0) -> tuple[Fleet, list[str]]:
    """Processes until all is done, of which that of one round fails at one call."""
    sample_agents.HISTORY.clear()
    sample_agents.BETWEEN_STEPS.clear()
    fleet = Fleet(sample_agents.ALL)
    tasks = story.scene(fleet)
    lane = Lane(fleet)
    lane.put(fleet.lanes.sent.values())
    failing = fleet.process(calls)
    for number in range(ROUNDS):
        lane.hand_out(failing if number == failing_round else fleet.process())
        if number == 0:
            run(fleet.pauses.remove(PauseScope.FLEET, ""))
        if not lane.waiting and not any(fleet.delays.tiers.values()):
            break
        lane.let_time_pass()
    return fleet, tasks


@pytest.mark.parametrize("failing_round", [0, 1])
@pytest.mark.parametrize("name", STORIES)
def test_whatever_call_fails_and_how_each_task_ends_once_and_as_it_should(name: str, failing_round: int) -> None:
    story = STORIES[name]
    healthy = Calls()
    play(story, healthy, failing_round)
    for calls in every_failure(len(healthy.made)):
        fleet, tasks = play(story, calls, failing_round)
        where = f"{name}: call {calls.fatal} ({calls.made}), {calls.fate}"
        for task in tasks:
            events = run(fleet.log.read(task))
            verify_chain(events)
            state = run(fleet.state(task))
            assert state.status is story.status, (where, [event.kind.value for event in events])
            assert state.attempts_charged < 3, where
            starts = [event.at_ms for event in events if event.kind is Kind.STARTED]
            assert all(at_ms >= (state.due_at_ms or 0) for at_ms in starts), where
        in_order = [step for step in sample_agents.HISTORY if step[0] == "echoed"]
        assert in_order == sorted(in_order, key=str) or "session" not in name, where
        turns = run(fleet.turns.read("acme", "s"))
        said = [run(fleet.claim_check.check_out(turn.content))["said"] for turn in turns]
        assert tuple(said) == story.remembered, where
        assert [turn.position for turn in turns] == list(range(len(turns))), where


def test_identical_tasks_run_once_unless_the_one_that_ran_was_lost() -> None:
    story = STORIES["identical tasks"]
    healthy = Calls()
    play(story, healthy)
    for calls in every_failure(len(healthy.made)):
        fleet, tasks = play(story, calls)
        starts = Counter(event.kind for task in tasks for event in run(fleet.log.read(task)))[Kind.STARTED]
        leaders = [task for task in tasks if "started" in fleet.kinds(task)]
        assert len(leaders) == 1, (calls.fatal, calls.fate)
        assert starts <= 2, "the second is the takeover of the one that died"
        assert len({str(run(fleet.claim_check.check_out(run(fleet.state(task)).output))) for task in tasks}) == 1


def test_a_recorded_step_is_never_run_again() -> None:
    story = STORIES["steps"]
    healthy = Calls()
    play(story, healthy)
    for calls in every_failure(len(healthy.made)):
        fleet, (task,) = play(story, calls)
        recorded = [e.body["step"] for e in run(fleet.log.read(task)) if e.kind is Kind.STEP_RECORDED]
        assert len(recorded) == len(set(recorded)) == 3
        assert len(sample_agents.HISTORY) <= 4, "the one that was under way when its process died, once more"
