from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from flotilla.primitives.scaling import REACH, LaneBounds, LaneLoad, LaneScale, ScalingPolicy, decide

MINUTE = 60_000
NOW = 1_000 * MINUTE
STANDARD = LaneBounds(minimum=2, share=200, maximum=200, batch_size=10, objective_ms=300_000)
POLICY = ScalingPolicy(pool=200)


def one(load: LaneLoad | None, scale: LaneScale, now_ms: int = NOW, bounds: LaneBounds = STANDARD) -> LaneScale:
    loads = {} if load is None else {"standard": load}
    return decide(replace(POLICY, pool=bounds.maximum), {"standard": bounds}, loads, {"standard": scale}, now_ms)[
        "standard"
    ]


def after_minutes(load: LaneLoad, scale: LaneScale, minutes: int) -> LaneScale:
    for minute in range(minutes):
        scale = one(load, scale, NOW + minute * MINUTE)
    return scale


class TestOneLane:
    def test_a_backlog_raises_it_in_the_first_period(self) -> None:
        assert one(LaneLoad(waiting=1_000, in_flight=20), LaneScale(2, 200)).concurrency == 46

    def test_a_burst_that_is_seen_before_it_is_handed_out_raises_it_too(self) -> None:
        assert one(LaneLoad(waiting=1_000, in_flight=0), LaneScale(2, 200)).concurrency == 10

    def test_a_lane_that_may_wait_for_long_is_raised_less_for_the_same_backlog(self) -> None:
        urgent, patient = replace(STANDARD, objective_ms=30_000), replace(STANDARD, objective_ms=3_600_000)
        load = LaneLoad(waiting=2_000, in_flight=300)
        assert one(load, LaneScale(20, 200), bounds=urgent).concurrency == 200
        assert one(load, LaneScale(20, 200), bounds=patient).concurrency == 20

    def test_what_has_grown_old_is_no_longer_spread(self) -> None:
        load = LaneLoad(waiting=1_000, in_flight=100, oldest_ms=200_000)
        assert one(load, LaneScale(10, 200)).concurrency == 123

    @pytest.mark.parametrize("in_flight", [0, 1, 5, 10])
    def test_what_waits_for_its_session_raises_nothing(self, in_flight: int) -> None:
        scale = one(LaneLoad(waiting=5_000, in_flight=in_flight), LaneScale(50, 200))
        assert scale.concurrency == 50

    def test_a_session_that_holds_up_its_tasks_gets_few_workers_and_keeps_them(self) -> None:
        held_up, scale, had = LaneLoad(waiting=5_000, in_flight=10), LaneScale(120, 200), []
        for minute in range(120):
            scale = one(held_up, scale, NOW + minute * MINUTE)
            had.append(scale.concurrency)
        assert set(had[30:]) == {10 * REACH}

    def test_what_is_hidden_until_a_retry_raises_nothing(self) -> None:
        assert after_minutes(LaneLoad(waiting=0, in_flight=10_000), LaneScale(10, 200), 30).concurrency == 10

    def test_it_is_lowered_once_it_has_done_with_less_for_a_cooldown(self) -> None:
        idle = LaneLoad(waiting=0, in_flight=30)
        assert after_minutes(idle, LaneScale(7, 200), 5).concurrency == 7
        assert after_minutes(idle, LaneScale(7, 200), 6).concurrency == 4

    def test_it_is_lowered_to_the_most_that_it_called_for_meanwhile(self) -> None:
        scale = one(LaneLoad(waiting=0, in_flight=60), LaneScale(10, 200))
        for minute in range(1, 6):
            scale = one(LaneLoad(waiting=0, in_flight=10), scale, NOW + minute * MINUTE)
        assert scale.concurrency == 7

    def test_it_is_halved_at_the_most(self) -> None:
        assert after_minutes(LaneLoad(waiting=0, in_flight=0), LaneScale(100, 200), 6).concurrency == 50

    def test_a_moment_of_work_begins_the_cooldown_anew(self) -> None:
        scale = after_minutes(LaneLoad(waiting=0, in_flight=0), LaneScale(10, 200), 4)
        scale = one(LaneLoad(waiting=0, in_flight=90), scale, NOW + 4 * MINUTE)
        assert scale.calm_ms == 0
        for minute in range(5, 10):
            scale = one(LaneLoad(waiting=0, in_flight=0), scale, NOW + minute * MINUTE)
        assert scale.concurrency == 10

    def test_nothing_known_changes_nothing(self) -> None:
        scale = LaneScale(50, 200, raised_ms=5, wanted=60, calm_ms=7)
        assert one(None, scale) == scale

    def test_a_raise_within_the_cooldown_waits(self) -> None:
        load = LaneLoad(waiting=3_000, in_flight=400)
        assert one(load, LaneScale(40, 200, raised_ms=NOW - 20_000)).concurrency == 40
        assert one(load, LaneScale(40, 200, raised_ms=NOW - 58_000)).concurrency > 40

    def test_what_could_not_be_had_is_taken_within_the_cooldown(self) -> None:
        scale = LaneScale(40, 200, raised_ms=NOW - 20_000, wanted=90)
        assert one(LaneLoad(waiting=3_000, in_flight=400), scale).concurrency == 90

    def test_it_remembers_that_it_called_for_more_than_its_maximum(self) -> None:
        scale = one(LaneLoad(waiting=30_000, in_flight=1_000), LaneScale(100, 200))
        assert (scale.concurrency, scale.wanted) == (200, 1378)

    def test_provisioned_environments_follow_their_number_and_not_the_load(self) -> None:
        bounds = replace(STANDARD, provisioned=5)
        for load in (LaneLoad(0, 0), LaneLoad(9_000, 500)):
            assert one(load, LaneScale(50, 200), bounds=bounds).provisioned == 5


