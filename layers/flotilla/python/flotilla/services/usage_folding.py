"""From archived logs to what an hour came to: each end of a task once, however often its log was archived.

An object of the archive holds logs that ended in its hour. A log that goes on after an end (`redriven`) is in the hours
of all its ends; in each of them, what lies between the end before and that end is counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flotilla.events import Event
from flotilla.events.segments import Segment, segments
from flotilla.models import Status
from flotilla.primitives.compute_cost import nanos_of
from flotilla.primitives.usage_hour import UNNAMED, UsageHour, hour_of
from flotilla.primitives.usage_sums import MemoryUse, Sums

_ENDS = {
    Status.SUCCEEDED: "succeeded",
    Status.DEAD_LETTERED: "dead_lettered",
    Status.CANCELLED: "cancelled",
    Status.EXPIRED: "expired",
}


@dataclass(frozen=True, slots=True)
class RequestPrices:
    """What it costs to record a task and to put it on a lane.

    Attributes:
        write_unit_usd: Of one write unit of the event log.
        message_usd: Of one message: sent, and its part of receiving, hiding and deleting a full batch.
    """

    write_unit_usd: float = 0.0
    message_usd: float = 0.0

    def nanos(self, segment: Segment) -> int:
        """What it cost for a segment, in nanodollars."""
        return nanos_of(segment.write_units * self.write_unit_usd + segment.messages * self.message_usd)


class HourFold:
    """Adds up logs into an hour.

    Args:
        begins_ms: The hour's first moment.
        prices: Of what is counted and not recorded.

    Attributes:
        hour: What they came to so far.
    """

    def __init__(self, begins_ms: int, prices: RequestPrices) -> None:
        self.hour = UsageHour(begins_ms)
        self._prices = prices
        self._seen: set[int] = set()

    def add(self, logs: Iterable[Sequence[Event]]) -> None:
        """Add whole logs.

        Raises:
            CorruptLogError: One of them is no log.
        """
        for log in logs:
            for segment in segments(log):
                if hour_of(segment.ended_ms) == self.hour.begins_ms and self._first(segment):
                    self._count(segment)

    def _first(self, segment: Segment) -> bool:
        # Of sixty-four bits: among a million ends it is one in tens of millions that two are taken for one.
        known = hash((segment.task_id, segment.end_seq))
        if known in self._seen:
            return False
        self._seen.add(known)
        return True

    def _count(self, segment: Segment) -> None:
        sums = sums_of(segment, self._prices)
        hour = self.hour
        hour.total.add(sums)
        hour.costs.add(sums.nanos)
        for group, name in (("agent", segment.agent), ("tenant", segment.tenant), ("lane", segment.lane)):
            hour.add(group, name, sums)
        for name, of_model in _by_model(segment).items():
            hour.add("model", name, of_model)
        for usage in segment.usages:
            if (memory_mb := _whole(usage, "memory_mb")) > 0:
                hour.used(segment.lane, memory_mb, _memory_use(usage))


def sums_of(segment: Segment, prices: RequestPrices) -> Sums:
    """What a task used until one of its ends, over all its attempts."""
    sums = Sums(tasks=1, requests_nanos=prices.nanos(segment))
    setattr(sums, _ENDS[segment.status], 1)
    for usage in segment.usages:
        if usage.get("cached") is True:
            sums.cached = 1
            continue
        sums.attempts += 1
        sums.model_nanos += nanos_of(_number(usage, "cost_usd"))
        sums.compute_nanos += nanos_of(_number(usage, "compute_usd"))
        sums.billed_ms += _whole(usage, "billed_ms")
        sums.duration_ms += _whole(usage, "duration_ms")
        sums.cpu_us += round(_number(usage, "cpu_ms") * 1000)
        sums.model_calls += _whole(usage, "model_calls")
        sums.input_tokens += _whole(usage, "input_tokens")
        sums.output_tokens += _whole(usage, "output_tokens")
        sums.cached_input_tokens += sum(_whole(model, "cached_input_tokens") for model in _models(usage).values())
    return sums


def _by_model(segment: Segment) -> dict[str, Sums]:
    """What calls to each model came to; what was recorded of none by name stands under one of its own."""
    found: dict[str, Sums] = {}
    for usage in segment.usages:
        models = _models(usage)
        if not models and _whole(usage, "model_calls"):
            models = {UNNAMED: {**usage, "calls": usage["model_calls"]}}
        for name, model in models.items():
            sums = found.setdefault(name, Sums(tasks=1))
            sums.model_nanos += nanos_of(_number(model, "cost_usd"))
            sums.model_calls += _whole(model, "calls")
            sums.input_tokens += _whole(model, "input_tokens")
            sums.output_tokens += _whole(model, "output_tokens")
            sums.cached_input_tokens += _whole(model, "cached_input_tokens")
    for sums in found.values():
        setattr(sums, _ENDS[segment.status], 1)
    return found


def _models(usage: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    models = usage.get("models")
    return {str(name): each for name, each in models.items() if isinstance(each, dict)} if models else {}


def _memory_use(usage: Mapping[str, Any]) -> MemoryUse:
    return MemoryUse(
        attempts=1,
        billed_ms=_whole(usage, "billed_ms"),
        duration_ms=_whole(usage, "duration_ms"),
        cpu_us=round(_number(usage, "cpu_ms") * 1000),
        compute_nanos=nanos_of(_number(usage, "compute_usd")),
        peak_memory_mb=_whole(usage, "peak_memory_mb"),
    )


def _number(usage: Mapping[str, Any], name: str) -> float:
    value = usage.get(name, 0)
    return value if isinstance(value, int | float) else 0


def _whole(usage: Mapping[str, Any], name: str) -> int:
    return int(_number(usage, name))
