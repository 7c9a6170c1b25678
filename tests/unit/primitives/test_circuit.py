"""The state machine: only the steps it has, each from the record as it is, and a cooldown that grows and decays."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from flotilla.primitives.circuit import (
    FIRST_SHARE,
    CircuitMode,
    CircuitRecord,
    CircuitState,
    Let,
    Probe,
    Refuse,
    forced,
    next_cooldown_ms,
    permit,
    probe_failed,
    probe_passed,
    ramp_share,
    settled,
    tripped,
)
from flotilla.primitives.circuit_policy import CircuitPolicy

NOW = 1_700_000_000_000
POLICY = CircuitPolicy()
CLOSED, OPEN, HALF_OPEN, RAMPING = CircuitState

EDGES = {
    "trip": {(CLOSED, OPEN), (RAMPING, OPEN)},
    "settle": {(OPEN, HALF_OPEN), (RAMPING, CLOSED)},
    "pass": {(HALF_OPEN, HALF_OPEN), (HALF_OPEN, RAMPING)},
    "fail": {(HALF_OPEN, OPEN)},
}


def made(record: CircuitRecord | None) -> CircuitRecord:
    assert record is not None
    return record


def trip(record: CircuitRecord, now_ms: int = NOW) -> CircuitRecord:
    return made(tripped(record, now_ms, POLICY, reason="bad", by="env-1"))


def half_open(record: CircuitRecord | None = None) -> CircuitRecord:
    opened = record or trip(CircuitRecord())
    return made(settled(opened, opened.until_ms, "env-1"))


def ramping(record: CircuitRecord | None = None) -> CircuitRecord:
    record = half_open(record)
    for _ in range(POLICY.probes_to_close):
        record = made(probe_passed(record, record.episode, record.since_ms, POLICY, "env-1"))
    return record


def ask(record: CircuitRecord, now_ms: int, draw: float = 0.5, jitter: float = 0.5) -> Let | Refuse | Probe:
    return permit(record, now_ms, POLICY, draw=draw, jitter=jitter)


def test_a_circuit_that_nothing_happened_to_lets_calls_through() -> None:
    assert ask(CircuitRecord(), NOW) == Let()
    assert settled(CircuitRecord(), NOW, "env-1") is None


@given(st.floats(0, 0.999), st.integers(0, POLICY.cooldown_ms - 1))
def test_an_open_one_refuses_until_its_cooldown_is_over_and_never_sends_back_too_early(
    jitter: float, gone: int
) -> None:
    opened = trip(CircuitRecord())
    refused = ask(opened, NOW + gone, jitter=jitter)
    assert isinstance(refused, Refuse)
    left = opened.until_ms - NOW - gone
    assert left < refused.retry_after_ms <= left + 1 + max(250, left / 5)


def test_what_is_refused_comes_back_spread() -> None:
    opened = trip(CircuitRecord())
    waits = {ask(opened, NOW, jitter=number / 100) for number in range(100)}
    assert len(waits) == 100


def test_after_the_cooldown_it_is_half_open_and_not_before() -> None:
    opened = trip(CircuitRecord())
    assert settled(opened, opened.until_ms - 1, "env-2") is None
    assert made(settled(opened, opened.until_ms, "env-2")).state is HALF_OPEN


def test_one_probe_at_first_and_more_as_they_succeed_or_are_not_heard_of() -> None:
    record = half_open()
    start_ms = record.since_ms
    assert ask(record, start_ms) == Probe(1)
    assert ask(replace(record, passed=1), start_ms) == Probe(2)
    assert ask(record, start_ms + POLICY.probe_stagger_ms) == Probe(2)
    assert ask(record, start_ms + 100 * POLICY.probe_stagger_ms) == Probe(POLICY.probes)
    assert ask(replace(record, passed=50), start_ms) == Probe(POLICY.probes)


def test_enough_probes_that_succeed_let_calls_through_again_bit_by_bit() -> None:
    record = ramping()
    assert record.state is RAMPING
    assert ask(record, record.since_ms, draw=FIRST_SHARE - 0.01) == Let()
    assert isinstance(ask(record, record.since_ms, draw=FIRST_SHARE + 0.01), Refuse)
    assert ask(record, record.until_ms, draw=0.999) == Let()
    assert made(settled(record, record.until_ms, "env-1")).state is CLOSED


@given(st.integers(-1000, 20_000), st.integers(0, 5_000))
def test_a_ramp_only_ever_opens_wider(gone: int, more: int) -> None:
    record = ramping()
    share, later = (ramp_share(record, record.since_ms + passed) for passed in (gone, gone + more))
    assert FIRST_SHARE <= share <= later <= 1.0


def test_from_cooldown_to_closed_takes_no_longer_than_a_quarter_of_the_cooldown() -> None:
    record = ramping()
    assert record.until_ms - record.since_ms <= POLICY.cooldown_ms / 4


def test_each_time_it_opens_anew_it_stays_open_twice_as_long_up_to_a_bound() -> None:
    record, cooldowns = trip(CircuitRecord()), []
    for _ in range(6):
        cooldowns.append(record.cooldown_ms)
        record = half_open(record)
        record = made(probe_failed(record, record.episode, record.since_ms, POLICY, reason="", by="env-1"))
    assert cooldowns == [10_000, 20_000, 40_000, 60_000, 60_000, 60_000]


def test_a_ramp_that_fails_counts_as_not_having_recovered() -> None:
    first = trip(CircuitRecord())
    again = trip(ramping(first), NOW + 11_000)
    assert again.cooldown_ms == 2 * first.cooldown_ms
    assert again.opened_at_ms == first.opened_at_ms, "the trouble is still the same"


def test_long_health_makes_the_next_cooldown_short_again() -> None:
    ramp = ramping(replace(trip(CircuitRecord()), cooldown_ms=60_000))
    closed = made(settled(ramp, ramp.until_ms, "env-1"))
    spans = [next_cooldown_ms(closed, closed.counts_from_ms + n * POLICY.healthy_ms, POLICY) for n in range(5)]
    assert spans == [60_000, 60_000, 30_000, 15_000, 10_000]


def test_probes_of_an_earlier_opening_move_nothing() -> None:
    before = half_open()
    reopened = made(probe_failed(before, before.episode, before.since_ms, POLICY, reason="", by="env-1"))
    again = half_open(reopened)
    assert probe_passed(again, before.episode, again.since_ms, POLICY, "env-1") is None
    assert probe_failed(again, before.episode, again.since_ms, POLICY, reason="", by="env-1") is None
    assert probe_passed(reopened, reopened.episode, NOW, POLICY, "env-1") is None


def test_evidence_from_before_it_recovered_counts_no_more() -> None:
    record = ramping()
    assert record.counts_from_ms == record.since_ms
    assert made(settled(record, record.until_ms, "env-1")).counts_from_ms == record.since_ms


def test_an_operator_decides_until_further_notice() -> None:
    opened = made(forced(CircuitRecord(), CircuitMode.OPEN, NOW, reason="maintenance", by="key:k1"))
    assert isinstance(ask(opened, NOW + 10**9), Refuse)
    assert settled(opened, NOW + 10**9, "env-1") is None
    closed = made(forced(opened, CircuitMode.CLOSED, NOW, reason="", by="key:k1"))
    assert ask(closed, NOW) == Let()
    assert tripped(closed, NOW, POLICY, reason="bad", by="env-1") is None
    assert forced(closed, CircuitMode.CLOSED, NOW, reason="", by="key:k1") is None


def test_left_to_itself_one_that_was_forced_open_tries_first() -> None:
    opened = made(forced(CircuitRecord(), CircuitMode.OPEN, NOW, reason="", by="key:k1"))
    auto = made(forced(opened, CircuitMode.AUTO, NOW + 5, reason="", by="key:k1"))
    assert made(settled(auto, NOW + 5, "env-1")).state is HALF_OPEN


def test_left_to_itself_one_that_was_forced_closed_may_open() -> None:
    closed = made(forced(trip(CircuitRecord()), CircuitMode.CLOSED, NOW, reason="", by="key:k1"))
    auto = made(forced(closed, CircuitMode.AUTO, NOW, reason="", by="key:k1"))
    assert ask(auto, NOW) == Let()
    assert trip(auto).state is OPEN


STEPS = st.lists(
    st.tuples(st.sampled_from(["trip", "settle", "pass", "fail", "open", "closed", "auto"]), st.integers(0, 90_000)),
    max_size=60,
)


def stepped(record: CircuitRecord, step: str, now_ms: int) -> CircuitRecord | None:
    match step:
        case "trip":
            return tripped(record, now_ms, POLICY, reason="bad", by="env-1")
        case "settle":
            return settled(record, now_ms, "env-1")
        case "pass":
            return probe_passed(record, record.episode, now_ms, POLICY, "env-1")
        case "fail":
            return probe_failed(record, record.episode, now_ms, POLICY, reason="", by="env-1")
        case mode:
            return forced(record, CircuitMode(mode), now_ms, reason="", by="key:k1")


@given(STEPS)
def test_whatever_happens_it_makes_only_the_steps_it_has(steps: list[tuple[str, int]]) -> None:
    record, now_ms = CircuitRecord(), NOW
    for step, wait_ms in steps:
        now_ms += wait_ms
        after = stepped(record, step, now_ms)
        if after is None:
            continue
        assert after.version == record.version + 1
        assert after.episode >= record.episode
        if step in EDGES:
            assert (record.state, after.state) in EDGES[step]
            assert record.mode is after.mode is CircuitMode.AUTO
        if after.state is OPEN and after.mode is CircuitMode.AUTO and step != "auto":
            assert after.until_ms - now_ms == after.cooldown_ms
            assert POLICY.cooldown_ms <= after.cooldown_ms <= POLICY.longest_cooldown_ms
        assert (after.opened_at_ms > 0) == (after.state is not CLOSED)
        record = after
        # Left alone it never holds back for ever, and no one is told to come back for nothing at once.
        leave = ask(record, now_ms, draw=0.999)
        assert not isinstance(leave, Refuse) or 0 < leave.retry_after_ms <= 1.2 * POLICY.longest_cooldown_ms + 1
