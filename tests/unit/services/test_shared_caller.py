"""Several attempts as one caller: all of it is divided, nobody pays for another, nobody is stopped by another."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flotilla.budget_ports import Reservation, Scope
from flotilla.errors import AttemptRevokedError, BudgetParkedError, ParkedError, StoreUnavailableError
from flotilla.llm.served import Served
from flotilla.llm.usage import UsageMeter
from flotilla.llm_ports import ModelReply, ModelUnavailableError
from flotilla.primitives.budget import Level
from flotilla.services.budgets import Budgets
from flotilla.services.models import ModelCaller, ModelDesk, RouteCalls
from flotilla.services.shared_caller import LeftOutError, parts_of, shared_caller
from tests.fakes.budgets import MemoryBudgets
from tests.fakes.virtual_time import VirtualClock
from tests.unit.services.model_callers import LARGE, SMALL, Attempt, GoOn, Purse, World, request, run

TOKENS = st.integers(0, 100_000)


def shared(attempts: Sequence[Attempt], weights: Sequence[int] | None = None) -> RouteCalls:
    return attempts[0].calls.shared([attempt.calls for attempt in attempts], weights or [1] * len(attempts))


def three(world: World, desk: ModelDesk, purses: Sequence[Any] = (None, None, None)) -> list[Attempt]:
    return [world.attempt(desk, spending=purse) for purse in purses]


@given(TOKENS, TOKENS, TOKENS, TOKENS, TOKENS, st.lists(st.integers(0, 1000), min_size=1, max_size=10))
def test_the_parts_of_a_call_sum_to_it(
    asked: int, cached: int, answered: int, cost: int, latency: int, weights: list[int]
) -> None:
    reply = ModelReply(text="", input_tokens=asked, output_tokens=answered, cached_input_tokens=cached)
    parts = parts_of(Served(reply, "large", "small", cost, latency), weights)
    assert sum(part.reply.input_tokens for part in parts) == asked
    assert sum(part.reply.cached_input_tokens for part in parts) == min(cached, asked)
    assert sum(part.reply.output_tokens for part in parts) == answered
    assert sum(part.cost_micros for part in parts) == cost
    assert sum(part.latency_ms for part in parts) == latency
    assert all(0 <= part.reply.cached_input_tokens <= part.reply.input_tokens for part in parts)
    assert {(part.requested, part.served) for part in parts} == {("large", "small")}


def test_what_a_call_used_is_counted_where_each_attempt_counts() -> None:
    world = World()

    async def work(desk: ModelDesk) -> None:
        attempts = three(world, desk)
        served = await shared(attempts, [2, 1, 1]).converse("best", request())
        found = [attempt.meter.to_json() for attempt in attempts]
        assert [each["input_tokens"] for each in found] == [50, 25, 25]
        assert [each["output_tokens"] for each in found] == [10, 5, 5]
        assert [each["cost_usd"] for each in found] == [0.001, 0.0005, 0.0005]
        assert served.reply.input_tokens == 100
        assert {each["model_calls"] for each in found} == {1}
        assert len(world.models.asked) == 1

    run(world, work)


def test_every_attempt_knows_that_another_model_served() -> None:
    world = World()
    world.models.die(LARGE, ModelUnavailableError("down"))

    async def work(desk: ModelDesk) -> None:
        attempts = three(world, desk)
        await shared(attempts).converse("best", request())
        assert all(attempt.meter.to_json()["failovers"][0]["served"] == "medium" for attempt in attempts)

    run(world, work)
    assert world.metrics.total("ModelFailovers") == 1


def test_each_budget_carries_its_part() -> None:
    world, purses = World(), [Purse(), None, Purse()]

    async def work(desk: ModelDesk) -> None:
        calls = shared(three(world, desk, purses), [2, 1, 1])
        await calls.converse("best", request())
        await calls.converse("best", request())

    run(world, work)
    assert [purse and purse.committed for purse in purses] == [[1000, 1000], None, [500, 500]]
    assert [purse and purse.open for purse in purses] == [{}, None, {}]


def test_attempts_may_share_calls_again_and_again_and_no_reservation_is_taken_for_another() -> None:
    world, one_for_all = World(), Purse()

    async def work(desk: ModelDesk) -> None:
        attempts = three(world, desk, [one_for_all] * 3)
        for _ in range(3):
            await shared(attempts).converse("best", request())
        await attempts[0].ask()

    run(world, work)
    assert len(one_for_all.committed) == 10
    assert sum(one_for_all.committed) == 4 * 2000


def test_whose_budget_is_spent_stays_out_and_nothing_stays_reserved() -> None:
    world = World()
    purses = [
        Purse(),
        Purse(refuse_from=1),
        Purse(refuse_from=1, error=BudgetParkedError(scope="x", retry_after_seconds=1)),
    ]

    async def work(desk: ModelDesk) -> None:
        with pytest.raises(LeftOutError) as left:
            await shared(three(world, desk, purses)).converse("best", request())
        assert left.value.places == {1, 2}

    run(world, work)
    assert world.models.asked == []
    assert [purse.open for purse in purses] == [{}, {}, {}]
    assert [len(purse.asked) for purse in purses] == [1, 1, 1]


@pytest.mark.parametrize(
    "stop", [AttemptRevokedError("gone"), ParkedError("paused", code="paused"), StoreUnavailableError("no log")]
)
def test_whose_task_may_not_go_on_stays_out(stop: Exception) -> None:
    world = World()

    async def work(desk: ModelDesk) -> None:
        attempts = three(world, desk)
        attempts[1].supervisor.stop = stop
        with pytest.raises(LeftOutError) as left:
            await shared(attempts).converse("best", request())
        assert left.value.places == {1}

    run(world, work)
    assert world.models.asked == []


def test_where_one_budget_is_nearly_spent_all_take_the_cheaper_way() -> None:
    world, purses = World(), [Purse(), Purse(level=Level.FRUGAL), Purse()]

    async def work(desk: ModelDesk) -> None:
        attempts = three(world, desk, purses)
        assert (await shared(attempts).converse("best", request())).served == "small"

    run(world, work)
    assert [model for model, _ in world.models.asked] == [SMALL]
    assert [purse.open for purse in purses] == [{}, {}, {}]


def test_a_task_that_has_learned_to_save_need_not_learn_it_again() -> None:
    world, purses = World(), [Purse(level=Level.FRUGAL), Purse()]

    async def work(desk: ModelDesk) -> None:
        attempts = three(world, desk, purses)
        await attempts[0].ask()
        await shared(attempts).converse("best", request())

    run(world, work)
    assert [model for model, _ in world.models.asked] == [SMALL, SMALL]
    assert len(purses[1].asked) == 1


def test_who_has_less_time_than_the_others_does_not_cut_the_call_short() -> None:
    world = World()

    async def work(desk: ModelDesk) -> None:
        attempts = [world.attempt(desk, seconds=0.05), world.attempt(desk, seconds=60)]
        assert (await shared(attempts).converse("best", request())).served == "large"

    run(world, work)


def test_nobody_is_put_off_longer_because_another_was_put_off_often() -> None:
    callers = [
        ModelCaller(name=f"{waits}/1", agent="a", ends_ms=0, supervisor=GoOn(), meter=UsageMeter(), waits=waits)
        for waits in (3, 1, 2)
    ]
    assert shared_caller(callers, [1, 1, 1]).waits == 1


class SlowPurse(Purse):
    """Answers in its own time."""

    async def reserve(self, call_id: str, amount_micros: int, lease_seconds: float) -> Reservation:
        reservation = await super().reserve(call_id, amount_micros, lease_seconds)
        await asyncio.sleep(1)
        return reservation


def test_who_is_cancelled_while_it_reserves_gives_back_what_it_has() -> None:
    world, quick, slow = World(), Purse(), SlowPurse()

    async def work(desk: ModelDesk) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await shared(three(world, desk, [quick, slow])).converse("best", request())
        assert quick.open == {}

    run(world, work)
    assert world.models.asked == []


class OnBudgets:
    """`Spending` on real budgets; the day is everybody's."""

    def __init__(self, budgets: Budgets, task: str) -> None:
        self.budgets = budgets
        self.scopes = (Scope(f"task#{task}", 10_000), Scope("tenant-day#acme#2026-11-21", 100_000))
        self.task = task

    async def reserve(self, call_id: str, amount_micros: int, lease_seconds: float) -> Reservation:
        return await self.budgets.reserve(f"{self.task}/{call_id}", self.scopes, amount_micros, lease_seconds)

    async def commit(self, reservation: Reservation, cost_micros: int) -> None:
        await self.budgets.commit(reservation, cost_micros)

    async def release(self, reservation: Reservation) -> None:
        await self.budgets.release(reservation)


def test_budgets_that_tasks_have_in_common_carry_the_whole_call_once() -> None:
    world, store = World(), MemoryBudgets()

    async def work(desk: ModelDesk) -> None:
        budgets = Budgets(store, VirtualClock(), random.Random(1))
        attempts = three(world, desk, [OnBudgets(budgets, task) for task in "abc"])
        served = await shared(attempts).converse("best", request())
        spent = {scope: account.spent for scope, account in store.accounts.items()}
        assert spent.pop("tenant-day#acme#2026-11-21") == served.cost_micros == 2000
        assert sorted(spent.values()) == [666, 667, 667]
        assert all(account.used == account.spent for account in store.accounts.values())

    run(world, work)
