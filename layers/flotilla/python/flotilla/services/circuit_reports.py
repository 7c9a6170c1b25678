"""What one environment tells the fleet of its calls, and when. No store and no clock: times are passed in.

Invariant: whether a call is a trial is decided when it begins, so what is reported of trials is an unbiased sample of
all calls, wherever and however often they fail (`circuit_window` says why that matters).

Trials are: the first call after each `report_every_ms`, whoever fails; and after a failure, the calls that follow, up
to the first that succeeds. The latter would let one ill environment speak for all: it has as many as its share of the
fleet's calls is worth, and one at least.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass

from flotilla.primitives.circuit import CallOutcome
from flotilla.primitives.circuit_policy import CircuitPolicy
from flotilla.primitives.circuit_window import FAILED, OK, SLOW, latency_column, trial_column

_SURELY_ALERT = 3
"""Failures in a row after which no hold keeps an environment from following up."""

_SURELY_DOWN = 5
"""Failures in a row with which an environment speaks up for all of them, however fresh it is. By chance they come to
one call in a hundred thousand where one in ten fails, so that what is reported of the others stays a fair sample."""

_FOLLOW_UPS_OF_VOLUME = 1.6
"""What an environment that makes all the fleet's calls may follow up, in minimum volumes: it can open a circuit alone,
one that makes less than about two thirds of the calls can not."""

_FIRST_HOLD_MS = 1_000
_LONGEST_HOLD_MS = 8_000
_IDLE_REPORTS = 2


@dataclass(slots=True, eq=False)
class Call:
    """A call that has begun.

    Attributes:
        started_ms: When.
        trial: It is reported as soon as it ends.
        follow_up: It is a trial because one before it failed.
        fresh: This environment had made none for a while.
    """

    started_ms: int
    trial: bool = False
    follow_up: bool = False
    fresh: bool = False


class CallReports:
    """Gathers what calls came to, and says when to send it.

    Args:
        policy: The circuit's settings.
        spread: Random number over [0, 1) of this environment: reports of a fleet are not to come all at once.
    """

    def __init__(self, policy: CircuitPolicy, spread: float) -> None:
        self._policy = policy
        self._every_ms = int(policy.report_every_ms * (0.75 + spread / 2))
        self._columns: Counter[str] = Counter()
        self._gathered_from_ms = 0
        self._next_ms = 0
        self._active_from_ms = 0
        self._active_ms: int | None = None
        self._reported: deque[tuple[int, int]] = deque()
        self._on_alert = False
        self._held_until_ms = 0
        self._hold_ms = _FIRST_HOLD_MS
        self._following: list[Call] = []
        self._followed_ms: deque[int] = deque()
        self._follow_ups = 1
        self._under_way: list[Call] = []
        self._spoke_up = False

    def begin(self, now_ms: int) -> Call:
        """A call begins."""
        if self._active_ms is None or now_ms - self._active_ms > _IDLE_REPORTS * self._policy.report_every_ms:
            self._active_from_ms, self._spoke_up = now_ms, False
        self._active_ms = now_ms
        call = Call(now_ms, fresh=now_ms - self._active_from_ms < self._policy.report_every_ms)
        if now_ms >= self._next_ms:
            self._next_ms = now_ms + self._every_ms
            call.trial = True
        elif self._on_alert and self._may_follow_up(now_ms):
            call.trial = call.follow_up = True
            self._following.append(call)
        if call.fresh:
            self._under_way.append(call)
        return call

    def end(self, call: Call, outcome: CallOutcome, duration_ms: int, now_ms: int, streak: int) -> bool:
        """A call has ended.

        Args:
            call: As it began.
            outcome: What it says about the other side.
            duration_ms: How long it took.
            now_ms: Now.
            streak: Failures in a row in this environment, this one included.

        Returns:
            Whether to report at once.
        """
        self._active_ms = now_ms
        for calls in (self._following, self._under_way):
            if call in calls:
                calls.remove(call)
        if outcome is CallOutcome.UNKNOWN:
            if call.trial and not call.follow_up:
                self._next_ms = now_ms  # the next call is the trial instead
            return False
        failed = outcome is CallOutcome.FAILED
        weight = 1
        if failed and call.fresh and streak >= _SURELY_DOWN and not self._awaited_longer_than(call):
            call.fresh = False
            if not self._spoke_up:
                self._spoke_up = call.trial = True
                weight = _SURELY_DOWN
        self._gather(failed, duration_ms, now_ms)
        if call.trial:
            self._columns[trial_column(now_ms, fresh=call.fresh, passed=not failed)] += weight
        if failed:
            self._alert(call, now_ms, streak)
        elif call.follow_up:
            self._calm(now_ms)
        return call.trial

    def take(self, now_ms: int) -> dict[str, int]:
        """What is to be sent. It is sent once: what is lost on the way is not counted, rather than counted twice."""
        columns, self._columns = dict(self._columns), Counter()
        self._reported.append((now_ms, columns.get(OK, 0) + columns.get(FAILED, 0)))
        return columns

    def overdue(self, now_ms: int) -> bool:
        """Whether something waits that should have been sent."""
        return bool(self._columns) and now_ms - self._gathered_from_ms >= self._policy.report_every_ms

    @property
    def waiting(self) -> bool:
        """Whether anything waits."""
        return bool(self._columns)

    def learn_volume(self, volume: int, now_ms: int) -> None:
        """What the whole fleet reported within the window: tells this environment's share."""
        while self._reported and now_ms - self._reported[0][0] > self._policy.window_ms:
            self._reported.popleft()
        own = sum(count for _, count in self._reported)
        share = min(1.0, own / volume) if volume else 1.0
        self._follow_ups = max(1, int(_FOLLOW_UPS_OF_VOLUME * self._policy.minimum_volume * share + 0.5))

    def _gather(self, failed: bool, duration_ms: int, now_ms: int) -> None:
        if not self._columns:
            self._gathered_from_ms = now_ms
        self._columns[FAILED if failed else OK] += 1
        if not failed:
            self._columns[latency_column(duration_ms)] += 1
        if self._policy.latency_p99_ms is not None and duration_ms > self._policy.latency_p99_ms:
            self._columns[SLOW] += 1

    def _awaited_longer_than(self, call: Call) -> bool:
        """Whether one that began earlier is still under way: it may well succeed, for failures come back sooner."""
        since_ms = call.started_ms - self._policy.probe_lease_ms  # of those before, nothing will be heard
        return any(since_ms < other.started_ms <= call.started_ms for other in self._under_way)

    def _may_follow_up(self, now_ms: int) -> bool:
        # A call of which nothing was ever heard again must not stand in the way for ever.
        self._following = [call for call in self._following if now_ms - call.started_ms < self._policy.probe_lease_ms]
        while self._followed_ms and now_ms - self._followed_ms[0] > self._policy.window_ms:
            self._followed_ms.popleft()
        return len(self._following) + len(self._followed_ms) < self._follow_ups

    def _alert(self, call: Call, now_ms: int, streak: int) -> None:
        if call.follow_up:
            self._followed_ms.append(now_ms)
            self._hold_ms = _FIRST_HOLD_MS
        if now_ms >= self._held_until_ms or streak >= _SURELY_ALERT:
            self._on_alert = True

    def _calm(self, now_ms: int) -> None:
        # Where calls fail now and then, following up each time would cost a write each time and tell nothing new.
        self._on_alert = False
        if now_ms - self._held_until_ms > self._policy.window_ms:
            self._hold_ms = _FIRST_HOLD_MS
        self._held_until_ms = now_ms + self._hold_ms
        self._hold_ms = min(2 * self._hold_ms, _LONGEST_HOLD_MS)
