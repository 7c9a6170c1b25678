"""The window: sums that do not depend on who wrote where, and a judgement that neither chance nor lateness makes."""

from __future__ import annotations

import math
from collections import Counter
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flotilla.primitives.circuit_policy import CircuitPolicy
from flotilla.primitives.circuit_window import (
    LATENCY_ERROR,
    SLOT_MS,
    SUB_BUCKET_MS,
    SubBucket,
    Window,
    latency_column,
    latency_quantile,
    lower_bound,
    sub_bucket_of,
    trial_column,
)

NOW = 1_700_000_040_000  # the start of a sub-bucket
POLICY = CircuitPolicy(latency_p99_ms=1000)


class Reports:
    """Counts as the store would have them."""

    def __init__(self) -> None:
        self.counts: dict[tuple[int, int], Counter[str]] = {}

    def add(self, at_ms: int, shard: int = 0, **columns: int) -> None:
        self.counts.setdefault((sub_bucket_of(at_ms), shard), Counter()).update(columns)

    def trials(self, at_ms: int, *, passed: int = 0, failed: int = 0, fresh: bool = False, shard: int = 0) -> None:
        for fine, count in ((True, passed), (False, failed)):
            if count:
                self.add(at_ms, shard, **{trial_column(at_ms, fresh=fresh, passed=fine): count})
        self.add(at_ms, shard, ok=passed, failed=failed)

    def window(self, now_ms: int = NOW, policy: CircuitPolicy = POLICY, counts_from_ms: int = 0) -> Window:
        buckets = [SubBucket(start, shard, dict(columns)) for (start, shard), columns in self.counts.items()]
        return Window(buckets, now_ms, policy, counts_from_ms)

    def reason(self, now_ms: int = NOW, **options: Any) -> str | None:
        return self.window(now_ms, **options).judge().reason


def test_an_empty_window_says_nothing() -> None:
    window = Reports().window()
    assert (window.volume, window.failure_rate, window.p99_ms) == (0, 0.0, None)
    assert window.judge().reason is None


@given(st.lists(st.tuples(st.integers(0, 59_999), st.integers(0, 9), st.booleans()), max_size=200))
def test_it_does_not_matter_which_shard_was_written_to(calls: list[tuple[int, int, bool]]) -> None:
    spread, single = Reports(), Reports()
    for ago, shard, fine in calls:
        spread.trials(NOW - ago, passed=fine, failed=not fine, shard=shard)
        single.trials(NOW - ago, passed=fine, failed=not fine)
    one, other = spread.window(), single.window()
    assert (one.volume, one.failure_rate, one.judge()) == (other.volume, other.failure_rate, other.judge())


def test_what_is_older_than_the_window_or_than_the_recovery_does_not_count() -> None:
    reports = Reports()
    reports.trials(NOW - 70_000, failed=100)
    reports.trials(NOW - 20_000, failed=100)
    assert reports.window().volume == 100
    assert reports.reason() == "100 of 100 calls failed"
    assert reports.reason(counts_from_ms=NOW - 19_000) is None


@given(st.integers(0, 3000), st.integers(0, 3000))
def test_the_lower_bound_is_below_the_rate_and_comes_closer_with_more_calls(hits: int, others: int) -> None:
    total = hits + others
    bound = lower_bound(hits, total)
    assert 0.0 <= bound <= (hits / total if total else 0.0)
    assert bound <= lower_bound(10 * hits, 10 * total) + 1e-9


def test_the_lower_bound_is_wilsons() -> None:
    """By hand: z = 3, 8 of 10: (0.8 + 0.45 - 3 * sqrt(0.016 + 0.0225)) / 1.9."""
    assert lower_bound(8, 10) == pytest.approx((0.8 + 0.45 - 3 * math.sqrt(0.016 + 0.0225)) / 1.9)


@given(st.integers(1, 400), st.data())
def test_below_the_minimum_volume_nothing_opens(minimum: int, data: st.DataObject) -> None:
    policy = CircuitPolicy(minimum_volume=minimum, latency_p99_ms=100, latency_minimum_volume=minimum)
    reports, left = Reports(), data.draw(st.integers(0, minimum - 1))
    while left > 0:
        count = data.draw(st.integers(1, left))
        ago = data.draw(st.integers(0, 59_000))
        reports.trials(NOW - ago, failed=count, fresh=data.draw(st.booleans()))
        reports.add(NOW - ago, slow=count)
        left -= count
    assert reports.reason(policy=policy) is None


def test_an_outage_shows_at_once_however_well_the_minute_before_was() -> None:
    reports = Reports()
    for ago in range(1_000, 60_000, 1_000):
        reports.trials(NOW - ago, passed=50)
    reports.trials(NOW - 50, failed=9)
    assert reports.reason() is None
    reports.trials(NOW - 10, failed=1)
    assert reports.reason() == "10 of 10 calls failed"


def test_failures_that_were_reported_because_they_failed_open_nothing() -> None:
    """An environment that fails reports at once; those that do not are silent for seconds."""
    reports = Reports()
    reports.add(NOW - 10, failed=500)
    assert reports.reason() is None
    assert reports.reason(NOW + 3_000) is None


