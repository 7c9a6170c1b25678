"""Whole fleets around one circuit: how soon it opens and closes, what that costs, and what does not open it.

Every figure is printed (`-s` shows them): they are the same each time, for time and chance are part of the history.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from typing import Any

import pytest

from flotilla.primitives.circuit import CallOutcome, CircuitState
from flotilla.primitives.circuit_policy import CircuitPolicy
from tests.fakes.virtual_time import run_virtually
from tests.simulation.circuits.fleet import Fleet

HOUR = 3600.0
OPEN = CircuitState.OPEN


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return run_virtually(work)


def show(title: str, **figures: object) -> None:
    sys.stdout.write(f"{title}: " + ", ".join(f"{name} {value}" for name, value in figures.items()) + "\n")


async def warm(fleet: Fleet, seconds: float = 12.0) -> None:
    fleet.start()
    await fleet.for_seconds(seconds)


async def outage(fleet: Fleet, seconds: float) -> tuple[float, int]:
    """Everything fails for a while: seconds until the circuit opened, and calls that were made in vain."""
    before = fleet.dependency.calls
    fleet.dependency.error_rate = 1.0
    opened = await fleet.until(lambda: fleet.state is OPEN, at_most=seconds)
    await fleet.for_seconds(seconds - opened)
    return opened, fleet.dependency.calls - before


@pytest.mark.parametrize(
    ("size", "rate", "most_wasted", "latest"),
    [
        (1, 10, 16, 2.0),
        (10, 10, 40, 0.5),
        (100, 10, 160, 0.2),
        (1000, 10, 1300, 0.15),
        (10, 1, 25, 3.0),
        (100, 1, 60, 0.8),
        (1000, 1, 300, 0.3),
        (1000, 0.1, 60, 1.0),
    ],
)
def test_a_hard_outage_costs_few_calls(size: int, rate: float, most_wasted: int, latest: float) -> None:
    async def scenario() -> None:
        fleet = Fleet(size, rate)
        await warm(fleet)
        opened, wasted = await outage(fleet, 9.0)
        show(f"outage, {size} x {rate}/s", open_after=f"{opened:.2f} s", wasted=wasted, each=f"{wasted / size:.2f}")
        assert opened <= latest
        assert wasted <= most_wasted
        assert len(fleet.told()) == 1, "one made the step, and told it"
        assert fleet.shortest_retry > 0

    run(scenario())


@pytest.mark.parametrize(("size", "rate", "most_each"), [(1, 10, 16), (10, 10, 5), (100, 10, 3), (1000, 10, 2)])
def test_a_fleet_that_wakes_to_an_outage_opens_too(size: int, rate: float, most_each: float) -> None:
    async def scenario() -> None:
        fleet = Fleet(size, rate)
        fleet.start()
        opened, wasted = await outage(fleet, 6.0)
        show(f"outage from the start, {size} x {rate}/s", open_after=f"{opened:.2f} s", wasted=wasted)
        assert opened <= 2.0
        assert wasted <= most_each * size

    run(scenario())


@pytest.mark.parametrize("size", [1, 10, 100])
def test_healthy_calls_cost_a_twentieth_of_a_read_and_of_a_write(size: int) -> None:
    async def scenario() -> None:
        fleet = Fleet(size, 10)
        await warm(fleet, 200 if size < 100 else 60)
        calls = fleet.dependency.calls
        reads, writes = fleet.store.reads / calls, fleet.store.writes / calls
        show(f"healthy, {size} x 10/s", reads=f"{reads:.4f}", writes=f"{writes:.4f}", queries=fleet.store.queries)
        assert reads <= 0.05
        assert writes <= 0.05
        assert fleet.store.queries == 0
        assert fleet.refused == 0

    run(scenario())


@pytest.mark.parametrize(("size", "rate"), [(1, 10), (10, 10), (100, 10), (10, 1)])
def test_it_recovers_within_one_and_a_half_cooldowns(size: int, rate: float) -> None:
    """The worst moment: the other side comes back just after a probe has failed."""

    async def scenario() -> None:
        fleet = Fleet(size, rate)
        await warm(fleet)
        fleet.dependency.error_rate = 1.0
        ratios = []
        for opening in (1, 2):
            await fleet.until(
                lambda opening=opening: sum(step.after.state is OPEN for step in fleet.told()) >= opening,  # type: ignore[misc]
                at_most=200,
            )
        fleet.dependency.error_rate = 0.0
        cooldown = fleet.told()[-1].after.cooldown_ms / 1000
        closed = await fleet.until(lambda: fleet.state is CircuitState.CLOSED, at_most=10 * cooldown)
        ratios.append(closed / cooldown)
        show(f"recovery, {size} x {rate}/s", cooldown=f"{cooldown} s", closed_after=f"{closed:.2f} s", ratio=ratios)
        assert closed <= 1.5 * cooldown
        assert fleet.probes <= 2 * fleet.policy.probes + fleet.policy.probes_to_close

    run(scenario())


def test_a_long_outage_costs_a_probe_for_each_cooldown() -> None:
    async def scenario() -> None:
        fleet = Fleet(100, 1)
        await warm(fleet)
        _, wasted = await outage(fleet, 300.0)
        cooldowns = [step.after.cooldown_ms // 1000 for step in fleet.told() if step.after.state is OPEN]
        show("five minutes of outage, 100 x 1/s", wasted=wasted, probes=fleet.probes, cooldowns=cooldowns)
        assert cooldowns == [10, 20, 40, 60, 60, 60, 60][: len(cooldowns)]
        assert fleet.probes <= fleet.policy.probes * len(cooldowns)
        assert fleet.dependency.most_in_flight >= 1

    run(scenario())


@pytest.mark.parametrize(("size", "rate", "dead"), [(10, 10, 1), (100, 10, 3), (100, 1, 7)])
def test_never_more_probes_than_leased_though_environments_die_over_them(size: int, rate: float, dead: int) -> None:
    """The dead count as long as they might be alive: probes under way and those of the dead together."""
    policy = CircuitPolicy(probe_lease_ms=10_000)

    async def scenario() -> None:
        fleet = Fleet(size, rate, policy)
        await warm(fleet)
        await outage(fleet, 5.0)
        most = 0
        fleet.kill_probers = dead
        fleet.dependency.error_rate = 0.0
        while fleet.state in (OPEN, CircuitState.HALF_OPEN):
            now_ms = fleet.clock.now_ms()
            most = max(most, sum(lease.until_ms > now_ms for lease in fleet.store.leases.values()))
            await asyncio.sleep(0.02)
            assert fleet.now < 90, "it never recovered"
        show(f"{dead} probers die, {size} x {rate}/s", probes=fleet.probes, most_leased=most, at=f"{fleet.now:.1f} s")
        assert most <= policy.probes
        assert fleet.probes <= dead + policy.probes_to_close + policy.probes

    run(scenario())


@pytest.mark.parametrize(("size", "rate"), [(1, 10), (10, 1), (100, 0.1), (1000, 0.01)])
def test_one_call_in_ten_failing_for_an_hour_opens_nothing(size: int, rate: float) -> None:
    async def scenario() -> None:
        fleet = Fleet(size, rate, CircuitPolicy(latency_p99_ms=1_000))
        fleet.dependency.error_rate = 0.1
        fleet.dependency.slow_rate = 0.005
        await warm(fleet, HOUR)
        calls = fleet.dependency.calls
        cost = {name: f"{getattr(fleet.store, name) / calls:.3f}" for name in ("reads", "queries", "writes")}
        show(f"a failing tenth, {size} x {rate}/s", calls=calls, refused=fleet.refused, **cost)
        assert fleet.told() == []
        assert fleet.refused == 0

    run(scenario())


def test_one_call_in_ten_failing_opens_nothing_in_a_large_busy_fleet() -> None:
    async def scenario() -> None:
        fleet = Fleet(1000, 1)
        fleet.dependency.error_rate = 0.1
        await warm(fleet, 25)
        show("a failing tenth, 1000 x 1/s", calls=fleet.dependency.calls, refused=fleet.refused)
        assert fleet.told() == []
        assert fleet.refused == 0

    run(scenario())


def test_quick_failures_of_a_burst_do_not_outrun_slow_successes() -> None:
    """A thousand environments wake at once, each with ten calls: a tenth fails at once, the others take seconds."""

    async def scenario() -> None:
        fleet = Fleet(1000, 1)
        fleet.dependency.error_rate, fleet.dependency.slow_rate, fleet.dependency.slow_seconds = 0.1, 1.0, 4.0

        async def batch(number: int) -> None:
            async def call() -> None:
                await asyncio.sleep(fleet.random.uniform(0, 0.2))
                async with fleet.environments[number].breaker.call() as passage:
                    fine = await fleet.dependency.call()
                    passage.outcome = CallOutcome.OK if fine else CallOutcome.FAILED

            await asyncio.gather(*(call() for _ in range(10)))

        for pause in (0.0, 30.0, 120.0):
            await asyncio.sleep(pause)
            await asyncio.gather(*(batch(number) for number in range(1000)))
        show("three bursts", calls=fleet.dependency.calls, failed=fleet.dependency.failures, steps=len(fleet.told()))
        assert fleet.told() == []

    run(scenario())


@pytest.mark.parametrize(("size", "slow", "latest"), [(1, 0.05, 45), (10, 0.05, 25), (100, 0.02, 25)])
def test_a_p99_regression_without_a_single_error_opens_it(size: int, slow: float, latest: float) -> None:
    async def scenario() -> None:
        fleet = Fleet(size, 10, CircuitPolicy(latency_p99_ms=1_000))
        await warm(fleet, 60)
        assert fleet.told() == []
        fleet.dependency.slow_rate = slow
        opened = await fleet.until(lambda: fleet.state is OPEN, at_most=120)
        reason = fleet.store.records["crm"].reason
        show(f"{slow:.0%} slow, {size} x 10/s", open_after=f"{opened:.1f} s", reason=repr(reason))
        assert fleet.dependency.failures == 0
        assert opened <= latest

    run(scenario())


@pytest.mark.parametrize("size", [1, 3, 9])
def test_below_the_minimum_volume_nothing_opens(size: int) -> None:
    async def scenario() -> None:
        fleet = Fleet(size, 1)
        for environment in fleet.environments * (9 // size):
            async with environment.breaker.call() as call:
                call.outcome = CallOutcome.FAILED
            await asyncio.sleep(0.1)
        await asyncio.sleep(10)
        assert fleet.told() == []

    run(scenario())


@pytest.mark.parametrize(("size", "rate"), [(3, 10), (10, 3), (100, 1)])
def test_one_ill_environment_stops_itself_and_not_the_fleet(size: int, rate: float) -> None:
    async def scenario() -> None:
        fleet = Fleet(size, rate)
        await warm(fleet, 20)
        fleet.environments[0].ill = True
        await fleet.for_seconds(300)
        show(f"one ill of {size}", refused=fleet.refused, of_its=int(300 * rate))
        assert fleet.told() == []
        assert fleet.refused >= 0.8 * 300 * rate

    run(scenario())


def test_without_its_store_calls_go_on_and_a_dead_dependency_is_still_left_alone() -> None:
    async def scenario() -> None:
        fleet = Fleet(10, 10)
        await warm(fleet)
        fleet.store.down = True
        await fleet.for_seconds(20)
        assert fleet.refused == 0
        _, wasted = await outage(fleet, 60.0)
        show("store and dependency down for a minute, 10 x 10/s", wasted=wasted, of=fleet.refused + wasted)
        assert wasted <= 20 * 10
        fleet.store.down = False
        fleet.dependency.error_rate = 0.0
        calls = fleet.dependency.calls
        await fleet.for_seconds(60)
        assert fleet.dependency.calls - calls > 20 * 10 * 10

    run(scenario())


def test_a_flapping_dependency_is_tried_less_and_less() -> None:
    async def scenario() -> None:
        fleet = Fleet(100, 2)
        await warm(fleet)
        wasted = []
        for _ in range(6):
            _, lost = await outage(fleet, 20.0)
            wasted.append(lost)
            fleet.dependency.error_rate = 0.0
            await fleet.for_seconds(20)
        show("20 s down, 20 s up, 100 x 2/s", wasted=wasted)
        assert sum(wasted) <= 6 * 100

    run(scenario())


def test_the_same_history_comes_out_the_same() -> None:
    async def scenario() -> tuple[Any, ...]:
        fleet = Fleet(20, 5)
        await warm(fleet)
        opened = await outage(fleet, 15.0)
        return opened, fleet.store.reads, fleet.store.writes, fleet.told()

    assert run(scenario()) == run(scenario())