class TestClock:
    def test_the_same_decision_twice_is_made_once(self) -> None:
        load = LaneLoad(waiting=3_000, in_flight=200)
        first = one(load, LaneScale(20, 200))
        second = one(load, first)
        assert (second.concurrency, second.raised_ms) == (first.concurrency, first.raised_ms) == (143, NOW)

    def test_stamps_from_the_future_hold_no_longer_than_a_cooldown(self) -> None:
        load, far = LaneLoad(waiting=3_000, in_flight=400), NOW + 10**9
        scale = one(load, LaneScale(40, 200, raised_ms=far, lowered_ms=far, calm_ms=far))
        assert scale.concurrency == 40
        assert one(load, scale, NOW + MINUTE).concurrency > 40

    def test_a_clock_that_jumps_ahead_and_back_keeps_a_lane_within_its_bounds(self) -> None:
        scale = LaneScale(40, 200)
        for now_ms in (NOW, NOW + 10**9, NOW, 0, NOW):
            scale = one(LaneLoad(waiting=0, in_flight=0), scale, now_ms)
            assert 2 <= scale.concurrency <= 40


LENDING = {
    "critical": LaneBounds(minimum=2, share=100, maximum=100, batch_size=10, objective_ms=30_000),
    "batch": LaneBounds(minimum=2, share=50, maximum=150, batch_size=10, objective_ms=3_600_000),
}
POOL = ScalingPolicy(pool=150)


