"""A policy that cannot work is refused when it is made."""

from __future__ import annotations

from typing import Any

import pytest

from flotilla.primitives.circuit_policy import CircuitPolicy


@pytest.mark.parametrize(
    "wrong",
    [
        {"failure_rate": 0.0},
        {"failure_rate": 1.1},
        {"latency_p99_ms": 0},
        {"minimum_volume": 0},
        {"probes": 0},
        {"probes_to_close": 0},
        {"shards": 0},
        {"shards": 101},
        {"cooldown_ms": 0},
        {"cooldown_ms": 60_001},
        {"probe_lease_ms": 0},
        {"state_ttl_ms": 0},
        {"window_ms": 11_999},
    ],
    ids=str,
)
def test_settings_that_cannot_work_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="circuit"):
        CircuitPolicy(**wrong)
