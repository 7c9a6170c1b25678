"""Tasks that call models: through the whole worker, over models in memory."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from flotilla.llm_ports import ModelMisconfiguredError, ModelReply
from flotilla.models import Status
from flotilla.primitives.circuit import CircuitState
from flotilla.services.attempt_tools import AttemptTools
from flotilla.services.dependency import Dependencies
from flotilla.services.limits import Limiter
from flotilla.services.model_protection import ModelProtections
from flotilla.services.models import ModelDesk
from tests.fakes.circuits import MemoryCircuits
from tests.fakes.limits import MemoryBuckets
from tests.fakes.several_models import SeveralModels
from tests.unit.llm.declarations import routes
from tests.unit.services import sample_agents
from tests.unit.services.fleet import Fleet, run
from tests.unit.services.generating_agents import GENERATING
from tests.unit.services.model_callers import LARGE, MEDIUM, SMALL

ALL = (LARGE, MEDIUM, SMALL)
OUTAGE_MS = 300_000


class Generating:
    """A worker whose agents call models that do as they are told."""

    def __init__(self) -> None:
        self.fleet = Fleet([*GENERATING, sample_agents.echo])
        self.models = SeveralModels(seconds=dict.fromkeys(ALL, 0.0))
        self.circuits = MemoryCircuits()
        self.buckets = MemoryBuckets()
        self.desks = 0
        self.process = self.another_process()

    def another_process(self) -> AttemptTools:
        chance = random.Random(7)
        protections = ModelProtections(
            Dependencies(
                circuits=self.circuits,
                limiter=Limiter(self.buckets, self.fleet.clock, chance),
                clock=self.fleet.clock,
                random=chance,
                environment=f"process-{chance.random()}",
            )
        )
        made = ModelDesk(
            routes(),
            provide=lambda _model: self.models,
            protect=protections.of,
            clock=self.fleet.clock,
            random=chance,
        )

        def desk() -> ModelDesk:
            self.desks += 1
            return made

        return replace(self.fleet.process(), models=desk)

    def submit(self, agent: str, **value: object) -> str:
        return str(run(self.fleet.submit(agent, value)).state.task_id)

    def attempt(self, task: str, receive_count: int = 1) -> None:
        if receive_count > 1:
            state = run(self.fleet.state(task))
            self.fleet.clock.advance(max(0.0, (state.next_attempt_ms - self.fleet.clock.now_ms()) / 1000))
        run(self.fleet.deliver(self.fleet.delivery(task, receive_count), process=self.process))


@pytest.mark.parametrize("agent", ["generating.async", "generating.plain"])
def test_what_is_used_of_models_is_in_the_event_that_ends_the_attempt(agent: str) -> None:
    worker = Generating()
    task = worker.submit(agent, calls=3)
    worker.attempt(task)
    assert run(worker.fleet.state(task)).status is Status.SUCCEEDED
    usage = run(worker.fleet.log.read(task))[-1].body["usage"]
    assert usage.items() >= {"model_calls": 3, "input_tokens": 300, "output_tokens": 60, "cost_usd": 0.006}.items()
    assert "failovers" not in usage


@pytest.mark.parametrize("then", ["fail", "die"])
def test_what_a_failed_attempt_used_is_recorded_too(then: str) -> None:
    worker = Generating()
    task = worker.submit("generating.async", then=then)
    worker.attempt(task)
    assert run(worker.fleet.log.read(task))[-1].body["usage"]["cost_usd"] == 0.002


def test_what_an_attempt_used_before_it_was_parked_is_recorded_too() -> None:
    worker = Generating()
    answers = iter([ModelReply(text="well", input_tokens=100, output_tokens=20)])
    worker.models.answers[MEDIUM] = lambda: next(answers, ModelMisconfiguredError("no access"))
    task = worker.submit("generating.plain", calls=2, route="alone")
    worker.attempt(task)
    parked = run(worker.fleet.log.read(task))[-1]
    assert run(worker.fleet.state(task)).status is Status.PARKED
    assert parked.body["usage"]["model_calls"] == 1


def test_with_the_first_model_dead_every_task_succeeds_on_the_second_and_says_so() -> None:
    worker = Generating()
    worker.models.die(LARGE)
    tasks = [worker.submit("generating.async") for _ in range(40)]
    for task in tasks:
        worker.attempt(task)
        worker.fleet.clock.advance(0.1)
    for task in tasks:
        events = run(worker.fleet.log.read(task))
        assert [event.kind.value for event in events] == ["accepted", "started", "succeeded"]
        (failover,) = events[-1].body["usage"]["failovers"]
        assert failover.pop("why") in ("model_unavailable", "circuit_open")
        assert failover == {"route": "best", "requested": "large", "served": "medium"}
    assert worker.circuits.records["model#large"].state is CircuitState.OPEN
    assert worker.models.calls(LARGE) < 15


def test_with_all_models_dead_tasks_wait_without_an_attempt_and_all_succeed_when_they_recover() -> None:
    worker = Generating()
    for model in ALL:
        worker.models.die(model)
    tasks = [worker.submit("generating.async") for _ in range(12)]
    receives = dict.fromkeys(tasks, 0)
    began_ms, wasted = worker.fleet.clock.now_ms(), 0

    async def receive_all_that_is_due() -> None:
        for task in tasks:
            state = await worker.fleet.state(task)
            if not state.status.terminal and (state.next_attempt_ms or 0) <= worker.fleet.clock.now_ms():
                receives[task] += 1
                await worker.fleet.deliver(worker.fleet.delivery(task, receives[task]), process=worker.process)

    for _ in range(240):
        run(receive_all_that_is_due())
        worker.fleet.clock.advance(5)
        if not wasted and worker.fleet.clock.now_ms() - began_ms >= OUTAGE_MS:
            wasted = len(worker.models.asked)
            for model in ALL:
                worker.models.recover(model)
    assert {run(worker.fleet.state(task)).status for task in tasks} == {Status.SUCCEEDED}
    for task in tasks:
        assert "attempt_failed" not in [event.kind.value for event in run(worker.fleet.log.read(task))]
    assert wasted < 40 * len(ALL)
    assert len(worker.models.asked) - wasted == len(tasks), "after it each task called once"


def test_an_answer_of_a_type_is_one() -> None:
    worker = Generating()
    worker.models.answers[LARGE] = lambda: ModelReply(text='{"calls": 3, "route": "x"}', input_tokens=1)
    task = worker.submit("generating.typed")
    worker.attempt(task)
    output = run(worker.fleet.log.read(task))[-1].body["output"]
    assert output["inline"] == {"calls": 3, "route": "x", "then": "succeed"}


def test_an_agent_that_asks_by_a_route_it_does_not_declare_fails_for_good() -> None:
    worker = Generating()
    task = worker.submit("generating.async", route="good")
    worker.attempt(task)
    state = run(worker.fleet.state(task))
    assert state.status is Status.DEAD_LETTERED
    assert state.error is not None
    assert state.error.code == "route_not_declared"


def test_where_there_are_no_models_an_agent_is_told_so() -> None:
    worker = Generating()
    worker.process = worker.fleet.process()
    task = worker.submit("generating.plain")
    worker.attempt(task)
    state = run(worker.fleet.state(task))
    assert state.error is not None
    assert state.error.code == "route_not_declared"


def test_nothing_is_made_ready_for_tasks_that_call_no_model() -> None:
    worker = Generating()
    quiet = str(run(worker.fleet.submit("sample.echo", {"value": 1})).state.task_id)
    worker.attempt(quiet)
    assert (run(worker.fleet.state(quiet)).status, worker.desks) == (Status.SUCCEEDED, 0)
    assert "model_calls" not in run(worker.fleet.log.read(quiet))[-1].body["usage"]
    worker.attempt(worker.submit("generating.async", calls=3))
    assert worker.desks > 0