class TestLending:
    busy = LaneLoad(waiting=100_000, in_flight=2_000)
    idle = LaneLoad(waiting=0, in_flight=0)

    def lent(self) -> dict[str, LaneScale]:
        scales = {"critical": LaneScale(2, 100), "batch": LaneScale(50, 50)}
        return decide(POOL, LENDING, {"critical": self.idle, "batch": self.busy}, scales, NOW)

    def test_a_lane_under_pressure_borrows_what_an_idle_one_leaves(self) -> None:
        scales = self.lent()
        assert (scales["critical"].concurrency, scales["critical"].reserved) == (2, 2)
        assert (scales["batch"].concurrency, scales["batch"].reserved) == (148, 148)

    def test_the_lender_gets_its_share_back_within_two_periods(self) -> None:
        loads = {"critical": LaneLoad(waiting=5_000, in_flight=20), "batch": self.busy}
        first = decide(POOL, LENDING, loads, self.lent(), NOW + MINUTE)
        assert (first["batch"].concurrency, first["batch"].reserved) == (50, 148)
        assert (first["critical"].concurrency, first["critical"].reserved) == (2, 2)
        second = decide(POOL, LENDING, loads, first, NOW + 2 * MINUTE)
        assert (second["batch"].concurrency, second["batch"].reserved) == (50, 50)
        assert (second["critical"].concurrency, second["critical"].reserved) == (100, 100)

    def test_what_nobody_borrows_goes_home(self) -> None:
        scales = self.lent()
        loads = {"critical": self.idle, "batch": self.idle}
        for minute in range(1, 60):
            scales = decide(POOL, LENDING, loads, scales, NOW + minute * MINUTE)
        assert {name: scale.reserved for name, scale in scales.items()} == {"critical": 100, "batch": 50}

    def test_a_lane_of_which_nothing_is_known_neither_lends_nor_gives_back(self) -> None:
        scales = {"critical": LaneScale(2, 2), "batch": LaneScale(148, 148)}
        loads = {"critical": LaneLoad(waiting=5_000, in_flight=20)}
        assert decide(POOL, LENDING, loads, scales, NOW)["batch"] == scales["batch"]

    def test_reserved_is_kept_for_invocations_that_are_known_to_run(self) -> None:
        scales = {"critical": LaneScale(2, 2), "batch": LaneScale(50, 148, lowered_ms=NOW - 10 * MINUTE)}
        loads = {"critical": LaneLoad(waiting=5_000, in_flight=20), "batch": replace(self.busy, running=120)}
        assert decide(POOL, LENDING, loads, scales, NOW)["batch"].reserved == 120


@st.composite
def fleets(draw: st.DrawFn) -> tuple[ScalingPolicy, dict[str, LaneBounds], dict[str, LaneScale]]:
    """Any fleet in a state that its invariants allow."""
    names = ["first", "second", "third"][: draw(st.integers(1, 3))]
    bounds, scales = {}, {}
    for name in names:
        minimum = draw(st.integers(2, 10))
        share = draw(st.integers(minimum, 120))
        maximum = draw(st.integers(share, 300))
        provisioned = draw(st.integers(0, share))
        objective_ms = draw(st.sampled_from([30_000, 300_000, 3_600_000]))
        bounds[name] = LaneBounds(minimum, share, maximum, draw(st.integers(1, 10)), objective_ms, provisioned)
    pool = sum(about.share for about in bounds.values()) + draw(st.integers(0, 50))
    # Each has a part of what the others leave, at least what they all may not fall below.
    left = pool - sum(max(about.minimum, about.provisioned) for about in bounds.values())
    stamps = st.one_of(st.just(0), st.integers(NOW - 10 * MINUTE, NOW + 10 * MINUTE))
    for name, about in bounds.items():
        floor = max(about.minimum, about.provisioned)
        reserved = floor + draw(st.integers(0, max(0, min(left, about.maximum - floor))))
        left -= reserved - floor
        concurrency = draw(st.integers(about.minimum, min(reserved, about.maximum)))
        wanted, calm_ms = draw(st.integers(0, 400)), draw(stamps)
        scales[name] = LaneScale(concurrency, reserved, about.provisioned, draw(stamps), draw(stamps), wanted, calm_ms)
    return ScalingPolicy(pool), bounds, scales


