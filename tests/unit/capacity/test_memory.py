"""What size of memory is recommended, and what it would save."""

from __future__ import annotations

import pytest

from capacity.memory import ONE_PROCESSOR_MB, Measured, advise, billed_with

WAITING = Measured(
    memory_mb=1024, attempts=1000, billed_ms=1_000_000, cpu_ms=10_000, peak_memory_mb=150, compute_usd=13.0
)
COMPUTING = Measured(
    memory_mb=1024, attempts=1000, billed_ms=1_000_000, cpu_ms=570_000, peak_memory_mb=150, compute_usd=13.0
)


def test_what_waits_is_given_as_little_as_it_needs() -> None:
    advice = advise(WAITING)
    assert (advice.memory_mb, advice.why) == (256, "cheaper")  # 150 MB and 30 percent are 195
    assert advice.slower == pytest.approx(1.05, abs=0.01)
    assert advice.saves_usd == pytest.approx(13.0 * (1 - advice.slower / 4))


def test_what_computes_keeps_what_it_has() -> None:
    assert COMPUTING.busy == pytest.approx(0.985, abs=0.001)
    assert advise(COMPUTING).why == "as_it_is"
    assert billed_with(COMPUTING, 512) == pytest.approx(2_000_000, rel=0.02)


def test_above_one_processor_more_memory_is_no_quicker() -> None:
    large = Measured(3008, 1000, 1_000_000, 1_000_000, 500, 40.0)
    assert billed_with(large, 10_240) == billed_with(large, ONE_PROCESSOR_MB) == 1_000_000
    advice = advise(large)
    assert 1408 <= advice.memory_mb <= 1792
    assert advice.saves_usd > 0


@pytest.mark.parametrize("peak_mb", [100, 150, 333, 700, 787])
def test_it_is_never_below_the_peak_and_its_margin(peak_mb: int) -> None:
    measured = Measured(1024, 1000, 1_000_000, 10_000, peak_mb, 13.0)
    assert advise(measured).memory_mb >= peak_mb * 1.3
    assert advise(measured, margin=1.1).memory_mb <= advise(measured).memory_mb


def test_what_is_near_to_its_peak_is_given_more_and_said_to_cost_it() -> None:
    advice = advise(Measured(256, 1000, 1_000_000, 10_000, 240, 3.0))
    assert (advice.memory_mb, advice.why) == (320, "too_near_to_its_peak")
    assert advice.saves_usd < 0


@pytest.mark.parametrize(
    "thin",
    [
        Measured(1024, 99, 1_000_000, 10_000, 150, 13.0),
        Measured(1024, 1000, 1_000_000, 10_000, None, 13.0),
        Measured(1024, 1000, 0, 0, 150, 0.0),
    ],
)
def test_of_too_little_nothing_follows(thin: Measured) -> None:
    advice = advise(thin)
    assert (advice.memory_mb, advice.why, advice.saves_usd) == (1024, "too_little_data", 0.0)
