"""Sixteen processes race for a minute: never too much, nobody starves, and what it costs. All on a virtual clock."""

from __future__ import annotations

import random

import pytest

from flotilla.primitives.token_bucket import Limit
from flotilla.primitives.token_lease import NO_LEASES, Leasing
from tests.unit.services.limit_race import Race, show

ALIKE = [0] * 16
SKEWED = [5000, -5000, *(random.Random(5).randint(-5000, 5000) for _ in range(14))]
LIMITS = [Limit(600, 100), Limit(1000, 50), Limit(6000, 100), Limit(6000, 1000)]


@pytest.mark.parametrize("patience_seconds", [0.0, 5.0])
@pytest.mark.parametrize("skews_ms", [ALIKE, SKEWED], ids=["alike", "skewed"])
@pytest.mark.parametrize("limit", LIMITS, ids=lambda limit: f"{limit.rate_per_minute}-{limit.burst}")
def test_without_leases(limit: Limit, skews_ms: list[int], patience_seconds: float) -> None:
    race = Race(limit, NO_LEASES, skews_ms, patience_seconds=patience_seconds).run()
    show(race)
    assert race.broken_at() is None
    assert len(race.used) >= 0.9 * (limit.burst + limit.rate_per_minute)
    assert race.writes_per_use <= 1.05
    assert race.slowest_of_fair_share >= 0.8


@pytest.mark.parametrize("patience_seconds", [0.0, 5.0])
@pytest.mark.parametrize("skews_ms", [ALIKE, SKEWED], ids=["alike", "skewed"])
@pytest.mark.parametrize("limit", LIMITS, ids=lambda limit: f"{limit.rate_per_minute}-{limit.burst}")
def test_with_leases(limit: Limit, skews_ms: list[int], patience_seconds: float) -> None:
    race = Race(limit, Leasing(), skews_ms, patience_seconds=patience_seconds).run()
    show(race)
    assert race.broken_at() is None
    assert len(race.used) >= 0.85 * (limit.burst + limit.rate_per_minute)
    # Who has patience draws for the first time where others queue already, and then no more than it needs.
    assert race.writes_per_use <= (0.1 if patience_seconds == 0 or limit.rate_per_minute >= 1000 else 0.11)
    assert race.slowest_of_fair_share >= 1 / 3


@pytest.mark.parametrize("leasing", [NO_LEASES, Leasing()], ids=["no leases", "leases"])
@pytest.mark.parametrize("skews_ms", [ALIKE, SKEWED], ids=["alike", "skewed"])
def test_nobody_starves_where_a_process_gets_a_handful_in_a_minute(skews_ms: list[int], leasing: Leasing) -> None:
    for seed in range(1, 8):
        race = Race(Limit(60, 30), leasing, skews_ms, seed=seed).run()
        show(race)
        assert race.broken_at() is None
        assert race.slowest_of_fair_share >= 1 / 3
        # At the end each stands in the queue once, for what is credited later and is paid for already.
        assert race.writes <= 1.05 * (len(race.used) + len(skews_ms))


@pytest.mark.parametrize("seed", range(5))
def test_with_leases_whatever_the_start(seed: int) -> None:
    race = Race(Limit(6000, 1000), Leasing(), SKEWED, seed=seed).run()
    assert race.broken_at() is None
    assert race.writes_per_use <= 0.1
    assert race.slowest_of_fair_share >= 1 / 3


def test_over_ten_minutes_a_small_share_costs_a_tenth_too() -> None:
    race = Race(Limit(600, 100), Leasing(), SKEWED, seconds=600).run()
    show(race)
    assert race.broken_at() is None
    assert race.writes_per_use <= 0.1
    assert race.slowest_of_fair_share >= 0.7


def test_where_far_more_wait_than_there_are_places_they_look_before_they_write() -> None:
    race = Race(Limit(60, 10), NO_LEASES, [0] * 150).run()
    show(race)
    assert race.broken_at() is None
    assert race.writes_per_use <= 5
    assert race.reads / len(race.used) <= 20


@pytest.mark.parametrize("leasing", [NO_LEASES, Leasing()], ids=["no leases", "leases"])
def test_processes_that_die_lose_capacity_and_never_add_any(leasing: Leasing) -> None:
    race = Race(Limit(6000, 100), leasing, SKEWED, dies_after=40).run()
    show(race)
    assert race.broken_at() is None
    assert race.slowest_of_fair_share >= 1 / 3


def test_one_process_alone_pays_one_write_each_time_and_much_less_with_leases() -> None:
    alone = Race(Limit(600, 100), NO_LEASES, [0], pause_seconds=0.2).run()
    leased = Race(Limit(600, 100), Leasing(), [0], pause_seconds=0.2).run()
    show(alone)
    show(leased)
    assert alone.writes_per_use == 1
    assert leased.writes_per_use <= 0.1


@pytest.mark.parametrize("pause_seconds", [3.0, 1.0, 0.3])
def test_processes_that_share_a_limit_they_do_not_reach_seldom_get_in_each_others_way(pause_seconds: float) -> None:
    race = Race(Limit(6000, 100), NO_LEASES, SKEWED, pause_seconds=pause_seconds).run()
    show(race)
    assert race.writes_per_use <= 1.35
