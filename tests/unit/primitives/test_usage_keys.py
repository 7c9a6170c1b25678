"""Keys by the hour: what is listed after one is of that hour and later, and of no earlier one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flotilla.primitives.usage_hour import HOUR_MS, hour_of
from flotilla.primitives.usage_keys import ARCHIVE, USAGE, after_hour, hour_in, usage_key

TIMES = st.integers(0, 4_000_000_000_000)


@given(TIMES, TIMES)
def test_keys_are_in_the_order_of_hours(one: int, other: int) -> None:
    first, last = sorted((hour_of(one), hour_of(other)))
    assert (usage_key(first) < usage_key(last)) == (first < last)
    assert after_hour(last, USAGE) < usage_key(last)
    assert first == last or usage_key(first) < after_hour(last, USAGE)


@given(TIMES)
def test_a_key_says_its_hour(at_ms: int) -> None:
    assert hour_in(usage_key(hour_of(at_ms))) == hour_of(at_ms)
    assert hour_in(f"{after_hour(at_ms, ARCHIVE)}/abc.jsonl.gz") == hour_of(at_ms)
    assert hour_of(at_ms) <= at_ms < hour_of(at_ms) + HOUR_MS


@pytest.mark.parametrize("key", ["usage/whole.json", "archive/2026/11/22/0", "other/2026/11/22/09/a", ""])
def test_a_key_of_no_hour_is_told(key: str) -> None:
    assert hour_in(key) is None
