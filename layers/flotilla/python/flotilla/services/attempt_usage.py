"""What the attempts of one invocation used of its process, each its share of it.

Lambda bills an invocation once for all that it ran. So the time, and the processor time, of every moment is divided
evenly among the attempts that were running in it. What is nobody's is the rest: the start of a process, the moments
before the first attempt of an invocation has begun and after the last has ended.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flotilla.primitives.compute_cost import ComputePrice, compute_nanos, usd_of
from flotilla.primitives.meter import SharedMeter
from flotilla.usage_ports import ProcessGauge


@dataclass(frozen=True, slots=True)
class Compute:
    """The process that attempts run in, and what it costs."""

    gauge: ProcessGauge
    price: ComputePrice


class InvocationMeter:
    """Meters the attempts of one invocation.

    Args:
        compute: The process; None where only time is told.
        messages: How many messages the invocation was handed.
    """

    def __init__(self, compute: Compute | None, messages: int) -> None:
        self._compute = compute
        self._messages = messages
        self._time_ms = SharedMeter()
        self._cpu_us = SharedMeter()

    def start(self, key: str, now_ms: int) -> None:
        """`key` is running from now on."""
        self._time_ms.start(key, now_ms)
        if self._compute is not None:
            self._cpu_us.start(key, self._compute.gauge.cpu_us())

    def stop(self, key: str, now_ms: int) -> dict[str, Any]:
        """`key` runs no more; what it used, as it stands in the `usage` of its last event.

        `billed_ms` and `cpu_ms` are its shares of the time and the processor time, `compute_usd` what these cost with
        its part of the request. `memory_mb` is what the function has, and `peak_memory_mb` the most that its process
        has had at once since it began: of all that it ever ran, and not of this attempt alone.
        """
        billed_ms = self._time_ms.stop(key, now_ms)
        if self._compute is None:
            return {"billed_ms": billed_ms}
        gauge = self._compute.gauge
        cpu_us = self._cpu_us.stop(key, gauge.cpu_us())
        memory_mb, peak_mb = gauge.memory_mb, gauge.peak_memory_mb()
        nanos = compute_nanos(self._compute.price, billed_ms=billed_ms, memory_mb=memory_mb, messages=self._messages)
        return {
            "billed_ms": billed_ms,
            "cpu_ms": round(cpu_us / 1000, 1),
            "memory_mb": memory_mb,
            **({} if peak_mb is None else {"peak_memory_mb": peak_mb}),
            "compute_usd": usd_of(nanos),
        }
