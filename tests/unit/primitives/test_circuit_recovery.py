"""The way back from an outage: how often may be called, and when what was refused comes again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flotilla.primitives.circuit import CircuitMode, CircuitRecord, CircuitState
from flotilla.primitives.circuit_policy import CircuitPolicy
from flotilla.primitives.circuit_recovery import eased, spread_ms, usual_per_minute
from flotilla.primitives.circuit_window import SubBucket

POLICY = CircuitPolicy()
WELL_MS = 10_000_000
MINUTE_MS = 60_000
OVER = CircuitRecord(usual_per_minute=600, outage_ms=5 * MINUTE_MS, recovered_at_ms=WELL_MS)


def rate(record: CircuitRecord, after_ms: int) -> int | None:
    limit = eased(record, WELL_MS + after_ms)
    return None if limit is None else limit.rate_per_minute


def test_a_circuit_that_never_opened_or_that_nobody_knows_the_usual_rate_of_is_not_eased() -> None:
    assert eased(CircuitRecord(), WELL_MS) is None
    assert eased(replace(OVER, usual_per_minute=0), WELL_MS) is None
    assert spread_ms(replace(OVER, usual_per_minute=0), WELL_MS, 0.9) == 0


@pytest.mark.parametrize("mode", [CircuitMode.OPEN, CircuitMode.CLOSED])
def test_an_operators_word_is_final(mode: CircuitMode) -> None:
    assert eased(replace(OVER, mode=mode), WELL_MS) is None
    assert spread_ms(replace(OVER, mode=mode), WELL_MS, 0.9) == 0


def test_a_third_more_than_usual_at_first_then_twice_as_many_each_minute_and_then_no_bound() -> None:
    ease_ms = 15 * MINUTE_MS  # it would take five outages
    assert rate(OVER, 0) == rate(OVER, ease_ms - 1) == 780
    assert rate(OVER, ease_ms) == 1560
    assert rate(OVER, ease_ms + MINUTE_MS) == 3120
    assert rate(OVER, ease_ms + 4 * MINUTE_MS) is None
    short = replace(OVER, outage_ms=30_000)
    assert rate(short, 139_000) == 780
    assert rate(short, 140_000) == 1560
    few = replace(OVER, usual_per_minute=6)
    assert rate(few, 40_000) == 60
    assert rate(few, 50_000) == 120, "thirty tasks do not take longer"


def test_what_is_seldom_called_is_not_spared_more_than_a_call_a_second() -> None:
    assert rate(replace(OVER, usual_per_minute=3), 0) == 60
    limit = eased(replace(OVER, usual_per_minute=3), WELL_MS)
    assert limit is not None
    assert limit.burst == 1


def test_what_was_refused_comes_back_within_a_third_of_the_time_that_all_of_it_takes() -> None:
    # 3,000 came in five minutes; beside what comes, 180 a minute can be done: a good 16 minutes.
    whole_ms = 3000 * MINUTE_MS // 180
    assert spread_ms(OVER, WELL_MS, 1.0) == whole_ms // 3
    assert spread_ms(OVER, WELL_MS, 0.5) == whole_ms // 3 // 2
    assert spread_ms(OVER, WELL_MS + 6 * MINUTE_MS, 1.0) == (whole_ms - 6 * MINUTE_MS) // 3
    assert spread_ms(OVER, WELL_MS + 60 * MINUTE_MS, 1.0) == whole_ms // 9


def test_while_it_is_open_the_outage_so_far_counts_and_no_wait_is_longer_than_a_quarter_of_an_hour() -> None:
    open_ = CircuitRecord(state=CircuitState.OPEN, opened_at_ms=WELL_MS, usual_per_minute=600)
    assert spread_ms(open_, WELL_MS, 1.0) == 0
    assert spread_ms(open_, WELL_MS + MINUTE_MS, 1.0) == 600 * MINUTE_MS // 180 // 3
    assert spread_ms(open_, WELL_MS + 600 * MINUTE_MS, 1.0) == 15 * MINUTE_MS
    few = replace(open_, usual_per_minute=6)
    assert spread_ms(few, WELL_MS + 10 * MINUTE_MS, 1.0) == 60 * MINUTE_MS // 54 // 3, (
        "60 tasks are done in a minute or so"
    )


def buckets(*volumes: int, first_ms: int = 0) -> list[SubBucket]:
    return [
        SubBucket(first_ms + 5000 * number, 0, {"ok": volume - 1, "failed": 1, "h3": volume - 1})
        for number, volume in enumerate(volumes)
    ]


def test_the_usual_rate_is_that_of_spans_whose_reports_are_in() -> None:
    assert usual_per_minute(buckets(50, 50, 50, 7), 20_000, POLICY) == 600
    assert usual_per_minute(buckets(50), 5_000, POLICY) == 0
    assert usual_per_minute([], 20_000, POLICY) == 0


def test_what_lies_before_the_window_or_the_last_recovery_is_not_usual() -> None:
    found = [*buckets(500, 500), *buckets(50, 50, 50, first_ms=60_000)]
    assert usual_per_minute(found, 80_000, POLICY) == 600
    assert usual_per_minute(buckets(500, 50, 50), 20_000, POLICY, counts_from_ms=5_000) == 600
