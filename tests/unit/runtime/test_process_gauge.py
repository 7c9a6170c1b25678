"""What is known of this process."""

from __future__ import annotations

from flotilla.runtime.process_gauge import OwnProcess


def test_memory_is_what_lambda_says_of_the_function() -> None:
    assert OwnProcess({"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512"}).memory_mb == 512
    assert OwnProcess({}).memory_mb == OwnProcess({"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "?"}).memory_mb == 1024


def test_processor_time_only_grows() -> None:
    process = OwnProcess()
    before = process.cpu_us()
    sum(range(200_000))
    assert process.cpu_us() > before


def test_the_peak_is_not_below_what_is_held() -> None:
    process = OwnProcess()
    held = bytearray(64 * 1024 * 1024)
    held[::4096] = b"x" * len(held[::4096])
    peak = process.peak_memory_mb()
    assert peak is not None
    assert peak >= 64
    del held
    assert process.peak_memory_mb() >= peak  # type: ignore[operator]  # it was known a moment ago
