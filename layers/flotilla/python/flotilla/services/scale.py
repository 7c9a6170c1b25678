"""The scaler: capacity follows the work.

Each run reads what waits and what the lanes have, decides (`primitives.scaling`) and changes what differs
(`services.scaling_steps`). It promises that work is never throttled by what it does, and that it does nothing twice:
two runs at once are told apart by the version of what they remember, and the later one leaves it.

It refuses to guess. A lane whose backlog is not known keeps what it has; so does one whose mapping is being changed,
or whose function somebody stopped by reserving nothing for it. Where AWS does not say what lanes have, nothing is done.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace

from flotilla.clock import Clock
from flotilla.coordination import Pause, holding
from flotilla.errors import RetryableError
from flotilla.metric_ports import Metrics
from flotilla.models import LaneReading
from flotilla.ports import LaneMeter, Pauses
from flotilla.primitives.lending import loans
from flotilla.primitives.scaling import LaneBounds, LaneLoad, LaneScale, ScalingPolicy, decide
from flotilla.scaling_ports import (
    Backlog,
    Capacity,
    LaneBacklogs,
    LaneCapacity,
    MappingState,
    Remembered,
    ScalingMemories,
    ScalingMemory,
)
from flotilla.services.scaling_steps import Held, Steps, Wanted

logger = logging.getLogger("flotilla.scaler")

_UNBOUNDED = 1000
"""What a mapping without a maximum concurrency may use; AWS lets none be told of more."""


@dataclass(frozen=True, slots=True)
class Change:
    """What a run changed of one lane.

    Attributes:
        before: Its maximum concurrency and what was reserved for it.
        after: The same now.
        why: In a word.
    """

    lane: str
    before: tuple[int, int]
    after: tuple[int, int]
    why: str


class Scaler:
    """Adapts the lanes' capacity to what waits on them.

    Args:
        policy: What is the same for all lanes.
        bounds: Between what each lane is scaled, by its name, in the order of priority.
        backlogs: Counts messages.
        meter: Knows how old the oldest message is and how many workers run; asked only while there is work.
        pauses: What is paused; likewise.
        capacity: Reads and changes what lanes have.
        memories: Tells one run from another.
        clock: Tells the time.
        metrics: Is told what was found.
    """

    def __init__(
        self,
        *,
        policy: ScalingPolicy,
        bounds: Mapping[str, LaneBounds],
        backlogs: LaneBacklogs,
        meter: LaneMeter,
        pauses: Pauses,
        capacity: LaneCapacity,
        memories: ScalingMemories,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._policy = policy
        self._bounds = dict(bounds)
        self._backlogs = backlogs
        self._meter = meter
        self._pauses = pauses
        self._capacity = capacity
        self._memories = memories
        self._clock = clock
        self._metrics = metrics

    async def run(self, run_id: str, remaining_ms: int, *, restore: bool = False) -> list[Change]:
        """Decide once, and change what differs.

        Args:
            run_id: Tells this run from all others.
            remaining_ms: By then this run is over, whatever becomes of it.
            restore: Decide nothing: each lane gets its own share, as before the first run.

        Returns:
            What was changed, as far as it is known.

        Raises:
            RetryableError: What lanes have, or what was remembered, is not known: nothing was changed. Or what was
                changed could not be noted.
        """
        self._metrics.count("ScalerRuns")
        now_ms = self._clock.now_ms()
        # Before all else: what is read after it is not older than the version by which changes are claimed.
        memory = await self._memories.read()
        if memory.busy_until_ms > now_ms:
            logger.warning("another run is at it", extra={"until_ms": memory.busy_until_ms})
            return []
        found, backlogs = await asyncio.gather(self._found(), self._all_backlogs())
        loads = await self._loads(found, backlogs)
        scales = {
            lane: _scale(capacity, self._bounds[lane], memory.lanes.get(lane))
            for lane, capacity in found.items()
            if _may_be_changed(capacity)
        }
        targets = self._shares(scales, now_ms) if restore else self._decided(loads, scales, found, now_ms)
        held = {lane: _held(capacity) for lane, capacity in found.items()}
        before = {lane: (have.concurrency, have.reserved) for lane, have in held.items()}
        if all(before[lane] == (target.concurrency, target.reserved) for lane, target in targets.items()):
            await self._note(run_id, memory, _remembered(memory, held, targets))
        elif not await self._claim(run_id, memory, _remembered(memory, held, targets), now_ms + remaining_ms):
            logger.warning("overtaken by another run")
            return []
        else:
            await self._change(run_id, memory, held, scales, targets)
        changes = [
            Change(lane, before[lane], after, _why(before[lane], after, self._bounds[lane], backlogs.get(lane)))
            for lane, have in held.items()
            if (after := (have.concurrency, have.reserved)) != before[lane]
        ]
        self._tell(changes, held, backlogs, loads)
        self._tell_of_maximum(loads, scales, targets, held, now_ms)
        return changes

    async def _found(self) -> dict[str, Capacity]:
        found = await asyncio.gather(*map(self._capacity.read, self._bounds))
        return dict(zip(self._bounds, found, strict=True))

    async def _all_backlogs(self) -> dict[str, Backlog]:
        async def backlog(lane: str) -> Backlog | None:
            try:
                return await self._backlogs.backlog(lane)
            except RetryableError as error:
                logger.warning("the lane's backlog is not known", extra={"lane": lane, "error": error.message})
                return None

        found = await asyncio.gather(*map(backlog, self._bounds))
        return {lane: each for lane, each in zip(self._bounds, found, strict=True) if each is not None}

    async def _loads(self, found: Mapping[str, Capacity], backlogs: Mapping[str, Backlog]) -> dict[str, LaneLoad]:
        """What the lanes have to do. CloudWatch is asked only while there is anything: it charges for each answer."""
        if all(backlog.nothing for backlog in backlogs.values()):
            return {lane: _load(backlog, LaneReading(), held_up=False) for lane, backlog in backlogs.items()}
        readings, pauses = await asyncio.gather(self._meter.latest(), self._read_pauses())
        return {
            lane: _load(
                backlog,
                readings.get(lane, LaneReading()),
                held_up=found[lane].mapping is MappingState.DISABLED
                or holding(pauses, lane=lane, agent=None) is not None,
            )
            for lane, backlog in backlogs.items()
        }

    async def _read_pauses(self) -> list[Pause]:
        try:
            return await self._pauses.read()
        except RetryableError as error:
            logger.warning("pauses unknown", extra={"error": error.message})
            return []

    def _shares(self, scales: Mapping[str, LaneScale], now_ms: int) -> dict[str, LaneScale]:
        return {
            lane: replace(
                scale,
                concurrency=self._bounds[lane].share,
                reserved=self._bounds[lane].share,
                raised_ms=now_ms,
                lowered_ms=now_ms,
            )
            for lane, scale in scales.items()
        }

    def _decided(
        self,
        loads: Mapping[str, LaneLoad],
        scales: Mapping[str, LaneScale],
        found: Mapping[str, Capacity],
        now_ms: int,
    ) -> dict[str, LaneScale]:
        # What may not be changed keeps its part of the pool.
        kept = sum(capacity.reserved or 0 for lane, capacity in found.items() if lane not in scales)
        policy = replace(self._policy, pool=max(0, self._policy.pool - kept))
        bounds = {lane: bound for lane, bound in self._bounds.items() if lane in scales}
        known = {lane: load for lane, load in loads.items() if lane in scales}
        return decide(policy, bounds, known, scales, now_ms)

    async def _change(
        self,
        run_id: str,
        memory: ScalingMemory,
        held: dict[str, Held],
        scales: Mapping[str, LaneScale],
        targets: Mapping[str, LaneScale],
    ) -> None:
        wanted = {
            lane: Wanted(target.concurrency, target.reserved, self._bounds[lane].share)
            for lane, target in targets.items()
        }
        before = {lane: have.concurrency for lane, have in held.items()}
        await Steps(self._capacity, self._policy.pool, held).take(wanted)
        # Who was to be changed and was not has begun no cooldown.
        reached = {
            lane: target
            if target.concurrency == before[lane] or held[lane].concurrency != before[lane] or not held[lane].certain
            else replace(scales[lane], wanted=target.wanted)
            for lane, target in targets.items()
        }
        remembered = _remembered(memory, held, reached)
        if not await self._memories.follow(ScalingMemory(memory.version + 2, remembered, by=run_id)):
            logger.warning("what was changed could not be noted: another run is at it")

    async def _claim(
        self, run_id: str, memory: ScalingMemory, remembered: Mapping[str, Remembered], until_ms: int
    ) -> bool:
        """Keep others away until this run is over. Should it die, its changes count as made: cooldowns hold."""
        return await self._memories.follow(
            ScalingMemory(memory.version + 1, remembered, by=run_id, busy_until_ms=until_ms)
        )

    async def _note(self, run_id: str, memory: ScalingMemory, remembered: Mapping[str, Remembered]) -> None:
        """Note what the policy has to remember, where it is something new, and what somebody else changed."""
        if remembered != memory.lanes:
            await self._memories.follow(ScalingMemory(memory.version + 1, remembered, by=run_id))

    def _tell(
        self,
        changes: list[Change],
        held: Mapping[str, Held],
        backlogs: Mapping[str, Backlog],
        loads: Mapping[str, LaneLoad],
    ) -> None:
        for change in changes:
            lane = change.lane
            self._metrics.count("ScalerChanges", lane=lane)
            logger.info(
                "lane scaled",
                extra={
                    "lane": lane,
                    "why": change.why,
                    "concurrency": change.after[0],
                    "concurrency_before": change.before[0],
                    "reserved": change.after[1],
                    "reserved_before": change.before[1],
                    "waiting": backlogs[lane].waiting if lane in backlogs else None,
                    "in_flight": backlogs[lane].in_flight if lane in backlogs else None,
                    "oldest_ms": loads[lane].oldest_ms if lane in loads else None,
                    "running": loads[lane].running if lane in loads else None,
                },
            )
        if all(backlog.nothing for backlog in backlogs.values()):
            return
        shares = {lane: bound.share for lane, bound in self._bounds.items()}
        lent = loans(self._policy.pool, shares, {lane: have.reserved for lane, have in held.items()})
        for lane, backlog in backlogs.items():
            gauges = {
                "LaneBacklog": backlog.waiting,
                "LaneConcurrency": held[lane].concurrency,
                "LaneReserved": held[lane].reserved,
                "LaneLent": lent[lane].lent,
            }
            for name, value in gauges.items():
                self._metrics.measure(name, value, unit="Count", lane=lane)

    def _tell_of_maximum(
        self,
        loads: Mapping[str, LaneLoad],
        scales: Mapping[str, LaneScale],
        targets: Mapping[str, LaneScale],
        held: Mapping[str, Held],
        now_ms: int,
    ) -> None:
        """Tell which lanes would have more if there were more to have: without a maximum, and with all of the pool."""
        known = {lane: load for lane, load in loads.items() if lane in scales and load.waiting}
        if not known:
            return
        bounds = {lane: replace(self._bounds[lane], maximum=10 * _UNBOUNDED) for lane in scales}
        policy = replace(self._policy, pool=len(bounds) * 10 * _UNBOUNDED)
        wishes = decide(policy, bounds, known, scales, now_ms)
        for lane in known:
            if wishes[lane].concurrency > targets[lane].concurrency or held[lane].refused:
                self._metrics.count("LaneAtMaximum", lane=lane)


def _may_be_changed(capacity: Capacity) -> bool:
    return capacity.mapping is not MappingState.CHANGING and capacity.reserved != 0


def _held(capacity: Capacity) -> Held:
    concurrency = _UNBOUNDED if capacity.concurrency is None else capacity.concurrency
    return Held(concurrency, capacity.reserved or 0, left_alone=not _may_be_changed(capacity))


def _scale(capacity: Capacity, bounds: LaneBounds, remembered: Remembered | None) -> LaneScale:
    """What a lane has, as the policy is to see it: less than its mapping may ask for is reserved for none.

    Where that is not so (somebody else changed one of the two), it has what both allow.
    """
    concurrency = min(_UNBOUNDED if capacity.concurrency is None else capacity.concurrency, _UNBOUNDED)
    reserved = min(concurrency, bounds.maximum) if capacity.reserved is None else capacity.reserved
    concurrency = min(concurrency, max(bounds.minimum, reserved))
    remembered = remembered or Remembered(0, 0)
    return LaneScale(
        concurrency=concurrency,
        reserved=max(reserved, concurrency),
        provisioned=bounds.provisioned,
        raised_ms=remembered.raised_ms,
        lowered_ms=remembered.lowered_ms,
        wanted=remembered.wanted,
        calm_ms=remembered.calm_ms,
    )


def _load(backlog: Backlog, reading: LaneReading, *, held_up: bool) -> LaneLoad:
    # Who runs holds a message: where none is in flight nobody does.
    running = 0 if backlog.in_flight == 0 else reading.concurrency
    if held_up:
        # What may not start asks for nothing.
        return LaneLoad(waiting=0, in_flight=0, oldest_ms=None, running=running)
    return LaneLoad(
        waiting=backlog.waiting,
        in_flight=backlog.in_flight,
        # A metric is minutes old: what it says of messages that are gone by now is no longer so.
        oldest_ms=None if backlog.nothing or reading.oldest_seconds is None else reading.oldest_seconds * 1000,
        running=running,
    )


def _remembered(
    memory: ScalingMemory, held: Mapping[str, Held], scales: Mapping[str, LaneScale]
) -> dict[str, Remembered]:
    """What the next run is told: what lanes have, and what the policy has to remember of those that it decided on."""
    found = {}
    for lane, have in held.items():
        told = scales.get(lane) or memory.lanes.get(lane) or Remembered(0, 0)
        found[lane] = Remembered(
            have.concurrency, have.reserved, told.raised_ms, told.lowered_ms, told.wanted, told.calm_ms
        )
    return found


def _why(before: tuple[int, int], after: tuple[int, int], bounds: LaneBounds, backlog: Backlog | None) -> str:
    (concurrency, reserved), (now, now_reserved) = before, after
    if reserved < concurrency:
        return "mended"
    if now > concurrency:
        return "backlog"
    if now < concurrency:
        if backlog is None or backlog.nothing:
            return "idle"
        return "given back" if reserved > bounds.share and backlog.waiting else "less suffices"
    if now_reserved > reserved:
        return "taken back"
    return "lent" if now_reserved < bounds.share else "given back"
