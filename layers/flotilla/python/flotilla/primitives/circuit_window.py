"""What a fleet's calls came to within a rolling window, and when that is surely too bad.

Counts are named columns of sub-buckets of `SUB_BUCKET_MS`, written by addition only, so any number of environments
may write at once and any split over shards adds up to the same.

The difficulty is that reports lie. A failure is worth reporting at once and a success is not, so what has just been
reported fails far more often than what has just happened. Hence two kinds of counts:

- *totals* (`ok`, `failed`, `slow`, the latencies of what succeeded) are complete, but some seconds late. They are
  judged only where every report of their time has come in.
- *trials* are calls of which it was decided before they ended that they are reported at once, whatever they come to.
  They are few, and an unbiased sample however young. They are kept to a tenth of a second and judged over every span
  that ends now, so that an outage shows at once and is not diluted by the minute before it.

Trials of environments that made no call for a while are kept apart (*fresh*): where a burst wakes many at once, their
failures are back before their successes can be. They are judged once successes had the time they usually take.

A rate is believed when the lower bound of its Wilson score interval reaches the threshold (E. B. Wilson, "Probable
inference, the law of succession, and statistical inference", JASA 22, 1927), at `CONFIDENCE` standard deviations: a
judgement is made thousands of times a day, each over hundreds of spans.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from flotilla.primitives.circuit_policy import CircuitPolicy

SUB_BUCKET_MS = 5_000
SLOT_MS = 100
CONFIDENCE = 3.0

OK = "ok"
FAILED = "failed"
SLOW = "slow"
_LATENCY = "h"
# steady passed, steady failed, fresh passed, fresh failed
_TRIALS = {(False, True): "p", (False, False): "f", (True, True): "q", (True, False): "g"}
_PLACES = {column: place for place, column in enumerate(_TRIALS.values())}

LATENCY_GROWTH = 1.3
LATENCY_ERROR = math.sqrt(LATENCY_GROWTH) - 1
"""How far a latency told from the histogram is off at most, as a part of it: 14 %. From 1 ms to a minute."""
_LATENCY_COLUMNS = 43

_SLOW_SHARE = 0.01  # what p99 means
_SLOW_SPANS = 3
_TYPICAL = 0.9
_LONGEST_SETTLING_MS = 5_000
_UNKNOWN_SETTLING_MS = 2_000
_REPORT_LATENESS = 1.5


def sub_bucket_of(now_ms: int) -> int:
    """The start of the sub-bucket that `now_ms` lies in."""
    return now_ms - now_ms % SUB_BUCKET_MS


def latency_column(latency_ms: float) -> str:
    """The histogram column of a latency: logarithmic, each `LATENCY_GROWTH` times as wide as the last."""
    if latency_ms <= 1:
        return f"{_LATENCY}0"
    return f"{_LATENCY}{min(_LATENCY_COLUMNS, math.ceil(math.log(latency_ms, LATENCY_GROWTH)))}"


def trial_column(now_ms: int, *, fresh: bool, passed: bool) -> str:
    """The column of a trial that is reported now."""
    return f"{_TRIALS[fresh, passed]}{now_ms % SUB_BUCKET_MS // SLOT_MS}"


@dataclass(frozen=True, slots=True)
class SubBucket:
    """One shard's counts of one span of time. Columns of names it does not know are a later version's."""

    start_ms: int
    shard: int
    columns: Mapping[str, int]

    def suspicious(self, policy: CircuitPolicy) -> bool:
        """Whether it is worth reading the whole window, going by this part of it alone."""
        failed, slow = self.columns.get(FAILED, 0), self.columns.get(SLOW, 0)
        volume = failed + self.columns.get(OK, 0)
        if policy.latency_p99_ms is not None and slow > volume * _SLOW_SHARE:
            return True
        return failed > 1 and failed >= volume * policy.failure_rate / 2


@dataclass(frozen=True, slots=True)
class Judgement:
    """Whether a circuit should open.

    Attributes:
        reason: Why; None where it should not (yet).
        again_ms: When what is there will have become evidence; None where only further calls can tell.
    """

    reason: str | None = None
    again_ms: int | None = None


@dataclass(slots=True)
class _Trials:
    failed: int = 0
    total: int = 0
    oldest_failed_slot: int = 0

    def add(self, slot: int, passed: int, failed: int) -> None:
        self.total += passed + failed
        self.failed += failed
        if failed:
            self.oldest_failed_slot = slot

    def damning(self, policy: CircuitPolicy) -> bool:
        enough = self.total >= policy.minimum_volume
        return enough and lower_bound(self.failed, self.total) >= policy.failure_rate


@dataclass(slots=True)
class Window:
    """The counts of the last `policy.window_ms`, of all shards, without those before `counts_from_ms`."""

    buckets: list[SubBucket]
    now_ms: int
    policy: CircuitPolicy
    counts_from_ms: int = 0
    totals: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        """Add up what counts."""
        # What began before the window, or before the circuit closed, is left out as a whole.
        oldest_ms = max(self.now_ms - self.policy.window_ms, self.counts_from_ms)
        self.totals = _added(bucket for bucket in self.buckets if bucket.start_ms >= oldest_ms)

    @property
    def volume(self) -> int:
        """Calls that ended."""
        return self.totals[OK] + self.totals[FAILED]

    @property
    def failure_rate(self) -> float:
        """The share of them that failed; 0 where there were none."""
        return self.totals[FAILED] / self.volume if self.volume else 0.0

    @property
    def p99_ms(self) -> float | None:
        """The 99th percentile of the latency of calls that succeeded, within `LATENCY_ERROR`; None without any."""
        return latency_quantile(self.totals, 0.99)

    def judge(self) -> Judgement:
        """Whether the circuit should open."""
        steady, both = self._worst_spans()
        ripe_ms = None if both is None else self._settled_ms(both)
        if steady is None and ripe_ms is not None and self.now_ms >= ripe_ms:
            steady = both
        if steady is not None:
            return Judgement(_failing(steady.failed, steady.total))
        return self._by_totals() or self._by_latency() or Judgement(again_ms=ripe_ms)

    def _worst_spans(self) -> tuple[_Trials | None, _Trials | None]:
        """The shortest span that ends now and surely fails too often: of steady trials, and of all."""
        slots = self._slots()
        steady, both = _Trials(), _Trials()
        worst: _Trials | None = None
        if sum(failed + fresh_failed for _, failed, _, fresh_failed in slots.values()) < self._fewest_failures:
            return None, None
        for slot in sorted(slots, reverse=True):
            passed, failed, fresh_passed, fresh_failed = slots[slot]
            steady.add(slot, passed, failed)
            if steady.damning(self.policy):
                return steady, worst
            if worst is None:
                both.add(slot, passed + fresh_passed, failed + fresh_failed)
                worst = both if both.damning(self.policy) else None
        return None, worst

    @property
    def _fewest_failures(self) -> float:
        return self.policy.minimum_volume * self.policy.failure_rate

    def _slots(self) -> dict[int, list[int]]:
        """By time in slots: how many trials came to what, in the order of `_TRIALS`."""
        oldest_ms = max(self.now_ms - self.policy.window_ms, self.counts_from_ms)
        found: dict[int, list[int]] = {}
        for bucket in self.buckets:
            first = bucket.start_ms // SLOT_MS
            for column, count in bucket.columns.items():
                place = _PLACES.get(column[0])
                if place is None or not column[1:].isdecimal():
                    continue
                slot = first + int(column[1:])
                if slot * SLOT_MS >= oldest_ms:
                    found.setdefault(slot, [0, 0, 0, 0])[place] += count
        return found

    def _settled_ms(self, trials: _Trials) -> int:
        """When a success that began with the first of these failures would have come back."""
        typical_ms = latency_quantile(self.totals, _TYPICAL)
        settling_ms = _UNKNOWN_SETTLING_MS if typical_ms is None else min(int(typical_ms), _LONGEST_SETTLING_MS)
        return (trials.oldest_failed_slot + 1) * SLOT_MS + settling_ms

    def _by_totals(self) -> Judgement | None:
        #   window ─────────────────────────────── last report ── now
        #     every call of this time is reported      └ some are not: left out
        ripe_ms = self.now_ms - int(self.policy.report_every_ms * _REPORT_LATENESS)
        oldest_ms = max(self.now_ms - self.policy.window_ms, self.counts_from_ms)
        ripe = _added(
            bucket
            for bucket in self.buckets
            if bucket.start_ms >= oldest_ms and bucket.start_ms + SUB_BUCKET_MS <= ripe_ms
        )
        failed, total = ripe[FAILED], ripe[FAILED] + ripe[OK]
        if total >= self.policy.minimum_volume and lower_bound(failed, total) >= self.policy.failure_rate:
            return Judgement(_failing(failed, total))
        return None

    def _by_latency(self) -> Judgement | None:
        limit_ms = self.policy.latency_p99_ms
        if limit_ms is None or self.totals[SLOW] == 0:
            return None
        # Over every span that ends now, so that a minute of health before does not hide what has begun. A single pause
        # of the other side is no regression: it must be slow again and again.
        slow = volume = slow_spans = 0
        for span in self._spans():
            span_volume = span[OK] + span[FAILED]
            slow, volume = slow + span[SLOW], volume + span_volume
            slow_spans += span[SLOW] > span_volume * _SLOW_SHARE
            enough = volume >= self.policy.latency_minimum_volume and slow_spans >= _SLOW_SPANS
            if enough and lower_bound(slow, volume) > _SLOW_SHARE:
                return Judgement(f"{slow} of {volume} calls took longer than {limit_ms} ms")
        return None

    def _spans(self) -> list[Counter[str]]:
        """The counts of each span of time, the newest first."""
        oldest_ms = max(self.now_ms - self.policy.window_ms, self.counts_from_ms)
        spans: dict[int, Counter[str]] = {}
        for bucket in self.buckets:
            if bucket.start_ms >= oldest_ms:
                spans.setdefault(bucket.start_ms, Counter()).update(bucket.columns)
        return [spans[start_ms] for start_ms in sorted(spans, reverse=True)]


def lower_bound(hits: int, total: int, deviations: float = CONFIDENCE) -> float:
    """The lower bound of the Wilson score interval of the rate `hits / total`; 0 where there is nothing to go by."""
    if total <= 0:
        return 0.0
    rate, square = hits / total, deviations * deviations
    spread = deviations * math.sqrt(rate * (1 - rate) / total + square / (4 * total * total))
    return max(0.0, (rate + square / (2 * total) - spread) / (1 + square / total))


def latency_quantile(columns: Mapping[str, int], quantile: float) -> float | None:
    """The latency that the share `quantile` of the counted calls did not exceed, within `LATENCY_ERROR`.

    Below a millisecond and beyond a minute it is told as that. None where no latency was counted.
    """
    counts = [columns.get(f"{_LATENCY}{number}", 0) for number in range(_LATENCY_COLUMNS + 1)]
    wanted = math.ceil(sum(counts) * quantile)
    if wanted == 0:
        return None
    seen = 0
    for number, count in enumerate(counts):
        seen += count
        if seen >= wanted:
            # The geometric middle of (growth^(n-1), growth^n] is off by the root of the growth either way at most.
            return LATENCY_GROWTH ** (number - 0.5) if number else 1.0
    return None


def _failing(failed: int, total: int) -> str:
    return f"{failed} of {total} calls failed"


def _added(buckets: Iterable[SubBucket]) -> Counter[str]:
    totals: Counter[str] = Counter()
    for bucket in buckets:
        totals.update(bucket.columns)
    return totals
