"""The shared meter: what is charged to the attempts is the time that passed, split fairly."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flotilla.primitives.meter import SharedMeter

PLAN = st.lists(st.tuples(st.integers(0, 10), st.integers(0, 5000)), min_size=1, max_size=30)
"""Steps of (which attempt to start or, where it runs, to stop; milliseconds that pass before)."""


@given(PLAN)
def test_the_shares_sum_to_the_time_in_which_anything_ran(plan: list[tuple[int, int]]) -> None:
    meter, now_ms = SharedMeter(), 0
    running: set[str] = set()
    shares: list[int] = []
    busy_ms = 0
    for number, pause_ms in [*plan, *((number, 7) for number in range(11))]:
        now_ms += pause_ms
        busy_ms += pause_ms if running else 0
        key = str(number)
        if key in running:
            running.remove(key)
            shares.append(meter.stop(key, now_ms))
        elif len(shares) + len(running) < len(plan):
            running.add(key)
            meter.start(key, now_ms)
    shares += [meter.stop(key, now_ms) for key in running]
    # Each share is rounded up to a whole millisecond, as Lambda rounds its bill.
    assert busy_ms - 1e-6 <= sum(shares) <= busy_ms + len(shares)


def test_alone_an_attempt_bears_all_of_its_time() -> None:
    meter = SharedMeter()
    meter.start("a", 1000)
    assert meter.stop("a", 3500) == 2500


def test_ten_at_once_bear_a_tenth_each() -> None:
    meter = SharedMeter()
    for number in range(10):
        meter.start(str(number), 1000)
    assert [meter.stop(str(number), 2000) for number in range(10)] == [100] * 10


def test_one_that_comes_later_bears_nothing_of_what_was_before() -> None:
    meter = SharedMeter()
    meter.start("a", 0)
    meter.start("b", 1000)
    assert meter.stop("b", 1500) == 250
    assert meter.stop("a", 2000) == 1000 + 250 + 500


def test_time_in_which_nothing_runs_is_nobodys() -> None:
    meter = SharedMeter()
    meter.start("a", 0)
    meter.stop("a", 10)
    meter.start("b", 100_000)
    assert meter.stop("b", 100_001) == 1


def test_a_clock_that_is_set_back_takes_nothing_away() -> None:
    meter = SharedMeter()
    meter.start("a", 5000)
    assert meter.stop("a", 4000) == 0
