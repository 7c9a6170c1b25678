"""The breaker of an endpoint: opens, probes one at a time, backs off, and closes on any success."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from flotilla.broadcast import Breaker
from flotilla.primitives.webhook_breaker import (
    COOLDOWN_SECONDS,
    FAILURES,
    LONGEST_COOLDOWN_SECONDS,
    LONGEST_PAUSE_SECONDS,
    PROBE_LEASE_SECONDS,
    Hold,
    Pass,
    Probe,
    failed,
    look,
    succeeded,
)

NOW = 1_700_000_000_000


def opened(now_ms: int = NOW, fraction: float = 0.999_999) -> Breaker:
    breaker = Breaker()
    for _ in range(FAILURES):
        assert look(breaker, now_ms) == Pass()
        breaker = failed(breaker, now_ms, probe=False, fraction=fraction)
    return breaker


def test_it_opens_after_so_many_failures_in_a_row() -> None:
    held = look(opened(), NOW)
    assert isinstance(held, Hold)
    assert COOLDOWN_SECONDS / 2 <= held.seconds <= COOLDOWN_SECONDS


def test_a_success_in_between_begins_the_count_anew() -> None:
    breaker = Breaker()
    for _ in range(3):
        for _ in range(FAILURES - 1):
            breaker = failed(breaker, NOW, probe=False, fraction=0.5)
        assert look(breaker, NOW) == Pass()
        breaker = succeeded(breaker)
    assert breaker == Breaker()


def test_after_the_cooldown_one_may_try_and_the_others_wait_for_it() -> None:
    breaker = opened()
    probe = look(breaker, breaker.until_ms)
    assert isinstance(probe, Probe)
    assert look(probe.claimed, breaker.until_ms + 1) == Hold(PROBE_LEASE_SECONDS - 0.001)


def test_a_prober_that_dies_delays_the_next_and_blocks_none() -> None:
    breaker = opened()
    probe = look(breaker, breaker.until_ms)
    assert isinstance(probe, Probe)
    assert isinstance(look(probe.claimed, breaker.until_ms + int(PROBE_LEASE_SECONDS * 1000)), Probe)


def test_each_failed_probe_makes_the_next_wait_longer_up_to_a_bound() -> None:
    breaker, now_ms, waits = opened(), NOW, []
    for _ in range(12):
        waits.append((breaker.until_ms - now_ms) / 1000)
        now_ms = breaker.until_ms
        breaker = failed(breaker, now_ms, probe=True, fraction=0.999_999)
    assert all(later > 1.9 * earlier for earlier, later in pairwise(waits[:6]))
    assert max(waits) <= LONGEST_COOLDOWN_SECONDS


def test_a_success_closes_it_whoever_had_it() -> None:
    assert look(succeeded(opened()), NOW) == Pass()


def test_what_began_before_it_opened_does_not_open_it_further() -> None:
    breaker = opened()
    assert failed(breaker, NOW + 500, probe=False, fraction=0.5, pause_seconds=60) == breaker


def test_an_endpoint_that_asks_for_a_pause_gets_it_at_once_and_within_a_bound() -> None:
    asked = failed(Breaker(), NOW, probe=False, fraction=0.0, pause_seconds=120)
    assert look(asked, NOW) == Hold(120.0)
    asked = failed(Breaker(), NOW, probe=False, fraction=0.0, pause_seconds=10**9)
    assert look(asked, NOW) == Hold(LONGEST_PAUSE_SECONDS)
    assert look(failed(Breaker(), NOW, probe=False, fraction=0.0, pause_seconds=0), NOW) == Pass()


@given(
    st.lists(
        st.tuples(st.sampled_from(["failed", "probe failed", "succeeded", "wait"]), st.floats(0, 0.99)), max_size=60
    )
)
def test_whatever_happens_it_never_stays_open_beyond_its_bound(steps: list[tuple[str, float]]) -> None:
    breaker, now_ms = Breaker(), NOW
    for step, fraction in steps:
        match step:
            case "succeeded":
                breaker = succeeded(breaker)
            case "wait":
                now_ms += int(fraction * 100_000)
            case _:
                breaker = failed(breaker, now_ms, probe=step != "failed" and breaker.opened > 0, fraction=fraction)
        assert (breaker.opened > 0) == (breaker.until_ms > 0)
        match look(breaker, now_ms):
            case Hold(seconds):
                assert 0 < seconds <= LONGEST_COOLDOWN_SECONDS
            case Probe(claimed):
                assert replace(claimed, until_ms=breaker.until_ms) == breaker
            case _:
                assert breaker.failures < FAILURES
