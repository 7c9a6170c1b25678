"""Tasks that call integrations: through the whole worker, over a dependency in memory."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from benchmarks.fault_lab.script import Reply, Script
from flotilla.errors import CircuitOpenError
from flotilla.integrations.desk import IntegrationDesk
from flotilla.models import Status
from flotilla.services.attempt_tools import AttemptTools
from tests.fakes.integrations import MemoryProtection, MemorySecrets, MemoryTransport
from tests.unit.integrations.declarations import crm
from tests.unit.services import sample_agents
from tests.unit.services.calling_agents import CALLING
from tests.unit.services.fleet import Fleet, run

OK, DOWN = Reply(), Reply(status=500)


class Caller:
    """A worker whose agents call `crm`, which does as a script says."""

    def __init__(self, *replies: Reply) -> None:
        self.fleet = Fleet([*CALLING, sample_agents.echo])
        self.transport = MemoryTransport(Script.one_after_the_other(*(replies or (OK,))))
        self.protection = MemoryProtection()
        self.desks = 0
        self.process = self.restarted()

    def restarted(self) -> AttemptTools:
        def desk() -> IntegrationDesk:
            self.desks += 1
            return made

        made = IntegrationDesk(
            {"crm": crm()},
            transport=self.transport,
            secrets=MemorySecrets(),
            protect=lambda _integration: self.protection,
            clock=self.fleet.clock,
            random=random.Random(7),
        )
        return replace(self.fleet.process(), integrations=desk)

    def submit(self, agent: str, **value: object) -> str:
        return str(run(self.fleet.submit(agent, value)).state.task_id)

    def attempt(self, task: str, receive_count: int = 1) -> None:
        if receive_count > 1:
            state = run(self.fleet.state(task))
            self.fleet.clock.advance(max(0.0, (state.next_attempt_ms - self.fleet.clock.now_ms()) / 1000))
        run(self.fleet.deliver(self.fleet.delivery(task, receive_count), process=self.process))

    def keys(self) -> list[str]:
        return [dict(request.headers)["idempotency-key"] for _, request in self.transport.sent]


def test_an_agent_calls_what_it_declares() -> None:
    caller = Caller()
    task = caller.submit("calling.async", calls=2)
    caller.attempt(task)
    assert run(caller.fleet.state(task)).status is Status.SUCCEEDED
    assert len(set(caller.keys())) == 2
    assert {(ask.agent, ask.tenant) for ask in caller.protection.asked} == {("calling.async", "acme")}


@pytest.mark.parametrize("integration", ["crm", "erp"])
def test_an_agent_that_calls_what_it_does_not_declare_fails_for_good(integration: str) -> None:
    caller = Caller()
    task = caller.submit("calling.nobody", integration=integration)
    caller.attempt(task)
    state = run(caller.fleet.state(task))
    assert state.status is Status.DEAD_LETTERED
    assert state.error is not None
    assert state.error.code == "integration_not_declared"
    assert caller.transport.sent == []


def test_a_call_that_fails_is_made_again_by_the_next_attempt_with_the_same_key() -> None:
    caller = Caller(OK, DOWN, DOWN, DOWN, OK)
    task = caller.submit("calling.async", calls=2)
    caller.attempt(task)
    assert run(caller.fleet.state(task)).status is Status.RETRYING
    caller.process = caller.restarted()
    caller.attempt(task, 2)
    assert run(caller.fleet.state(task)).status is Status.SUCCEEDED
    first, *second, first_again, second_again = caller.keys()
    assert first == first_again
    assert set(second) == {second_again}
    assert first != second_again


@pytest.mark.parametrize("agent", ["calling.plain", "calling.steps"])
def test_a_call_in_a_step_keeps_its_key_though_the_steps_before_it_are_replayed(agent: str) -> None:
    caller = Caller(OK, DOWN, DOWN, DOWN, OK)
    task = caller.submit(agent, calls=2)
    caller.attempt(task)
    assert run(caller.fleet.state(task)).status is Status.RETRYING
    caller.process = caller.restarted()
    caller.attempt(task, 2)
    assert run(caller.fleet.state(task)).status is Status.SUCCEEDED
    first, *second, second_again, outside = caller.keys()
    assert set(second) == {second_again}
    assert len({first, second_again, outside}) == 3, "no effect is taken for another"


@pytest.mark.parametrize("agent", ["calling.plain", "calling.async"])
def test_a_task_that_meets_an_open_circuit_is_parked_and_uses_no_attempt(agent: str) -> None:
    caller = Caller()
    caller.protection.refusal = lambda _number: CircuitOpenError("integration#crm", retry_after_seconds=20)
    task = caller.submit(agent)
    for receive_count in range(1, 6):
        caller.attempt(task, receive_count)
        assert run(caller.fleet.state(task)).status is Status.PARKED
        assert run(caller.fleet.log.read(task))[-1].body["reason"] == "circuit_open"
    caller.protection.refusal = lambda _number: None
    caller.attempt(task, 6)
    assert run(caller.fleet.state(task)).status is Status.SUCCEEDED


def test_nothing_is_made_ready_for_tasks_that_call_nobody() -> None:
    caller = Caller()
    quiet, calling = (
        str(run(caller.fleet.submit("sample.echo", {"value": 1})).state.task_id),
        caller.submit("calling.async"),
    )
    caller.attempt(quiet)
    assert (run(caller.fleet.state(quiet)).status, caller.desks) == (Status.SUCCEEDED, 0)
    caller.attempt(calling)
    assert caller.desks == 1
