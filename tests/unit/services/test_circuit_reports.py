"""What one environment reports: a fair sample, at once where it matters, and not in the name of all."""

from __future__ import annotations

from flotilla.primitives.circuit import CallOutcome
from flotilla.primitives.circuit_policy import CircuitPolicy
from flotilla.services.circuit_reports import Call, CallReports

NOW = 1_700_000_000_000
POLICY = CircuitPolicy(latency_p99_ms=1_000)
EVERY = int(POLICY.report_every_ms * 1.25)
OK, FAILED, UNKNOWN = CallOutcome


class Environment:
    """Makes calls one after the other."""

    def __init__(self) -> None:
        self.reports = CallReports(POLICY, spread=1.0)
        self.now_ms = NOW
        self.streak = 0

    def begin(self) -> Call:
        return self.reports.begin(self.now_ms)

    def end(self, call: Call, outcome: CallOutcome, duration_ms: int = 10) -> bool:
        self.streak = self.streak + 1 if outcome is FAILED else 0
        return self.reports.end(call, outcome, duration_ms, self.now_ms, self.streak)

    def call(self, outcome: CallOutcome = OK, duration_ms: int = 10, after_ms: int = 100) -> Call:
        self.now_ms += after_ms
        call = self.begin()
        self.end(call, outcome, duration_ms)
        return call

    def steady(self) -> Environment:
        """One that has called for long enough to be no longer fresh, and whose next report is not due."""
        for _ in range(60):
            self.call()
        while not self.call().trial:
            pass
        self.reports.take(self.now_ms)
        return self


def test_the_first_call_is_reported_and_then_one_in_each_span_whoever_fails() -> None:
    environment = Environment()
    trials = [environment.call().trial for _ in range(150)]
    assert trials[0]
    assert 3 <= trials.count(True) <= 5


def test_whether_a_call_is_reported_is_decided_before_it_ends() -> None:
    environment = Environment().steady()
    call = environment.begin()
    assert not call.trial
    assert not environment.end(call, FAILED), "that it failed makes it no trial"


def test_a_trial_of_which_nothing_is_known_is_made_up_for_by_the_next_call() -> None:
    environment = Environment()
    assert environment.call(UNKNOWN).trial
    assert environment.call().trial


def test_after_a_failure_calls_are_reported_up_to_the_first_that_succeeds() -> None:
    environment = Environment().steady()
    environment.reports.learn_volume(60, environment.now_ms)
    assert not environment.call(FAILED).trial
    assert environment.call(FAILED).follow_up
    assert environment.call(OK).follow_up
    assert not environment.call(OK).trial


def test_where_calls_fail_now_and_then_not_each_failure_is_followed_up() -> None:
    environment = Environment().steady()
    followed = 0
    for _ in range(30):
        environment.call(FAILED)
        followed += environment.call(OK).follow_up
    assert 1 <= followed <= 5


def test_after_several_failures_in_a_row_it_is_followed_up_however_lately_one_was() -> None:
    environment = Environment().steady()
    environment.reports.learn_volume(60, environment.now_ms)
    environment.call(FAILED)
    environment.call(OK)
    calls = [environment.call(FAILED) for _ in range(4)]
    assert [call.follow_up for call in calls] == [False, False, False, True]


def test_one_that_makes_all_calls_may_follow_up_as_many_as_it_takes() -> None:
    environment = Environment().steady()
    environment.reports.learn_volume(30, environment.now_ms)
    failing = [environment.call(FAILED) for _ in range(25)]
    assert sum(call.follow_up for call in failing) >= POLICY.minimum_volume


def test_one_of_many_may_follow_up_once_within_the_window() -> None:
    environment = Environment().steady()
    environment.reports.learn_volume(100_000, environment.now_ms)
    failing = [environment.call(FAILED) for _ in range(550)]
    assert sum(call.follow_up for call in failing) == 1


def test_a_follow_up_of_which_nothing_is_ever_heard_does_not_end_following_up() -> None:
    environment = Environment().steady()
    environment.call(FAILED)
    environment.now_ms += 10
    assert environment.begin().follow_up
    assert not environment.begin().follow_up
    environment.now_ms += POLICY.probe_lease_ms
    environment.call(FAILED)
    assert environment.call(FAILED).follow_up


def test_an_environment_that_was_idle_is_fresh_for_a_while() -> None:
    environment = Environment()
    assert environment.call().fresh
    environment.steady()
    assert not environment.call().fresh
    assert environment.call(after_ms=3 * POLICY.report_every_ms).fresh
    assert environment.call().fresh


def test_a_fresh_one_speaks_up_at_once_where_nothing_succeeds() -> None:
    environment = Environment()
    calls = [environment.call(FAILED) for _ in range(6)]
    assert calls[4].trial
    assert not calls[4].fresh
    columns = environment.reports.take(environment.now_ms)
    assert sum(count for name, count in columns.items() if name.startswith("f") and name != "failed") >= 5


def test_a_fresh_one_waits_for_what_it_called_before_that() -> None:
    """Failures come back sooner than successes: five of ten at once need not mean anything."""
    environment = Environment()
    environment.begin()
    calls = [environment.begin() for _ in range(6)]
    for call in calls:
        environment.end(call, FAILED)
    assert not any(call.trial for call in calls)
    assert all(call.fresh for call in calls)


def test_what_waits_is_what_was_called_and_is_sent_once() -> None:
    environment = Environment().steady()
    environment.call(OK, 1)
    environment.call(OK, 2_000)
    environment.call(FAILED, 2_000)
    columns = environment.reports.take(environment.now_ms)
    assert {name: columns[name] for name in ("ok", "failed", "slow")} == {"ok": 2, "failed": 1, "slow": 2}
    assert sum(count for name, count in columns.items() if name.startswith("h")) == 2, "latencies are of successes"
    assert not environment.reports.waiting
    assert environment.reports.take(environment.now_ms) == {}


def test_what_waits_for_long_is_overdue() -> None:
    environment = Environment().steady()
    assert not environment.reports.overdue(environment.now_ms + 10**6), "nothing waits"
    environment.call()
    assert not environment.reports.overdue(environment.now_ms + POLICY.report_every_ms - 1)
    assert environment.reports.overdue(environment.now_ms + POLICY.report_every_ms)
