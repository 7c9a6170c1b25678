"""What the breakers' harness must keep for its figures to mean anything, on small fleets and without the peers."""

from __future__ import annotations

from benchmarks.fault_lab.breakers import scenarios
from benchmarks.fault_lab.breakers.fleets import FlotillaFleet, LiteLlmFleet, OpenFleet
from benchmarks.fault_lab.breakers.stores import Stores
from benchmarks.fault_lab.breakers.world import World, virtually
from benchmarks.fault_lab.script import Script

_MEMORY = Stores(None)


def flotilla(seed: int) -> FlotillaFleet:
    return FlotillaFleet(_MEMORY, seed)


def test_every_kind_of_protection_is_given_the_same_calls() -> None:
    async def arrivals(world: World) -> list[float]:
        await world.until(20)
        return sorted([round(one.at, 1) for one in world.made] + [round(at, 1) for at, _ in world.held])

    found = [
        virtually(arrivals(World(fleet, Script.named("healthy"), 5, 2.0, seed=4)))
        for fleet in (OpenFleet(), LiteLlmFleet())
    ]
    assert found[0] == found[1]
    assert len(found[0]) > 100


def test_an_outage_comes_out_the_same_each_time() -> None:
    runs = [scenarios.outage(flotilla, 5, 4.0, 2, seconds=12, recovery=False) for _ in range(2)]
    assert runs[0] == runs[1]


def test_an_outage_costs_a_fraction_of_what_it_costs_unprotected_and_is_over_when_it_is_over() -> None:
    run = scenarios.outage(flotilla, 10, 5.0, 1, seconds=12, recovery=True)
    bare = scenarios.outage(lambda _: OpenFleet(), 10, 5.0, 1, seconds=12, recovery=False)
    assert bare.wasted > 10 * run.wasted > 0
    assert run.held_after is not None
    assert run.held_after <= 2
    assert run.recovered_after is not None
    assert run.recovered_after <= 1.5 * run.cooldown_seconds
    assert run.most_probes is not None
    assert run.most_probes <= 3


def test_environments_that_die_over_a_probe_leave_no_more_under_way_than_are_leased() -> None:
    run = scenarios.outage(flotilla, 10, 5.0, 1, seconds=12, recovery=True, dying=2)
    assert run.most_probes is not None
    assert run.most_probes <= 3
    assert run.recovered_after is not None


def test_a_failing_tenth_holds_nothing_back() -> None:
    run = scenarios.background(flotilla, 5, 2.0, 0.1, 120)
    assert (run.trips, run.held) == (0, 0)


def test_nine_failures_are_too_few() -> None:
    assert not scenarios.few(flotilla, 3)


def test_the_lone_deployment_of_issue_40405_is_left_alone_after_the_least_volume() -> None:
    assert scenarios.lone(lambda _: LiteLlmFleet(alone=True)) == 33
    assert scenarios.lone(flotilla) < 20


def test_without_a_store_calls_go_on_and_a_dead_dependency_is_left_alone() -> None:
    run = scenarios.storeless(flotilla, 3, 5.0, throttled=0.0)
    assert run.held_while_well == 0
    assert run.wasted < run.of / 4


def test_healthy_calls_are_metered() -> None:
    cost = scenarios.healthy(flotilla, 3, 10.0, 20)
    assert 0 < cost.reads < 0.06
    assert 0 < cost.writes < 0.06
