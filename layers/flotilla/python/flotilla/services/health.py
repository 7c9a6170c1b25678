"""How the fleet is, for who operates it: lanes, circuits, canaries and the read model, and a verdict with its reasons.

Invariant: what cannot be learned is said to be unknown, and takes nothing else with it; looking is bounded in what it
reads, however much there is. Nothing is written.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from flotilla.clock import Clock
from flotilla.coordination import Pause, holding
from flotilla.errors import RetryableError
from flotilla.models import LaneCounts, LaneReading
from flotilla.ports import LaneMeter, LaneQueues, Pauses, ReadModel
from flotilla.primitives.canary import CANARY_AGENT, CANARY_TENANT, CanaryPlan
from flotilla.primitives.circuit import CircuitMode, CircuitState
from flotilla.services.canaries import Canaries, Canary, CanaryEnd
from flotilla.services.circuit_desk import CircuitDesk, CircuitReading

logger = logging.getLogger("flotilla.health")

_FOLLOWS_WITHIN_MS = 60_000
"""The read model is usually a few seconds behind the log."""

T = TypeVar("T")


class Verdict(StrEnum):
    """How the fleet is, by its worst reason."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a fleet is not healthy, for a person to read."""

    verdict: Verdict
    text: str


@dataclass(frozen=True, slots=True)
class LaneHealth:
    """How a lane is.

    Attributes:
        pause: What holds it up.
        counts: Its messages; None where they are not known.
        oldest_seconds: Age of the oldest message; None where there is none or it is not known.
        objective_seconds: How long a task should wait at the most; None where nobody says.
        canary: The newest that was decided; None where there is none, or it is not known.
    """

    name: str
    pause: Pause | None
    counts: LaneCounts | None
    oldest_seconds: int | None
    objective_seconds: int | None
    canary: Canary | None


@dataclass(frozen=True, slots=True)
class Following:
    """Whether the read model follows the log.

    Attributes:
        follows: None where there is nothing to tell it by.
        until_ms: It has what happened by then.
    """

    follows: bool | None
    until_ms: int | None = None


@dataclass(frozen=True, slots=True)
class FleetHealth:
    """How the fleet is, what the API depends on aside.

    Attributes:
        circuits: Those that do not let all calls through, or that an operator holds.
    """

    lanes: Sequence[LaneHealth]
    circuits: Sequence[CircuitReading]
    read_model: Following
    reasons: Sequence[Reason]


def verdict_of(reasons: Iterable[Reason]) -> Verdict:
    """The worst of them; healthy without any."""
    order = list(Verdict)
    return max((reason.verdict for reason in reasons), key=order.index, default=Verdict.HEALTHY)


