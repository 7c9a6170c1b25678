"""A process expects the rests that it has had."""

from __future__ import annotations

from flotilla.primitives.rest import LONG_MS, Rests


def expected(*rests_ms: int) -> bool:
    """What a process expects after it has had these rests."""
    rests, now_ms = Rests(), 1_000_000
    long = True
    for rested_ms in (0, *rests_ms):
        rests.begin(now_ms + rested_ms)
        now_ms += rested_ms + 300
        long = rests.end(now_ms)
    return long


def test_a_process_that_never_rested_expects_the_worst() -> None:
    assert expected()


def test_a_busy_process_expects_more_work() -> None:
    assert not expected(20)
    assert not expected(20, 300, 4000)


def test_a_process_that_rests_for_long_expects_to() -> None:
    assert expected(60_000)
    assert expected(LONG_MS)


def test_a_lane_that_falls_quiet_or_wakes_is_noticed_within_a_few_rests() -> None:
    assert expected(20, 20, 20, 60_000)
    assert not expected(60_000, 60_000, 20, 20, 20, 20)


def test_a_clock_that_was_set_back_is_no_rest() -> None:
    assert not expected(-60_000)
