"""What compute costs, by list prices."""

from __future__ import annotations

from flotilla.primitives.compute_cost import ComputePrice, compute_nanos, nanos_of, usd_of

ARM = ComputePrice(gb_second_usd=0.00001333, invocation_usd=0.0000002)


def test_a_second_of_a_gigabyte_and_a_whole_request() -> None:
    assert compute_nanos(ARM, billed_ms=1000, memory_mb=1024, messages=1) == 13_330 + 200


def test_the_request_is_shared_by_all_messages_of_the_invocation() -> None:
    assert compute_nanos(ARM, billed_ms=0, memory_mb=1024, messages=10) == 20
    assert compute_nanos(ARM, billed_ms=0, memory_mb=1024, messages=0) == 200


def test_memory_is_paid_for_by_its_size() -> None:
    whole = compute_nanos(ARM, billed_ms=10_000, memory_mb=2048, messages=10**9)
    assert compute_nanos(ARM, billed_ms=10_000, memory_mb=256, messages=10**9) * 8 == whole


def test_what_stands_in_a_log_comes_back_to_the_last_nanodollar() -> None:
    for nanos in (0, 1, 33, 999_999_999, 12_345_678_901_234):
        assert nanos_of(usd_of(nanos)) == nanos
