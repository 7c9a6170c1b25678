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
failures are back before their successes can be. Such a failure counts once a success had the time it usually takes.

A rate is believed when the lower bound of its Wilson score interval reaches the threshold (E. B. Wilson, "Probable
inference, the law of succession, and statistical inference", JASA 22, 1927), at `CONFIDENCE` standard deviations: a
judgement is made thousands of times a day, each over hundreds of spans.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from flotilla.primitives.circuit_policy import CircuitPolicy

SUB_BUCKET_MS = 5_000
SLOT_MS = 100
CONFIDENCE = 3.0
_RARE_CONFIDENCE = 5.0
"""For what happens to one call in a hundred: there the interval is narrower than chance is."""

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
_LONGEST_SETTLING_MS = 10_000
_UNKNOWN_SETTLING_MS = 5_000
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
        slots, settling_ms = self._slots(), self._settling_ms()
        ripe_slot = (self.now_ms - settling_ms) // SLOT_MS - 1
        # Steady trials as they are; else together with the fresh, of which a failure counts once it is ripe.
        trials = self._worst_span(slots, None) or self._worst_span(slots, ripe_slot)
        reason = _failing(trials.failed, trials.total) if trials else self._by_totals(settling_ms) or self._by_latency()
        if reason is not None:
            return Judgement(reason)
        unripe = self._worst_span(slots, self.now_ms // SLOT_MS)
        return Judgement(again_ms=None if unripe is None else (unripe.oldest_failed_slot + 1) * SLOT_MS + settling_ms)

    def _worst_span(self, slots: Mapping[int, Sequence[int]], newest_fresh: int | None) -> _Trials | None:
        """The shortest span that ends now and surely fails too often.

        Args:
            slots: Trials by time.
            newest_fresh: Up to when failures of fresh environments count; None: nothing counts that they report.
        """
        seen = _Trials()
        for slot in sorted(slots, reverse=True):
            passed, failed, fresh_passed, fresh_failed = slots[slot]
            if newest_fresh is not None:
                passed += fresh_passed
                failed += fresh_failed if slot <= newest_fresh else 0
            seen.add(slot, passed, failed)
            if seen.total >= self.policy.minimum_volume and _surely(seen.failed, seen.total, self.policy.failure_rate):
                return seen
        return None

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

    def _settling_ms(self) -> int:
        """How long after a failure a success that began with it would be back."""
        # By those before it last opened too: right after a recovery there are no others yet.
        typical_ms = latency_quantile(_added(self.buckets), _TYPICAL)
        if typical_ms is None:
            return _UNKNOWN_SETTLING_MS
        return min(int(typical_ms * (1 + LATENCY_ERROR)), _LONGEST_SETTLING_MS)

    def _by_totals(self, settling_ms: int) -> str | None:
        #   window ────────────────────────────────────────────── last report, and what takes long ── now
        #     every call that began in this time is reported                  └ some are not: left out
        ripe_ms = self.now_ms - int(self.policy.report_every_ms * _REPORT_LATENESS) - settling_ms
        oldest_ms = max(self.now_ms - self.policy.window_ms, self.counts_from_ms)
        ripe = _added(
            bucket
            for bucket in self.buckets
            if bucket.start_ms >= oldest_ms and bucket.start_ms + SUB_BUCKET_MS <= ripe_ms
        )
        failed, total = ripe[FAILED], ripe[FAILED] + ripe[OK]
        enough = total >= self.policy.minimum_volume
        return _failing(failed, total) if enough and _surely(failed, total, self.policy.failure_rate) else None

    def _by_latency(self) -> str | None:
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
            if enough and _surely(slow, volume, _SLOW_SHARE, _RARE_CONFIDENCE):
                return f"{slow} of {volume} calls took longer than {limit_ms} ms"
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


def _surely(hits: int, total: int, rate: float, deviations: float = CONFIDENCE) -> bool:
    # The bound is below the rate itself, which is the quicker one to compare.
    return hits >= total * rate and lower_bound(hits, total, deviations) >= rate


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
