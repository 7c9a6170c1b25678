"""Which calls end a long pause."""

from __future__ import annotations

from random import Random

from flotilla.primitives.circuit_pace import Pace


def ends_long_pause(pauses_ms: list[int]) -> list[bool]:
    pace, now_ms, found = Pace(), 0, []
    for pause_ms in pauses_ms:
        now_ms += pause_ms
        found.append(pace.begins(now_ms))
    return found


def test_calls_that_come_evenly_end_no_long_pause() -> None:
    assert not any(ends_long_pause([100] * 50))


def test_the_first_two_calls_say_nothing_of_what_is_usual() -> None:
    assert ends_long_pause([0, 60_000]) == [False, False]


def test_a_call_after_a_pause_much_longer_than_usual_ends_one() -> None:
    assert ends_long_pause([100, 100, 100, 100, 1_000]) == [False, False, False, False, True]


def test_of_calls_that_come_at_random_a_few_in_a_hundred_end_one() -> None:
    random = Random(1)
    found = ends_long_pause([int(random.expovariate(0.01)) for _ in range(10_000)])
    assert 0.02 < sum(found) / len(found) < 0.07


def test_another_pace_becomes_the_usual_one() -> None:
    assert not ends_long_pause([10] * 50 + [1_000] * 100)[-1]


def test_a_clock_that_goes_back_is_no_pause() -> None:
    pace = Pace()
    assert [pace.begins(now_ms) for now_ms in (1_000, 1_100, 500, 600)] == [False] * 4
