"""Calls by routes: who serves, what is tried next, and what is given back where nobody does."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from flotilla.errors import (
    AttemptRevokedError,
    BudgetExceededError,
    BudgetParkedError,
    FlotillaError,
    LimitedError,
    ParkedError,
    PermanentError,
    RetryableError,
    StoreUnavailableError,
)
from flotilla.llm_ports import (
    CONTEXT_TOO_LONG,
    ModelMisconfiguredError,
    ModelRefusedError,
    ModelReply,
    ModelThrottledError,
    ModelUnavailableError,
)
from flotilla.primitives.budget import Level
from flotilla.primitives.circuit import CircuitState
from flotilla.primitives.token_bucket import Limit
from flotilla.services.models import ModelDesk
from tests.unit.llm.declarations import MODELS
from tests.unit.services.model_callers import LARGE, MEDIUM, SMALL, Purse, World, run

LIMITED = MODELS.replace('[models.medium]\nid = "vendor.medium"', '[models.medium]\nid = "vendor.medium"\n{limit}')


def test_the_first_model_serves_and_is_counted() -> None:
    world = World()

    async def work(desk: ModelDesk) -> None:
        attempt = world.attempt(desk)
        served = await attempt.ask()
        assert (served.requested, served.served, served.reply.text) == ("large", "large", "well")
        # 100 tokens at 10 dollars and 20 at 50 a million.
        assert served.cost_micros == 2000
        assert 90 <= served.latency_ms <= 110
        counted = {"input_tokens": 100, "output_tokens": 20, "cost_usd": 0.002}
        expected = {"model_calls": 1, **counted, "models": {"large": {"calls": 1, **counted}}}
        assert attempt.meter.to_json() == expected

    run(world, work)
    assert world.metrics.total("ModelFailovers") == 0


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (ModelUnavailableError("down"), "model_unavailable"),
        (ModelThrottledError("slower", retry_after_seconds=5), "model_throttled"),
        (ModelMisconfiguredError("no access"), "model_misconfigured"),
        (StoreUnavailableError("no secret"), "store_unavailable"),
        (ParkedError("no such secret", code="integration_secret"), "integration_secret"),
    ],
)
def test_where_a_model_does_not_serve_the_next_does_and_it_is_recorded(error: FlotillaError, why: str) -> None:
    world = World()
    world.models.die(LARGE, error)

    async def work(desk: ModelDesk) -> None:
        attempt = world.attempt(desk)
        served = await attempt.ask()
        assert (served.requested, served.served) == ("large", "medium")
        failover = {"route": "best", "requested": "large", "served": "medium", "why": why}
        assert attempt.meter.to_json()["failovers"] == [failover]
        assert attempt.meter.to_json()["model_calls"] == 1

    run(world, work)
    assert world.metrics.counted("ModelFailovers", route="best") == 1


def test_a_model_that_stalls_is_left_after_the_routes_time_and_the_next_serves() -> None:
    world = World()
    world.models.seconds[LARGE] = 10_000

    async def work(desk: ModelDesk) -> float:
        began = asyncio.get_running_loop().time()
        assert (await world.attempt(desk).ask()).served == "medium"
        return asyncio.get_running_loop().time() - began

    assert 20 <= run(world, work) < 21


def test_a_call_ends_before_its_attempt_does() -> None:
    world = World()
    for model in (LARGE, MEDIUM, SMALL):
        world.models.seconds[model] = 10_000

    async def work(desk: ModelDesk) -> float:
        began = asyncio.get_running_loop().time()
        with pytest.raises(ParkedError):
            await world.attempt(desk, seconds=30).ask()
        return asyncio.get_running_loop().time() - began

    assert 29 < run(world, work) < 30
    assert world.models.calls(SMALL) == 0


def test_who_has_next_to_no_time_left_blames_nobody_else() -> None:
    world = World()
    world.models.seconds[MEDIUM] = 10_000

    async def work(desk: ModelDesk) -> None:
        with pytest.raises(RetryableError) as failure:
            await world.attempt(desk, seconds=5).ask("alone")
        assert failure.value.code == "model_timeout"
        with pytest.raises(RetryableError) as failure:
            await world.attempt(desk, seconds=0).ask("alone")
        assert failure.value.code == "timeout"

    run(world, work)
    assert world.circuits.records == {}


def test_once_the_circuit_of_a_dead_model_is_open_nobody_calls_it_any_more() -> None:
    world = World()
    world.models.die(LARGE)

    async def work(desk: ModelDesk) -> None:
        attempts = [world.attempt(desk) for _ in range(60)]
        for attempt in attempts:
            assert (await attempt.ask()).served == "medium"
        assert world.circuits.records["model#large"].state is CircuitState.OPEN
        assert world.models.calls(LARGE) < 15
        (failover,) = attempts[-1].meter.to_json()["failovers"]
        assert failover["why"] == "circuit_open"
        # Another process knows without a call of its own.
        known = world.models.calls(LARGE)
        assert (await world.attempt(world.process()).ask()).served == "medium"
        assert world.models.calls(LARGE) == known
        world.models.recover(LARGE)
        served = []
        for _ in range(100):
            await asyncio.sleep(1)
            served.append((await world.attempt(desk).ask()).served)
        assert set(served[60:]) == {"large"}

    run(world, work)


def test_while_all_models_are_held_back_a_task_is_parked_until_the_first_may_be_asked() -> None:
    world = World()
    for model in (LARGE, MEDIUM, SMALL):
        world.models.die(model)

    async def work(desk: ModelDesk) -> None:
        for _ in range(40):
            with pytest.raises((RetryableError, ParkedError)):
                await world.attempt(desk).ask()
        calls = len(world.models.asked)
        with pytest.raises(ParkedError) as refusal:
            await world.attempt(desk).ask()
        assert refusal.value.code == "circuit_open"
        assert 0 < refusal.value.retry_after_seconds <= 60
        assert len(world.models.asked) == calls
        assert calls < 60

    run(world, work)


def test_a_failure_uses_up_the_attempt_where_others_are_served_and_else_it_is_nobodys_fault() -> None:
    world = World()

    async def work(desk: ModelDesk) -> None:
        broken = ModelUnavailableError("it broke", code="model_failed")
        world.models.die(MEDIUM, broken)
        with pytest.raises(ParkedError) as refusal:
            await world.attempt(desk).ask("alone")
        assert (refusal.value.code, refusal.value.retry_after_seconds) == ("model_failed", 10)
        world.models.answers[MEDIUM] = answers
        with pytest.raises(RetryableError) as failure:
            await asyncio.gather(*(world.attempt(desk).ask("alone") for _ in range(3)))
        assert failure.value.code == "model_failed"

    numbers = iter(range(3))

    def answers() -> ModelReply:
        if next(numbers) == 2:
            raise ModelUnavailableError("it broke", code="model_failed")
        return ModelReply(text="well", input_tokens=1)

    run(world, work)


def test_who_is_let_in_nowhere_waits_and_is_not_charged() -> None:
    world = World()
    world.models.die(MEDIUM, ModelMisconfiguredError("no access"))

    async def work(desk: ModelDesk) -> None:
        with pytest.raises(ParkedError) as refusal:
            await world.attempt(desk).ask("alone")
        assert refusal.value.code == "model_misconfigured"

    run(world, work)


def test_models_that_all_failed_are_tried_in_turn_once_more() -> None:
    world = World()
    failures = iter([ModelUnavailableError("once"), ModelUnavailableError("once"), ModelUnavailableError("once")])
    for model in (LARGE, MEDIUM, SMALL):
        world.models.answers[model] = lambda: next(failures, ModelReply(text="well", input_tokens=1))

    async def work(desk: ModelDesk) -> None:
        attempt = world.attempt(desk)
        assert (await attempt.ask()).served == "large"
        assert "failovers" not in attempt.meter.to_json()

    run(world, work)
    assert len(world.models.asked) == 4


def test_a_throttled_model_is_left_alone_for_as_long_as_it_asks() -> None:
    world = World()
    world.models.die(MEDIUM, ModelThrottledError("slower", retry_after_seconds=7))

    async def work(desk: ModelDesk) -> None:
        for _ in range(3):
            with pytest.raises(LimitedError) as refusal:
                await world.attempt(desk).ask("alone")
            assert refusal.value.code == "model_throttled"
            assert 6 < refusal.value.retry_after_seconds <= 7
        assert world.models.calls(MEDIUM) == 1
        world.models.recover(MEDIUM)
        await asyncio.sleep(7)
        await world.attempt(desk).ask("alone")
        assert world.circuits.records.get("model#medium") is None, "it is well enough to say so"

    run(world, work)


def test_who_does_not_say_how_long_is_left_alone_longer_each_time() -> None:
    world = World()
    world.models.die(MEDIUM, ModelThrottledError("slower"))

    async def work(desk: ModelDesk) -> None:
        waits = []
        for _ in range(9):
            with pytest.raises(ParkedError):
                await world.attempt(desk).ask("alone")
            with pytest.raises(ParkedError) as refusal:
                await world.attempt(desk).ask("alone")
            waits.append(refusal.value.retry_after_seconds)
            await asyncio.sleep(waits[-1])
        assert waits[0] <= 1
        assert 30 <= waits[-1] <= 60
        assert world.models.calls(MEDIUM) == 9

    run(world, work)


def test_requests_a_minute_hold_and_the_next_model_takes_over() -> None:
    world = World(LIMITED.replace("{limit}", "requests = { rate_per_minute = 1, burst = 2 }"))

    async def work(desk: ModelDesk) -> None:
        served = [(await world.attempt(desk).ask("good")).served for _ in range(4)]
        assert served == ["medium", "medium", "large", "large"]
        with pytest.raises(LimitedError) as refusal:
            await world.attempt(desk).ask("alone")
        assert refusal.value.limit == "model#medium.requests"

    run(world, work)


def test_tokens_are_taken_by_estimate_and_settled_to_what_was_used() -> None:
    world = World(LIMITED.replace("{limit}", "tokens = { rate_per_minute = 60, burst = 1000 }"))
    world.models.answers[MEDIUM] = lambda: ModelReply(text="well", input_tokens=10, output_tokens=10)

    async def work(desk: ModelDesk) -> None:
        for _ in range(20):
            assert (await world.attempt(desk).ask("good", max_tokens=500)).served == "medium"
        world.models.answers[MEDIUM] = lambda: ModelReply(text="well", input_tokens=4000, output_tokens=10)
        assert (await world.attempt(desk).ask("good", max_tokens=100)).served == "medium"
        # What this process had drawn ahead is its own; then it is felt that one call used more than it took.
        served = [(await world.attempt(desk).ask("good", max_tokens=500)).served for _ in range(3)]
        assert served[-1] == "large"

    run(world, work)


def test_more_tokens_than_there_ever_are_at_once_take_all_that_there_are() -> None:
    world = World(LIMITED.replace("{limit}", "tokens = { rate_per_minute = 600, burst = 1000 }"))

    async def work(desk: ModelDesk) -> None:
        assert (await world.attempt(desk).ask("good", max_tokens=100_000)).served == "medium"

    run(world, work)


def test_a_limit_that_is_set_at_run_time_holds_where_none_was_declared() -> None:
    world = World()

    async def work(desk: ModelDesk) -> None:
        await world.settings.put("model#medium.requests", Limit(1, 1))
        await world.settings.put("model#large.tokens", Limit(1, 50))
        assert [(await world.attempt(desk).ask("good")).served for _ in range(2)] == ["medium", "large"]

    run(world, work)


def test_what_is_refused_is_refused_at_once() -> None:
    world = World()
    world.models.die(LARGE, ModelRefusedError("no such role"))

    async def work(desk: ModelDesk) -> None:
        purse = Purse()
        with pytest.raises(ModelRefusedError):
            await world.attempt(desk, spending=purse).ask()
        assert (purse.open, purse.committed) == ({}, [])

    run(world, work)
    assert len(world.models.asked) == 1


def test_what_is_too_long_for_a_model_goes_to_one_that_takes_longer_ones() -> None:
    world = World()
    world.models.die(LARGE, ModelRefusedError("too long", code=CONTEXT_TOO_LONG))

    async def work(desk: ModelDesk) -> None:
        attempt = world.attempt(desk)
        assert (await attempt.ask()).served == "medium"
        assert attempt.meter.to_json()["failovers"][0]["why"] == CONTEXT_TOO_LONG
        world.models.die(MEDIUM, ModelRefusedError("too long", code=CONTEXT_TOO_LONG))
        with pytest.raises(ModelRefusedError):
            await world.attempt(desk).ask("good")

    run(world, work)


def test_only_models_of_the_quality_that_is_asked_serve() -> None:
    world = World()
    world.models.die(MEDIUM)

    async def work(desk: ModelDesk) -> None:
        assert (await world.attempt(desk).ask("good")).served == "large"
        assert (await world.attempt(desk).ask("best", "high")).served == "large"
        world.models.die(LARGE)
        with pytest.raises(RetryableError):
            await world.attempt(desk).ask("good")
        for route, quality in (("alone", "high"), ("best", "splendid")):
            with pytest.raises(PermanentError):
                await world.attempt(desk).ask(route, quality)

    run(world, work)
    assert world.models.calls(SMALL) == 0


def test_a_route_that_is_not_declared_is_not_called() -> None:
    world = World()

    async def work(desk: ModelDesk) -> None:
        assert (await world.attempt(desk, allowed=("best",)).ask()).served == "large"
        for allowed, route in ((("alone",), "best"), (("*",), "none"), ((), "best")):
            with pytest.raises(PermanentError) as refusal:
                await world.attempt(desk, allowed=allowed).ask(route)
            assert refusal.value.code == "route_not_declared"

    run(world, work)


def test_costs_are_reserved_before_a_call_and_settled_after_it() -> None:
    world = World()

    async def work(desk: ModelDesk) -> None:
        purse = Purse()
        attempt = world.attempt(desk, spending=purse)
        for _ in range(3):
            await attempt.ask()
        assert (purse.open, purse.committed) == ({}, [2000, 2000, 2000])
        world.models.die(LARGE)
        await attempt.ask()
        assert (purse.open, purse.committed[3:]) == ({}, [200])

    run(world, work)


def test_a_budget_that_is_nearly_spent_takes_the_cheapest_model_that_is_good_enough() -> None:
    world = World()

    async def work(desk: ModelDesk) -> None:
        purse = Purse(Level.FRUGAL)
        attempt = world.attempt(desk, spending=purse)
        assert (await attempt.ask()).served == "small"
        assert (await attempt.ask("good")).served == "medium"
        assert (await attempt.ask("best", "high")).served == "large"
        assert purse.open == {}
        failover = {"route": "best", "requested": "large", "served": "small", "why": "frugal"}
        assert attempt.meter.to_json()["failovers"] == [failover]
        # One reservation too many, to learn of it.
        assert len(purse.asked) == 4

    run(world, work)


def test_where_a_budget_has_no_room_for_a_model_a_cheaper_one_serves() -> None:
    world = World()

    async def work(desk: ModelDesk) -> None:
        purse = Purse(refuse_from=1000)
        attempt = world.attempt(desk, spending=purse)
        assert (await attempt.ask()).served == "small"
        assert attempt.meter.to_json()["failovers"][0]["why"] == "frugal"

    run(world, work)


def test_a_budget_that_is_spent_is_said_to_the_agent_and_nobody_is_called() -> None:
    world = World()

    async def work(desk: ModelDesk) -> None:
        for error in (BudgetExceededError(scope="task#t"), BudgetParkedError(scope="day", retry_after_seconds=9)):
            purse = Purse(refuse_from=0, error=error)
            with pytest.raises(type(error)):
                await world.attempt(desk, spending=purse).ask()

    run(world, work)
    assert world.models.asked == []


def test_an_attempt_that_may_not_go_on_calls_nobody_more() -> None:
    world = World()
    world.models.die(LARGE)

    async def work(desk: ModelDesk) -> None:
        attempt = world.attempt(desk)
        revoked = AttemptRevokedError("another's")

        def fail() -> ModelReply:
            attempt.supervisor.stop = revoked
            raise ModelUnavailableError("down")

        world.models.answers[LARGE] = fail
        with pytest.raises(AttemptRevokedError):
            await attempt.ask()
        paused = world.attempt(desk)
        paused.supervisor.stop = ParkedError("paused", code="paused")
        with pytest.raises(ParkedError) as refusal:
            await paused.ask()
        assert refusal.value.code == "paused"

    run(world, work)
    assert len(world.models.asked) == 1


@pytest.mark.parametrize("after_seconds", [0.0, 0.05, 5.0])
def test_a_call_that_is_cancelled_gives_back_all_but_what_it_may_be_charged_for(after_seconds: float) -> None:
    limit = "requests = { rate_per_minute = 1, burst = 1 }\ntokens = { rate_per_minute = 1, burst = 1000 }"
    world = World(LIMITED.replace("{limit}", limit))
    world.models.seconds[MEDIUM] = 10

    async def work(desk: ModelDesk) -> None:
        purse = Purse()
        attempt = world.attempt(desk, spending=purse)
        asking = asyncio.ensure_future(attempt.ask("alone", max_tokens=900))
        await asyncio.sleep(after_seconds)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await desk.flush()
        assert purse.open == {}
        assert len(purse.committed) == len(world.models.asked)
        assert world.models.under_way == 0
        world.models.seconds[MEDIUM] = 0.1
        await world.attempt(desk).ask("alone", max_tokens=900)

    run(world, work)


def test_a_cancelled_probe_is_given_back() -> None:
    world = World()
    world.models.die(MEDIUM)

    async def work(desk: ModelDesk) -> None:
        while (record := world.circuits.records.get("model#medium")) is None or record.state is CircuitState.CLOSED:
            with pytest.raises((RetryableError, ParkedError)):
                await world.attempt(desk).ask("alone")
        world.models.recover(MEDIUM)
        world.models.seconds[MEDIUM] = 3
        await asyncio.sleep(30)
        asking = asyncio.ensure_future(world.attempt(desk).ask("alone"))
        await asyncio.sleep(1)
        assert world.circuits.leases
        asking.cancel()
        await asyncio.wait([asking])
        await desk.flush()
        assert world.circuits.leases == {}

    run(world, work)


def test_the_settling_of_a_call_outlives_its_attempt() -> None:
    world = World()

    class SlowPurse(Purse):
        async def commit(self, reservation: Any, cost_micros: int) -> None:
            await asyncio.sleep(0.5)
            await super().commit(reservation, cost_micros)

    async def work(desk: ModelDesk) -> None:
        purse = SlowPurse()
        asking = asyncio.ensure_future(world.attempt(desk, spending=purse).ask())
        await asyncio.sleep(0.2)
        asking.cancel()
        await asyncio.wait([asking])
        assert purse.open
        await desk.flush()
        assert (purse.open, purse.committed) == ({}, [2000])

    run(world, work)


def test_a_provider_that_does_not_say_what_was_used_is_counted_by_estimate() -> None:
    world = World()
    world.models.answers[LARGE] = lambda: ModelReply(text="x" * 300)

    async def work(desk: ModelDesk) -> None:
        served = await world.attempt(desk).ask(text="y" * 300)
        assert 80 <= served.reply.input_tokens <= 150
        assert served.reply.output_tokens == 100
        assert served.cost_micros > 0

    run(world, work)


class _Down:
    """Any store, not answering."""

    def __getattr__(self, name: str) -> Any:
        async def fail(*_: Any, **__: Any) -> None:
            raise StoreUnavailableError("down", code="down")

        return fail


def test_while_all_stores_are_down_calls_go_on_and_fail_over() -> None:
    limit = "requests = { rate_per_minute = 600, burst = 100 }\ntokens = { rate_per_minute = 60000, burst = 10000 }"
    world = World(LIMITED.replace("{limit}", limit))
    world.circuits, world.buckets, world.settings = _Down(), _Down(), _Down()

    async def work(desk: ModelDesk) -> None:
        for _ in range(5):
            assert (await world.attempt(desk).ask("good")).served == "medium"
        world.models.die(MEDIUM)
        assert (await world.attempt(desk).ask("good")).served == "large"

    run(world, work)