known_loads = st.builds(
    LaneLoad,
    waiting=st.integers(0, 20_000),
    in_flight=st.integers(0, 4_000),
    oldest_ms=st.one_of(st.none(), st.integers(0, 4_000_000)),
    running=st.one_of(st.none(), st.integers(0, 300)),
)
loads_of_three = st.fixed_dictionaries({}, optional={"first": known_loads, "second": known_loads, "third": known_loads})


def steps(before: Mapping[str, LaneScale], after: Mapping[str, LaneScale]) -> Iterator[dict[str, tuple[int, int]]]:
    """What lanes have, (concurrency, reserved), after each single change of a decision that is applied in order."""
    has = {name: (scale.concurrency, scale.reserved) for name, scale in before.items()}
    for raising in (False, True):
        for reserving in (not raising, raising) if not raising else (True, False):
            for name, scale in after.items():
                concurrency, reserved = has[name]
                to = scale.reserved if reserving else scale.concurrency
                if raising == (to > (reserved if reserving else concurrency)):
                    has[name] = (concurrency, to) if reserving else (to, reserved)
                    yield dict(has)


@given(fleets(), loads_of_three)
def test_reserved_covers_the_mapping_and_the_pool_covers_all_after_every_single_step(
    fleet: tuple[ScalingPolicy, dict[str, LaneBounds], dict[str, LaneScale]], loads: dict[str, LaneLoad]
) -> None:
    policy, bounds, scales = fleet
    decided = decide(policy, bounds, loads, scales, NOW)
    last = {name: (scale.concurrency, scale.reserved) for name, scale in scales.items()}
    for last in steps(scales, decided):
        assert all(concurrency <= reserved for concurrency, reserved in last.values())
        assert sum(reserved for _, reserved in last.values()) <= policy.pool
    assert last == {name: (scale.concurrency, scale.reserved) for name, scale in decided.items()}
    for name, scale in decided.items():
        assert bounds[name].minimum <= scale.concurrency <= bounds[name].maximum
        assert scale.provisioned == bounds[name].provisioned <= scale.reserved
        if name not in loads:
            assert scale == scales[name]


def test_a_lane_that_somebody_lowered_is_not_raised_because_it_had_called_for_more() -> None:
    bounds = {"first": LaneBounds(minimum=4, share=6, maximum=6, batch_size=1, objective_ms=30_000)}
    scales = {"first": LaneScale(concurrency=5, reserved=5, wanted=6, calm_ms=1)}
    decided = decide(ScalingPolicy(pool=8), bounds, {"first": LaneLoad(waiting=0, in_flight=0)}, scales, NOW)
    assert decided["first"].concurrency <= 5


@given(fleets(), loads_of_three, st.integers(0, 50_000))
def test_more_backlog_never_gives_fewer(
    fleet: tuple[ScalingPolicy, dict[str, LaneBounds], dict[str, LaneScale]], loads: dict[str, LaneLoad], more: int
) -> None:
    policy, bounds, scales = fleet
    assume("first" in loads)
    less = decide(policy, bounds, loads, scales, NOW)["first"].concurrency
    loads["first"] = replace(loads["first"], waiting=loads["first"].waiting + more)
    assert decide(policy, bounds, loads, scales, NOW)["first"].concurrency >= less


@given(fleets(), loads_of_three, st.sampled_from(["oldest_ms", "running"]))
def test_not_knowing_something_lowers_no_lane_that_knowing_it_would_not(
    fleet: tuple[ScalingPolicy, dict[str, LaneBounds], dict[str, LaneScale]], loads: dict[str, LaneLoad], what: str
) -> None:
    policy, bounds, scales = fleet
    bounds, scales = {"first": bounds["first"]}, {"first": scales["first"]}
    assume("first" in loads)
    knowing = decide(policy, bounds, loads, scales, NOW)["first"].concurrency
    loads["first"] = replace(loads["first"], **{what: None})
    unknowing = decide(policy, bounds, loads, scales, NOW)["first"].concurrency
    assert unknowing >= min(knowing, scales["first"].concurrency)


