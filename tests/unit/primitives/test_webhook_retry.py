"""One attempt in each window of the schedule, at a random moment of it, over more than a day."""

from __future__ import annotations

from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flotilla.primitives.webhook_retry import (
    LONGEST_HOLD_SECONDS,
    LONGEST_WAIT_SECONDS,
    WINDOW_ENDS_SECONDS,
    hold_seconds,
    next_wait_seconds,
    retry_after_seconds,
)

DAY = 86_400
FRACTION = st.floats(min_value=0, max_value=1, exclude_max=True)


def ages(fractions: list[float], *, duration: float = 0.2) -> list[float]:
    """The message's age at each attempt, where each takes `duration` seconds and fails."""
    made = [duration]
    for fraction in fractions:
        wait = next_wait_seconds(made[-1], fraction=fraction)
        if wait is None:
            break
        made.append(made[-1] + wait + duration)
    return made


@given(st.lists(FRACTION, min_size=20, max_size=20), st.floats(min_value=0.01, max_value=10))
def test_an_endpoint_that_is_down_for_a_day_is_asked_about_a_dozen_times(
    fractions: list[float], duration: float
) -> None:
    made = ages(fractions, duration=duration)
    assert 9 <= len(made) <= 13
    assert DAY <= made[-1] <= WINDOW_ENDS_SECONDS[-1] + duration
    assert made == sorted(made)


def test_the_schedule_is_what_the_documents_say() -> None:
    minutes = [round(age / 60, 2) for age in ages([0.5] * 20, duration=0.0)]
    assert minutes == [0, 0.29, 1.25, 6, 20, 45, 120, 270, 540, 900, 1260, 1620]


@given(st.floats(min_value=0, max_value=200_000), FRACTION)
def test_a_wait_is_never_negative_and_never_longer_than_a_queue_can_hide(age: float, fraction: float) -> None:
    wait = next_wait_seconds(age, fraction=fraction)
    assert wait is None or 0 <= wait <= LONGEST_WAIT_SECONDS
    assert (wait is None) == (age > WINDOW_ENDS_SECONDS[-2])


def test_jitter_spreads_over_the_whole_window() -> None:
    assert next_wait_seconds(100, fraction=0.0) == pytest.approx(20)
    assert next_wait_seconds(100, fraction=0.999_999) == pytest.approx(500, abs=0.1)


def test_a_clock_that_went_back_does_no_harm() -> None:
    assert next_wait_seconds(-5, fraction=0.5) == next_wait_seconds(0, fraction=0.5)


def test_what_the_endpoint_asks_for_wins_within_what_a_queue_can_hide() -> None:
    assert next_wait_seconds(1, fraction=0.0, at_least_seconds=90) == 90
    assert next_wait_seconds(7000, fraction=0.9, at_least_seconds=90) == next_wait_seconds(7000, fraction=0.9)
    assert next_wait_seconds(1, fraction=0.0, at_least_seconds=10**9) == LONGEST_WAIT_SECONDS
    assert next_wait_seconds(90_000, fraction=0.0, at_least_seconds=90) is None


@given(st.floats(min_value=0, max_value=4000), FRACTION)
def test_a_hold_ends_after_the_breakers_and_not_at_once_for_all(left: float, fraction: float) -> None:
    assert left <= hold_seconds(left, fraction=fraction) <= left + 300
    assert hold_seconds(left, fraction=0.9) - hold_seconds(left, fraction=0.1) >= 3.9


def test_a_message_outlives_the_schedule_while_its_endpoint_is_held() -> None:
    assert WINDOW_ENDS_SECONDS[-1] < LONGEST_HOLD_SECONDS
    assert LONGEST_HOLD_SECONDS + LONGEST_WAIT_SECONDS < 14 * DAY, "and ends before the queue forgets it"


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("120", 120.0),
        (" 7 ", 7.0),
        ("0", 0.0),
        ("-5", None),
        ("1.5", None),
        ("١٢", None),
        ("9999999999", None),
        ("soon", None),
        (formatdate(1_700_000_060, usegmt=True), 60.0),
        (formatdate(1_600_000_000, usegmt=True), 0.0),
        ("Fri, 99 Foo 2023 99:99:99 GMT", None),
    ],
)
def test_a_header_is_read_in_both_its_forms(header: str | None, seconds: float | None) -> None:
    assert retry_after_seconds(header, 1_700_000_000_000) == seconds


@given(st.text(max_size=40))
def test_any_header_is_read(header: str) -> None:
    seconds = retry_after_seconds(header, 1_700_000_000_000)
    assert seconds is None or seconds >= 0
