"""Tasks of one batch that share a call to a model: through the whole worker, over a model in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from flotilla.events import TaskState
from flotilla.llm_ports import ModelReply, ModelRequest, ModelThrottledError
from flotilla.models import Delivery, Status
from flotilla.services.attempt_tools import AttemptTools
from flotilla.services.batch import BatchService
from flotilla.services.models import ModelDesk
from flotilla.services.roster import better_apart
from tests.fakes import run_on_thread
from tests.fakes.virtual_time import VirtualClock, run_virtually
from tests.unit.services.batching import Answerer, Model, is_combined, label, mails, well, when_combined
from tests.unit.services.fleet import Fleet
from tests.unit.services.labelling_agents import LABELLING
from tests.unit.services.model_callers import World


class Provider(Model):
    """`ModelProvider` that answers as the scripted model does."""

    async def converse(self, model_id: str, request: ModelRequest, *, timeout_ms: int) -> ModelReply:  # type: ignore[override]
        served = await super().converse(request)
        return served.reply


async def inline(function: Callable[..., Any], *args: Any) -> Any:
    """`RunSync` without threads, which virtual time has none of."""
    return function(*args)


class Batch:
    """A worker that labels mails, and one batch for it."""

    def __init__(self, answer: Answerer = well) -> None:
        self.fleet = Fleet(LABELLING, clock=VirtualClock())  # type: ignore[arg-type]
        self.provider = Provider(answer)
        self.models = World()

    def process(self) -> AttemptTools:
        made = self.models.process()
        desk = ModelDesk(
            self.models.routes,
            provide=lambda _model: self.provider,
            protect=made._protect,
            clock=made.clock,
            random=made.random,
        )
        return replace(self.fleet.process(), models=lambda: desk, run_agent=inline)

    async def submit(self, value: dict[str, Any], **options: Any) -> str:
        return str((await self.fleet.submit("mail.label", value, **options)).state.task_id)

    async def deliver(self, *deliveries: Delivery) -> None:
        await self.fleet.deliver(*deliveries, process=self.process())


def labelled(batch: Batch, values: list[dict[str, Any]], **options: Any) -> list[TaskState]:
    """Submit tasks, deliver them as one batch, and see what became of them."""

    async def work() -> list[TaskState]:
        tasks = [await batch.submit(value, **options) for value in values]
        await batch.deliver(*map(batch.fleet.delivery, tasks))
        return [await batch.fleet.state(task) for task in tasks]

    return run_virtually(work())


def test_ten_tasks_make_one_call_and_each_has_its_own_result_and_its_share_of_the_cost() -> None:
    batch = Batch()
    texts = mails(10)
    states = labelled(batch, [{"text": text} for text in texts])
    assert [state.output and state.output.inline for state in states] == [label(text) for text in texts]
    assert batch.provider.sizes() == [10]
    usages = [state.usage or {} for state in states]
    assert sum(usage["input_tokens"] for usage in usages) == 1000
    assert sum(usage["output_tokens"] for usage in usages) == 101
    assert round(sum(usage["cost_usd"] for usage in usages), 6) == 0.01505, "at 10 and 50 dollars a million"


def test_nobody_waits_for_tasks_that_need_no_model_nor_do_they_wait() -> None:
    batch = Batch()
    states = labelled(batch, [{"text": "a"}, {"text": "b"}, {"text": "c", "skip": True}])
    assert {state.status for state in states} == {Status.SUCCEEDED}
    assert batch.provider.sizes() == [2]
    assert batch.provider.times()[0] < 0.2


def test_tasks_of_one_session_follow_each_other_and_nobody_waits_for_the_second() -> None:
    batch = Batch()
    states = labelled(batch, [{"text": "a"}, {"text": "b"}], session="s")
    assert {state.status for state in states} == {Status.SUCCEEDED}
    assert batch.provider.sizes() == [1, 1]
    assert batch.provider.times() == [0.0, 1.0]


def test_one_bad_answer_costs_one_more_call_and_no_attempt() -> None:
    batch = Batch(when_combined(lambda entries: entries[1:]))
    states = labelled(batch, [{"text": text} for text in mails(4)])
    assert {(state.status, state.attempt) for state in states} == {(Status.SUCCEEDED, 1)}
    assert batch.provider.sizes() == [4, 1]
    calls = [(state.usage or {})["model_calls"] for state in states]
    assert sorted(calls) == [1, 1, 1, 2]


def test_what_parks_the_call_parks_each_task_with_no_attempt_used() -> None:
    def throttle(request: ModelRequest) -> ModelReply:
        raise ModelThrottledError("slow down", retry_after_seconds=30)

    states = labelled(Batch(throttle), [{"text": text} for text in mails(3)])
    assert {state.status for state in states} == {Status.PARKED}


def again(batch: Batch, tasks: list[str], receive_count: int) -> Any:
    """Deliver tasks once more, when they may come again."""

    async def work() -> set[Status]:
        states = [await batch.fleet.state(task) for task in tasks]
        now_ms = batch.fleet.clock.now_ms()
        due_ms = max(state.next_attempt_ms or now_ms for state in states)
        await batch.fleet.clock.sleep(max(0, due_ms - now_ms) / 1000)
        await batch.deliver(*(batch.fleet.delivery(task, receive_count) for task in tasks))
        return {(await batch.fleet.state(task)).status for task in tasks}

    return work()


def test_what_fails_only_in_company_is_asked_alone_the_next_time() -> None:
    def fail(request: ModelRequest) -> ModelReply:
        if is_combined(request):
            raise RuntimeError("an error that nobody thought of")
        return well(request)

    batch = Batch(fail)

    async def work() -> list[set[Status]]:
        tasks = [await batch.submit({"text": text}) for text in mails(3)]
        return [await again(batch, tasks, receive_count) for receive_count in (1, 2)]

    assert run_virtually(work()) == [{Status.RETRYING}, {Status.SUCCEEDED}]
    assert batch.provider.sizes() == [3, 1, 1, 1]


def test_what_is_put_aside_in_company_again_and_again_is_asked_alone_in_time() -> None:
    def throttle(request: ModelRequest) -> ModelReply:
        if is_combined(request):
            raise ModelThrottledError("too long", retry_after_seconds=1)
        return well(request)

    batch = Batch(throttle)

    async def work() -> list[set[Status]]:
        tasks = [await batch.submit({"text": text}) for text in mails(2)]
        return [await again(batch, tasks, receive_count) for receive_count in (1, 2, 3)]

    assert run_virtually(work()) == [{Status.PARKED}, {Status.PARKED}, {Status.SUCCEEDED}]


@pytest.mark.parametrize(
    ("charged", "waits", "apart"),
    [(0, 0, False), (0, 1, False), (0, 2, True), (0, 3, False), (0, 5, True), (1, 0, True), (2, 3, True)],
)
def test_who_goes_by_itself(charged: int, waits: int, apart: bool) -> None:
    assert better_apart(charged, waits) is apart


def test_tenants_are_never_in_one_prompt() -> None:
    batch = Batch()

    async def work() -> None:
        tasks = [
            await batch.submit({"text": f"{tenant} {number}"}, tenant=tenant)
            for number in range(2)
            for tenant in ("acme", "globex")
        ]
        await batch.deliver(*map(batch.fleet.delivery, tasks))

    run_virtually(work())
    assert sorted(batch.provider.together()) == [["acme 0", "acme 1"], ["globex 0", "globex 1"]]


def test_a_plain_agent_may_ask_too() -> None:
    batch = Batch()
    batch.provider.seconds = 0

    async def work() -> TaskState:
        task = str((await batch.fleet.submit("mail.label.plain", {"text": "a"})).state.task_id)
        process = replace(batch.process(), run_agent=run_on_thread)
        await batch.fleet.deliver(batch.fleet.delivery(task), process=process)
        return await batch.fleet.state(task)

    state = asyncio.run(work())
    assert state.status is Status.SUCCEEDED
    assert state.output is not None
    assert state.output.inline == label("a")


def test_a_batch_ends_what_its_attempts_had_in_common() -> None:
    batch, ended = Batch(), []

    async def end() -> None:
        ended.append(True)

    async def work() -> None:
        task = await batch.submit({"text": "a"})
        invocation = batch.fleet.invocation()
        invocation.roster.tell(lambda: None, end)
        await BatchService(batch.process()).run([batch.fleet.delivery(task)], invocation)

    run_virtually(work())
    assert ended == [True]


@pytest.mark.parametrize("count", [1, 2])
def test_no_call_is_left_behind(count: int) -> None:
    batch = Batch()

    async def work() -> set[str]:
        tasks = [await batch.submit({"text": text}) for text in mails(count)]
        await batch.deliver(*map(batch.fleet.delivery, tasks))
        return {task.get_name() for task in asyncio.all_tasks() - {asyncio.current_task()}}

    assert run_virtually(work()) == set()