@given(fleets(), loads_of_three)
def test_a_decision_that_is_made_again_at_once_changes_nothing_more(
    fleet: tuple[ScalingPolicy, dict[str, LaneBounds], dict[str, LaneScale]], loads: dict[str, LaneLoad]
) -> None:
    policy, bounds, scales = fleet
    first = decide(policy, bounds, loads, scales, NOW)
    second = decide(policy, bounds, loads, first, NOW)
    assert {name: (scale.concurrency, scale.reserved) for name, scale in second.items()} == {
        name: (scale.concurrency, scale.reserved) for name, scale in first.items()
    }


@given(fleets(), loads_of_three)
def test_a_lane_has_what_it_calls_for_of_its_share_in_the_second_period(
    fleet: tuple[ScalingPolicy, dict[str, LaneBounds], dict[str, LaneScale]], loads: dict[str, LaneLoad]
) -> None:
    policy, bounds, scales = fleet
    assume(set(bounds) <= set(loads))
    loads = {name: replace(load, running=None) for name, load in loads.items()}
    loads["first"] = LaneLoad(waiting=50_000, in_flight=4_000, oldest_ms=3_600_000)
    scales["first"] = replace(scales["first"], raised_ms=0)
    for now_ms in (NOW, NOW + MINUTE):
        scales = decide(policy, bounds, loads, scales, now_ms)
    assert scales["first"].concurrency >= bounds["first"].share


@settings(max_examples=25)
@given(st.lists(known_loads, min_size=30, max_size=120))
def test_whatever_the_load_a_lane_is_lowered_only_a_cooldown_after_a_change(loads: list[LaneLoad]) -> None:
    scale, changed_ms = LaneScale(20, 200), 0
    for minute, load in enumerate(loads):
        now_ms = NOW + minute * MINUTE
        after = one(load, scale, now_ms)
        if after.concurrency < scale.concurrency:
            assert now_ms - changed_ms >= 295_000
        if after.concurrency != scale.concurrency:
            changed_ms = now_ms
        scale = after


class Work:
    """A lane that is given work at a rate, in tasks at once, and takes as much as its workers hold."""

    def __init__(self) -> None:
        self.waiting = 0.0

    def minute(self, tasks_at_once: float, workers: int) -> LaneLoad:
        """A minute in which each task takes ten seconds."""
        held = min(workers * 10.0, tasks_at_once + self.waiting)
        self.waiting = max(0.0, self.waiting + (tasks_at_once - held) * 6)
        return LaneLoad(round(self.waiting), round(held))


def turns(tasks_at_once: list[float]) -> int:
    """How often the lane's direction changes while it is given this work, one value for each minute."""
    work, scale, direction, count = Work(), LaneScale(2, 200), 0, 0
    for minute, at_once in enumerate(tasks_at_once):
        after = one(work.minute(at_once, scale.concurrency), scale, NOW + minute * MINUTE)
        if after.concurrency != scale.concurrency:
            now = 1 if after.concurrency > scale.concurrency else -1
            count += now == -direction
            direction = now
        scale = after
    return count


@settings(max_examples=25)
@given(st.floats(0, 1_900))
def test_constant_work_turns_a_lane_once_at_the_most(tasks_at_once: float) -> None:
    assert turns([tasks_at_once] * 240) <= 1


@settings(max_examples=25)
@given(st.floats(100, 1_200), st.lists(st.floats(-0.15, 0.15), min_size=240, max_size=240))
def test_work_that_varies_by_a_seventh_turns_a_lane_hardly_ever(mean: float, noise: list[float]) -> None:
    assert turns([mean * (1 + part) for part in noise]) <= 4


@settings(max_examples=25)
@given(st.lists(st.floats(0, 1_900), min_size=240, max_size=240))
def test_no_work_turns_a_lane_more_often_than_every_third_minute(tasks_at_once: list[float]) -> None:
    assert turns(tasks_at_once) <= 80
