"""One lane as it goes: its queue, its event source mapping, and what is known of it."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, replace
from statistics import NormalDist

from capacity.simulation.bill import Bill
from capacity.simulation.environments import Environments, Start
from capacity.simulation.model import LaneResult, Observed, Point, Rules, Setting, SimulatedLane
from capacity.simulation.queues import Queue, SessionQueue
from capacity.simulation.waits import Waits

_NORMAL = NormalDist()


@dataclass(slots=True)
class Batch:
    """An invocation: its tasks by when they arrived, the oldest first."""

    taken: list[float]
    start: Start


@dataclass(frozen=True, slots=True)
class _Minute:
    """What CloudWatch has of one."""

    end: float
    oldest_ms: int | None
    running: int
    busy: float


class Lane:
    """The state of one lane."""

    def __init__(self, about: SimulatedLane, rules: Rules, end: float, seed: str) -> None:
        self.about, self._rules = about, rules
        self.setting = self.asked = about.setting
        self.queue = (SessionQueue if about.load.sessions else Queue)(about.load, end, f"{seed} arrivals")
        self._durations = random.Random(f"{seed} durations")
        self._environments = Environments(rules)
        self.busy, self.wake_at, self.quiet_until = 0, math.inf, 0.0
        self._level, self._level_at = float(rules.mapping_start), 0.0
        self._pressing = self.resting = False
        self.batches: set[int] = set()
        self._oldest_begun: dict[int, float] = {}
        self._in_flight = 0
        self.seen = Observed(0, 0)
        self._minutes: list[_Minute] = []
        self._series: list[Point] = []
        self._waits, self._minute = Waits(), Waits()
        self._bill, self._billed = Bill(about.memory_mb, rules.architecture), 0.0
        self._area, self._area_at, self._peak, self._minute_at, self._unstarted = 0.0, 0.0, 0, 0.0, 0
        self._invocations = self._cold_starts = self._throttles = self._late = self._dead = self._most_receives = 0
        self._raises = self._lowers = self._turns = 0
        self._direction = 0

    def slots(self, now: float) -> int:
        """How many more invocations the mapping would make at once; fewer than none after it was lowered."""
        rules, minutes = self._rules, (now - self._level_at) / 60
        if self._pressing:
            self._level = min(float(rules.mapping_limit), self._level + rules.mapping_per_minute * minutes)
        elif self.resting and self._level > rules.mapping_start:
            fallen = self._level - rules.mapping_fall_per_minute * minutes
            self._level = max(float(rules.mapping_start), float(self.busy), fallen)
        self._level_at = now
        most = self.setting.concurrency
        return (self._whole_level() if most is None else min(self._whole_level(), most)) - self.busy

    def press(self, now: float, waiting_at: float) -> float:
        """All slots are taken, and messages wait from a time on; when to look again, infinity for not at all.

        If the mapping may still scale, that is when the first of them waits, or when there is one slot more.
        """
        self.resting = False
        most, level = self.setting.concurrency, self._whole_level()
        may_scale = level < self._rules.mapping_limit and (most is None or level < most)
        self._pressing = may_scale and waiting_at <= now
        if self._pressing:
            return now + (level + 1 - self._level) * 60 / self._rules.mapping_per_minute
        return waiting_at if may_scale else math.inf

    def rest(self) -> None:
        """Slots are free, and nothing waits."""
        self.resting, self._pressing = True, False

    def begin(self, now: float, taken: list[float], number: int) -> tuple[Batch, float] | None:
        """Run a batch; it, and the seconds until it ends. None: there is no environment for it."""
        start = self._environments.start(now, self.setting.provisioned)
        if start is None:
            return None
        seconds = self._batch_seconds(now, taken)
        begun = now
        if start is Start.COLD:
            self._cold_starts += 1
            begun += self.about.init_seconds
            seconds += self.about.init_seconds
        self._bill.invocation(seconds, start)
        waits = [begun - arrived for arrived in taken]
        self._minute.add(waits)
        if waits[0] > self.about.objective_seconds:
            self._late += sum(wait > self.about.objective_seconds for wait in waits)
        self._invocations += 1
        self._in_flight += len(taken)
        self._oldest_begun[number] = taken[0]
        self._count(now, 1)
        return Batch(taken, start), seconds

    def end(self, now: float, batch: Batch, number: int) -> None:
        """A batch has been run."""
        self._count(now, -1)
        self._environments.give_back(now, batch.start)
        self._in_flight -= len(batch.taken)
        del self._oldest_begun[number]
        self.queue.done(batch.taken)

    def refuse(self, now: float, taken: list[float]) -> None:
        """A batch was handed out, and its invocation throttled."""
        self._throttles += 1
        self._bill.refused()
        self.quiet_until = now + self._rules.throttle_backoff_seconds
        receives = self.queue.receives
        dead = [arrived for arrived in taken if receives.get(arrived, 1) >= self.about.max_receive_count]
        if dead:
            self._dead += len(dead)
            self.queue.done(dead)
        if alive := [arrived for arrived in taken if arrived not in dead]:
            self.queue.give_back(alive, now + self.about.visibility_seconds)
            self._most_receives = max(self._most_receives, *(receives[arrived] for arrived in alive))

    def look(self, now: float) -> None:
        """The queue's attributes are read."""
        self.seen = Observed(self.queue.waiting(now), self._in_flight + self.queue.hidden())

    def observed(self, now: float) -> Observed:
        """What a scaler is told: the attributes, and the last metrics that can be read by now."""
        known = [minute for minute in self._minutes[-4:] if minute.end <= now - self._rules.metrics_age_seconds]
        if not known:
            return self.seen
        return replace(self.seen, oldest_ms=known[-1].oldest_ms, running=known[-1].running, busy=known[-1].busy)

    def ask(self, setting: Setting) -> None:
        """A scaler wants something else."""
        before, after = self.asked.concurrency or math.inf, setting.concurrency or math.inf
        if after != before:
            direction = 1 if after > before else -1
            self._raises += direction > 0
            self._lowers += direction < 0
            self._turns += direction == -self._direction
            self._direction = direction
        self.asked = setting

    def minute(self, now: float) -> None:
        """A minute ends."""
        self._count(now, 0)
        elapsed = now - self._minute_at
        self._bill.provisioned(self.setting.provisioned, elapsed)
        waiting, oldest = self.queue.waiting(now), min(self.queue.oldest(now), *self._oldest_begun.values(), math.inf)
        unstarted = waiting + self.queue.hidden() + self._dead
        busy = self._area / elapsed
        self._minutes.append(
            _Minute(now, round((now - oldest) * 1000) if oldest < math.inf else None, self._peak, busy)
        )
        self._series.append(
            Point(
                at=now,
                arrived=unstarted - self._unstarted + self._minute.total,
                started=self._minute.total,
                waiting=waiting,
                concurrency=self.setting.concurrency,
                reserved=self.setting.reserved,
                running=self._peak,
                busy=busy,
                wait_p95=self._minute.percentile(0.95),
                dollars=self._bill.dollars - self._billed,
            )
        )
        self._waits.merge(self._minute)
        self._minute, self._billed, self._unstarted = Waits(), self._bill.dollars, unstarted
        self._area, self._peak, self._minute_at = 0.0, self.busy, now

    def result(self, now: float) -> LaneResult:
        """What became of it."""
        return LaneResult(
            tasks=self._waits.total,
            left=self.queue.waiting(now) + self.queue.hidden(),
            dead=self._dead,
            wait_p50=self._waits.percentile(0.5),
            wait_p95=self._waits.percentile(0.95),
            wait_p99=self._waits.percentile(0.99),
            wait_max=self._waits.longest,
            late=self._late,
            invocations=self._invocations,
            gb_seconds=self._bill.gb_seconds,
            dollars=self._bill.dollars,
            provisioned_dollars=self._bill.provisioned_dollars,
            cold_starts=self._cold_starts,
            throttles=self._throttles,
            most_receives=self._most_receives,
            raises=self._raises,
            lowers=self._lowers,
            turns=self._turns,
            series=tuple(self._series),
        )

    def _whole_level(self) -> int:
        return int(self._level + 1e-9)

    def _count(self, now: float, change: int) -> None:
        self._area += self.busy * (now - self._area_at)
        self._area_at = now
        self.busy += change
        self._peak = max(self._peak, self.busy)

    def _batch_seconds(self, now: float, taken: list[float]) -> float:
        """As long as its longest task; of a session's tasks, as long as all of them one after the other."""
        load = self.about.load
        mean, spread = load.seconds(now), load.spread
        if isinstance(self.queue, SessionQueue):
            sessions: dict[int, float] = {}
            for arrived in taken:
                session = self.queue.session_of(arrived)
                sessions[session] = sessions.get(session, 0.0) + self._longest(mean, spread, 1)
            return max(sessions.values())
        return self._longest(mean, spread, len(taken))

    def _longest(self, mean: float, spread: float, tasks: int) -> float:
        """The longest of so many log-normal durations, drawn at once: the odds of all are the n-th power of one's."""
        if not spread:
            return mean
        odds = (1.0 - self._durations.random()) ** (1.0 / tasks)
        return mean * math.exp(spread * _NORMAL.inv_cdf(min(odds, 1 - 1e-12)) - spread * spread / 2)