def test_totals_count_once_every_report_of_their_time_is_in() -> None:
    reports = Reports()
    for ago in range(20_000, 60_000, 5_000):
        reports.add(NOW - ago, failed=60, ok=40, h20=40)
    reports.add(NOW - 2_000, failed=5_000)
    assert reports.reason() == "480 of 800 calls failed"


def test_where_successes_take_long_quick_failures_of_a_burst_wait_for_them() -> None:
    reports = Reports()
    reports.add(NOW - 30_000, ok=100, **{latency_column(3_000): 100})
    burst_ms = NOW + 50
    reports.trials(burst_ms, failed=100, fresh=True)
    judgement = reports.window(burst_ms + 500).judge()
    assert judgement.reason is None
    assert judgement.again_ms is not None
    usual_ms = judgement.again_ms - burst_ms
    assert 3_000 <= usual_ms <= SLOT_MS + 3_000 * (1 + LATENCY_ERROR) ** 2
    assert reports.reason(judgement.again_ms) == "100 of 100 calls failed"
    reports.trials(burst_ms + 3_000, passed=900, fresh=True)
    assert reports.reason(judgement.again_ms) is None


def test_where_no_success_is_known_quick_failures_of_a_burst_wait_as_well() -> None:
    reports = Reports()
    reports.trials(NOW, failed=100, fresh=True)
    assert reports.reason(NOW + 4_000) is None
    assert reports.reason(NOW + 6_000) == "100 of 100 calls failed"


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([1, 5, 50]))
def test_one_in_ten_failing_never_opens_it(seed: int, per_slot: int) -> None:
    random, reports = Random(seed), Reports()
    for slot in range(600):
        failed = sum(random.random() < 0.1 for _ in range(per_slot))
        reports.trials(NOW - 60_000 + slot * SLOT_MS, passed=per_slot - failed, failed=failed)
        if slot % 25 == 0:
            assert reports.reason(NOW - 60_000 + (slot + 1) * SLOT_MS) is None


def test_after_a_recovery_failures_ripen_as_soon_as_those_before_it_would_have() -> None:
    reports = Reports()
    reports.add(NOW - 30_000, ok=100, **{latency_column(20): 100})
    closed_ms = NOW - 3_000
    reports.trials(NOW, failed=20, fresh=True)
    assert reports.reason(NOW + 50, counts_from_ms=closed_ms) is None
    assert reports.reason(NOW + 400, counts_from_ms=closed_ms) is not None


def slow(reports: Reports, from_ms: int, until_ms: int, count: int) -> None:
    for at_ms in range(from_ms, until_ms, SUB_BUCKET_MS):
        reports.add(at_ms, slow=count)


def test_more_than_one_slow_call_in_a_hundred_opens_it_without_a_single_error() -> None:
    reports = Reports()
    for at_ms in range(NOW - 60_000, NOW, SUB_BUCKET_MS):
        reports.add(at_ms, ok=200)
    slow(reports, NOW - 60_000, NOW, 2)
    assert reports.reason() is None, "p99 is just what it may be"
    slow(reports, NOW - 15_000, NOW, 10)
    assert reports.reason() == "36 of 600 calls took longer than 1000 ms"
    assert reports.reason(policy=CircuitPolicy()) is None, "nobody asked for it"


def test_a_single_pause_of_the_other_side_is_no_regression() -> None:
    reports = Reports()
    for at_ms in range(NOW - 60_000, NOW, SUB_BUCKET_MS):
        reports.add(at_ms, ok=200)
    slow(reports, NOW - 10_000, NOW, 60)
    assert reports.reason() is None


@given(st.lists(st.floats(0.01, 60_000), min_size=1, max_size=300), st.sampled_from([0.5, 0.9, 0.99, 1.0]))
def test_a_latency_is_told_within_the_error_that_is_declared(latencies: list[float], quantile: float) -> None:
    columns = Counter(latency_column(latency) for latency in latencies)
    exact = sorted(latencies)[math.ceil(len(latencies) * quantile) - 1]
    told = latency_quantile(columns, quantile)
    assert told is not None
    exact = max(exact, 1.0)
    assert exact / (1 + LATENCY_ERROR) * 0.999 <= told <= exact * (1 + LATENCY_ERROR) * 1.001


def test_beyond_a_minute_a_latency_is_told_as_a_minute() -> None:
    told = latency_quantile({latency_column(10**9): 1}, 0.99)
    assert told is not None
    assert 60_000 < told * (1 + LATENCY_ERROR) < 90_000


def test_columns_of_a_later_version_are_passed_over() -> None:
    reports = Reports()
    reports.trials(NOW - 10, failed=10)
    reports.add(NOW - 10, zebra=5, p=1, fx=3, p99=0)
    assert reports.reason() == "10 of 10 calls failed"


def test_what_a_shard_holds_says_whether_to_look_at_all() -> None:
    def suspicious(**columns: int) -> bool:
        return SubBucket(NOW, 0, columns).suspicious(POLICY)

    assert not suspicious(ok=100)
    assert not suspicious(ok=90, failed=10)
    assert not suspicious(ok=1, failed=1)
    assert not suspicious(ok=1000, slow=9)
    assert suspicious(ok=70, failed=30)
    assert suspicious(ok=100, slow=2)
    assert not SubBucket(NOW, 0, {"ok": 100, "slow": 2}).suspicious(CircuitPolicy())