class HealthService:
    """Answers how the fleet is.

    Args:
        lanes: The objective of each, in seconds.
        queues: Counts their messages.
        meter: Knows how old these are.
        pauses: What is paused.
        circuits: Shows circuits.
        canaries: Knows what came of canaries.
        plan: When these are due.
        read_model: Is compared with the log.
        clock: Tells the time.
    """

    def __init__(
        self,
        *,
        lanes: Mapping[str, int | None],
        queues: LaneQueues,
        meter: LaneMeter,
        pauses: Pauses,
        circuits: CircuitDesk,
        canaries: Canaries,
        plan: CanaryPlan,
        read_model: ReadModel,
        clock: Clock,
    ) -> None:
        self._lanes = lanes
        self._queues = queues
        self._meter = meter
        self._pauses = pauses
        self._circuits = circuits
        self._canaries = canaries
        self._plan = plan
        self._read_model = read_model
        self._clock = clock

    async def look(self) -> FleetHealth:
        """How the fleet is. Raises nothing for a store that does not answer: that is one of the reasons."""
        reasons: list[Reason] = []

        async def known(what: str, asked: Awaitable[T]) -> T | None:
            try:
                return await asked
            except RetryableError as error:
                logger.warning("health not known", extra={"what": what, "error": error.message})
                reasons.append(Reason(Verdict.DEGRADED, f"{what}: not known, a store did not answer"))
                return None

        pauses, readings, circuits = await asyncio.gather(
            known("pauses", self._pauses.read()),
            self._meter.latest(),
            known("circuits", self._circuits.all()),
        )

        async def lane(name: str) -> LaneHealth:
            pause = holding(pauses or (), lane=name, agent=CANARY_AGENT)
            counts, canary = await asyncio.gather(
                known(f"lane {name}", self._queues.counts(name)),
                known(f"canary of lane {name}", self._canaries.newest(name, paused=pause is not None)),
            )
            oldest = _oldest(counts, readings.get(name))
            return LaneHealth(
                name, holding(pauses or (), lane=name, agent=None), counts, oldest, self._lanes[name], canary
            )

        lanes = await asyncio.gather(*map(lane, self._lanes))
        read_model = await known("read model", self._following(lanes)) or Following(None)
        reasons += [reason for each in lanes for reason in self._of_lane(each)]
        troubled = [each for each in circuits or () if _is_troubled(each)]
        reasons += [Reason(Verdict.DEGRADED, _of_circuit(each)) for each in troubled]
        if read_model.follows is False:
            text = "the read model is behind the log: lists miss what happened lately"
            reasons.append(Reason(Verdict.DEGRADED, text))
        return FleetHealth(lanes, troubled, read_model, reasons)

    def _of_lane(self, lane: LaneHealth) -> list[Reason]:
        reasons = []
        if lane.pause is not None:
            what = "the fleet" if not lane.pause.name else f"{lane.pause.scope.value} {lane.pause.name}"
            why = f": {lane.pause.reason}" if lane.pause.reason else ""
            text = f"lane {lane.name} starts nothing: {what} was paused by {lane.pause.actor}{why}"
            reasons.append(Reason(Verdict.DEGRADED, text))
        elif _is_late(lane):
            text = (
                f"lane {lane.name} is late: its oldest task waits for {lane.oldest_seconds} s, "
                f"the objective is {lane.objective_seconds} s"
            )
            reasons.append(Reason(Verdict.DEGRADED, text))
        canary = lane.canary
        if canary is not None and canary.end is CanaryEnd.FAILED:
            text = f"the last canary of lane {lane.name} failed ({canary.why.replace('_', ' ')}): {canary.task_id}"
            reasons.append(Reason(Verdict.UNHEALTHY, text))
        if canary is None and self._plan.scheduled and lane.pause is None and lane.counts is not None:
            reasons.append(Reason(Verdict.DEGRADED, f"no canary was seen on lane {lane.name} lately"))
        return reasons

    async def _following(self, lanes: Sequence[LaneHealth]) -> Following:
        ended = [
            (each.canary.decided_ms, each.canary)
            for each in lanes
            if each.canary is not None and each.canary.end is CanaryEnd.SUCCEEDED and each.canary.decided_ms is not None
        ]
        if not ended:
            return Following(None)
        decided_ms, newest = max(ended, key=lambda found: found[0])
        entry = await self._read_model.get(CANARY_TENANT, newest.task_id, newest.accepted_ms)
        if entry is not None and entry.finished_at_ms is not None:
            return Following(True, decided_ms)
        return Following(None if self._clock.now_ms() - decided_ms < _FOLLOWS_WITHIN_MS else False)


def _oldest(counts: LaneCounts | None, reading: LaneReading | None) -> int | None:
    # A metric is minutes old: what it says of messages that are gone by now is no longer so.
    if reading is None or (counts is not None and counts.waiting == counts.in_flight == 0):
        return None
    return reading.oldest_seconds


def _is_late(lane: LaneHealth) -> bool:
    return (
        lane.oldest_seconds is not None
        and lane.objective_seconds is not None
        and lane.oldest_seconds > lane.objective_seconds
    )


def _is_troubled(reading: CircuitReading) -> bool:
    return reading.record.state is not CircuitState.CLOSED or reading.record.mode is not CircuitMode.AUTO


def _of_circuit(reading: CircuitReading) -> str:
    record = reading.record
    held = f", held so by {record.by}" if record.mode is not CircuitMode.AUTO else ""
    why = f": {record.reason}" if record.reason else ""
    return f"circuit {reading.circuit} is {record.state.value.replace('_', '-')}{held}{why}"
