"""The model against what a hand can compute, and against AWS's rules."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capacity import prices
from capacity.simulation import (
    PROVISIONED_POLLERS,
    LaneResult,
    Load,
    Observed,
    Rules,
    Setting,
    SimulatedLane,
    burst,
    simulate,
    steady,
    step,
)
from capacity.simulation.waits import Waits

WIDE = Rules(account_concurrency=100_000, environments_burst=100_000, mapping_start=100_000)
"""Nothing scales up slowly and nothing is refused."""


def run(
    load: Load, setting: Setting, seconds: float, rules: Rules = WIDE, *, seed: int = 1, batch_size: int = 10
) -> LaneResult:
    lane = SimulatedLane(load, setting, batch_size=batch_size, init_seconds=0.0)
    return simulate({"lane": lane}, seconds=seconds, seed=seed, rules=rules).lanes["lane"]


def at_once(tasks: int, seconds: float, sessions: int = 0) -> Load:
    """About so many tasks in the first second, each as long as any other."""
    return Load(burst(0, tasks, 0, 1), steady(seconds), spread=0.0, sessions=sessions)


class TestQueueingTheory:
    @pytest.mark.parametrize(("rate", "seconds"), [(5.0, 4.0), (0.5, 60.0)])
    def test_as_many_are_at_work_as_littles_law_says(self, rate: float, seconds: float) -> None:
        result = run(Load(steady(rate), steady(seconds)), Setting(1000), 3_600, batch_size=1)
        busy = [point.busy for point in result.series[10:]]
        assert sum(busy) / len(busy) == pytest.approx(rate * seconds, rel=0.08)

    def test_full_batches_carry_ten_times_as_much(self) -> None:
        for batch_size in (1, 10):
            result = run(Load(steady(10), steady(10), spread=0.0), Setting(5), 3_600, batch_size=batch_size)
            assert result.tasks / 3_600 == pytest.approx(5 * batch_size / 10, rel=0.02)

    def test_a_batch_takes_as_long_as_its_longest_task(self) -> None:
        result = run(Load(steady(12), steady(10), spread=0.3), Setting(10), 9_000)
        # The longest of ten: the integral of 1 - F^10 of a log-normal distribution of mean 10.
        assert result.tasks / result.invocations == pytest.approx(10, rel=0.01)
        assert result.gb_seconds / result.invocations == pytest.approx(10 * _longest_of(10, 0.3), rel=0.03)

    def test_the_tasks_of_a_session_take_their_time_one_after_the_other(self) -> None:
        result = run(at_once(10, 3.0, sessions=1), Setting(100), 600)
        assert result.gb_seconds == pytest.approx(3.0 * result.tasks)

    def test_every_task_that_arrived_began_or_is_left(self) -> None:
        result = run(Load(steady(30), steady(6)), Setting(10), 3_600)
        assert result.tasks + result.left == sum(point.arrived for point in result.series)
        assert sum(point.started for point in result.series) == result.tasks


def _longest_of(tasks: int, spread: float) -> float:
    def below(x: float) -> float:
        return 0.5 * (1 + math.erf((math.log(x) + spread * spread / 2) / (spread * math.sqrt(2))))

    return sum((1 - below(x / 1000) ** tasks) / 1000 for x in range(1, 6_000))


class TestMapping:
    def test_it_begins_with_five_and_adds_three_hundred_a_minute(self) -> None:
        rules = Rules(account_concurrency=10_000)
        peaks = [point.running for point in run(at_once(9_000, 3_600), Setting(None), 300, rules, batch_size=1).series]
        assert peaks == pytest.approx([305, 605, 905, 1205, 1250], abs=6)

    def test_with_provisioned_pollers_it_adds_a_thousand_a_minute(self) -> None:
        rules = replace(WIDE, **PROVISIONED_POLLERS)
        peaks = [point.running for point in run(at_once(9_000, 3_600), Setting(None), 300, rules, batch_size=1).series]
        # At this pace from none to 50,000 takes 50 minutes.
        assert peaks == pytest.approx([1_020, 2_020, 3_020, 4_020, 5_020], abs=20)

    def test_it_never_runs_more_than_its_maximum(self) -> None:
        result = run(Load(steady(50), steady(6)), Setting(7), 1_800)
        assert max(point.running for point in result.series) == 7

    def test_it_never_runs_more_than_there_are_sessions(self) -> None:
        result = run(Load(steady(3), steady(6), sessions=3), Setting(100), 1_800, batch_size=1)
        assert max(point.running for point in result.series) == 3

    def test_when_it_is_lowered_what_runs_ends_and_nothing_new_begins(self) -> None:
        def lower(now_ms: int, _observed: Mapping[str, Observed], _has: Mapping[str, Setting]) -> Mapping[str, Setting]:
            return {"lane": Setting(2)} if now_ms >= 120_000 else {}

        lane = SimulatedLane(Load(steady(5), steady(90), spread=0.0), Setting(20), init_seconds=0.0)
        series = simulate({"lane": lane}, seconds=600, scaler=lower, rules=WIDE).lanes["lane"].series
        assert [point.concurrency for point in series[:4]] == [20, 20, 2, 2]
        assert series[1].running == series[2].running == 20
        assert [point.running for point in series[5:]] == [2] * 5


class TestFunction:
    @pytest.mark.parametrize(("starting", "seconds"), [(1_000, 9), (2_000, 19), (3_000, 29)])
    def test_a_thousand_environments_start_in_ten_seconds(self, starting: int, seconds: float) -> None:
        rules = replace(WIDE, environments_burst=1_000)
        result = run(at_once(5_000, 3_600), Setting(None), seconds, rules, batch_size=1)
        assert result.cold_starts == starting
        assert result.throttles > 0

    def test_a_mapping_above_the_reserved_concurrency_burns_receives(self) -> None:
        lane = SimulatedLane(at_once(300, 600), Setting(10, reserved=5), visibility_seconds=30, max_receive_count=4)
        result = simulate({"lane": lane}, seconds=570, rules=WIDE).lanes["lane"]
        assert max(point.running for point in result.series) == 5
        assert result.throttles > 0
        assert result.most_receives == 4
        assert result.dead > 0
        assert result.tasks <= 50
        assert result.tasks + result.left + result.dead == pytest.approx(300, rel=0.2)

    def test_reserved_concurrency_that_covers_the_mapping_refuses_nothing(self) -> None:
        result = run(Load(steady(50), steady(6)), Setting(10, reserved=10), 1_800, Rules())
        assert result.throttles == 0

    def test_the_accounts_limit_holds_for_all_lanes_together(self) -> None:
        lane = SimulatedLane(Load(steady(50), steady(60)), Setting(80), batch_size=1)
        lanes = simulate({"one": lane, "two": lane}, seconds=600, rules=Rules(account_concurrency=100)).lanes
        assert max(a.busy + b.busy for a, b in zip(lanes["one"].series, lanes["two"].series, strict=True)) <= 100
        assert lanes["one"].throttles + lanes["two"].throttles > 0

    def test_what_one_lane_reserves_another_without_does_not_get(self) -> None:
        one = SimulatedLane(Load(steady(0), steady(60)), Setting(60, reserved=60), batch_size=1)
        two = SimulatedLane(Load(steady(50), steady(60)), Setting(80), batch_size=1)
        lanes = simulate({"one": one, "two": two}, seconds=300, rules=Rules(account_concurrency=100)).lanes
        assert max(point.running for point in lanes["two"].series) == 40


class TestBill:
    @pytest.mark.parametrize(("keep_warm_seconds", "all_cold"), [(0.0, True), (1e9, False)])
    def test_initialisation_is_billed_and_waited_for_where_no_environment_is_warm(
        self, keep_warm_seconds: float, all_cold: bool
    ) -> None:
        lane = SimulatedLane(Load(steady(1), steady(2), spread=0.0), Setting(2), init_seconds=0.5)
        rules = replace(WIDE, keep_warm_seconds=keep_warm_seconds)
        result = simulate({"lane": lane}, seconds=1_800, rules=rules).lanes["lane"]
        assert result.cold_starts == (result.invocations if all_cold else 2)
        assert result.gb_seconds == pytest.approx(2 * result.invocations + 0.5 * result.cold_starts)

    def test_dollars_are_seconds_invocations_and_queue_calls(self) -> None:
        result = run(Load(steady(5), steady(6)), Setting(10), 3_600)
        calls = prices.LAMBDA_REQUESTS + 3 * prices.SQS_FIFO_REQUESTS
        dollars = result.gb_seconds * prices.LAMBDA_ARM_GB_SECONDS + result.invocations * calls
        assert result.dollars == pytest.approx(dollars / 1_000_000)
        assert sum(point.dollars for point in result.series) == pytest.approx(result.dollars)

    def test_provisioned_environments_cost_their_time_and_less_for_each_second_of_work(self) -> None:
        result = run(Load(steady(1), steady(6)), Setting(10, provisioned=10), 3_600)
        assert result.cold_starts == 0
        assert result.provisioned_dollars == pytest.approx(10 * 3_600 * 3.3334 / 1_000_000)
        calls = result.invocations * (prices.LAMBDA_REQUESTS + 3 * prices.SQS_FIFO_REQUESTS)
        worked = (result.gb_seconds * 7.7778 + calls) / 1_000_000
        assert result.dollars == pytest.approx(result.provisioned_dollars + worked)


class TestScaler:
    def test_it_is_asked_each_period_and_sees_attributes_at_once_and_metrics_later(self) -> None:
        seen: list[tuple[int, Observed]] = []

        def watch(now_ms: int, observed: Mapping[str, Observed], _has: Mapping[str, Setting]) -> Mapping[str, Setting]:
            seen.append((now_ms, observed["lane"]))
            return {}

        lane = SimulatedLane(Load(step(0, 10, 100), steady(600), spread=0.0), Setting(5), init_seconds=0.0)
        simulate({"lane": lane}, seconds=300, scaler=watch, rules=WIDE)
        assert [now_ms for now_ms, _ in seen] == [60_000, 120_000, 180_000, 240_000, 300_000]
        running = [observed.running for _, observed in seen]
        assert running == [None, 0, 5, 5, 5]
        # From 100 s on ten a second; the attributes are of five seconds ago.
        assert seen[1][1].waiting + seen[1][1].in_flight == pytest.approx(150, rel=0.25)
        assert seen[4][1].oldest_ms == pytest.approx(140_000, abs=2_000)

    def test_a_raise_takes_effect_after_a_while(self) -> None:
        def raise_it(
            _now: int, _observed: Mapping[str, Observed], _has: Mapping[str, Setting]
        ) -> Mapping[str, Setting]:
            return {"lane": Setting(50, 50)}

        lane = SimulatedLane(Load(steady(50), steady(6)), Setting(5, 5))
        for seconds, concurrency in ((3, 50), (70, 5)):
            rules = replace(WIDE, mapping_update_seconds=seconds)
            point = simulate({"lane": lane}, seconds=120, scaler=raise_it, rules=rules).lanes["lane"].series[1]
            assert (point.concurrency, point.reserved) == (concurrency, 50)

    def test_turns_are_counted(self) -> None:
        sizes = iter([10, 20, 20, 5, 8, 8, 9])

        def follow(_now: int, _observed: Mapping[str, Observed], _has: Mapping[str, Setting]) -> Mapping[str, Setting]:
            return {"lane": Setting(next(sizes))}

        lane = SimulatedLane(Load(steady(1), steady(6)), Setting(5))
        result = simulate({"lane": lane}, seconds=7 * 60, scaler=follow).lanes["lane"]
        assert (result.raises, result.lowers, result.turns) == (4, 1, 2)


class TestSameAgain:
    load = Load(steady(10), steady(6))

    def test_the_same_arguments_give_the_same_result(self) -> None:
        assert run(self.load, Setting(9), 1_800) == run(self.load, Setting(9), 1_800)

    def test_another_seed_gives_another(self) -> None:
        assert run(self.load, Setting(9), 1_800, seed=2) != run(self.load, Setting(9), 1_800)

    def test_whatever_a_lane_has_it_is_given_the_same_tasks(self) -> None:
        few, many = (run(self.load, Setting(size), 1_800) for size in (3, 300))
        assert [point.arrived for point in few.series] == [point.arrived for point in many.series]


@given(st.lists(st.lists(st.floats(0, 10_000), min_size=1, max_size=10), min_size=1, max_size=50), st.floats(0.01, 1))
def test_a_percentile_is_the_true_one_or_at_most_three_percent_more(batches: list[list[float]], share: float) -> None:
    waits = Waits()
    for batch in batches:
        waits.add(sorted(batch, reverse=True))
    ordered = sorted(wait for batch in batches for wait in batch)
    true = ordered[math.ceil(share * len(ordered)) - 1]
    assert true - 1e-9 <= waits.percentile(share) <= max(true * 1.03, 0.001) + 1e-9
