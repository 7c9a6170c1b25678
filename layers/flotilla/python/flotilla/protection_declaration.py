"""Circuits and limits as they were declared, in the form in which whatever they protect is shipped with this layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flotilla.primitives.circuit_policy import CircuitPolicy
from flotilla.primitives.token_bucket import Limit

_PROBE_MARGIN_MS = 2000


def declared_policy(value: Mapping[str, Any] | None, longest_call_ms: int) -> CircuitPolicy | None:
    """A circuit's settings; None where none is declared.

    Args:
        value: What was declared.
        longest_call_ms: The longest that one call takes.
    """
    if value is None:
        return None
    # A probe's lease outlives the longest call, or more probes would be under way than there may be.
    return CircuitPolicy(
        failure_rate=value["failure_rate"],
        latency_p99_ms=value["latency_p99_ms"],
        minimum_volume=value["minimum_volume"],
        window_ms=value["window_ms"],
        cooldown_ms=value["cooldown_ms"],
        longest_cooldown_ms=value["longest_cooldown_ms"],
        probes=value["probes"],
        probe_lease_ms=longest_call_ms + _PROBE_MARGIN_MS,
    )


def declared_limit(value: Mapping[str, int] | None) -> Limit | None:
    """A limit; None where none is declared."""
    return None if value is None else Limit(value["rate_per_minute"], value["burst"])
