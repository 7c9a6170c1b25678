"""The discrete-event model itself: a heap of what happens next.

An event for each batch, not for each task: tasks that find all slots taken just wait, and are counted when they are
handed out. So a day of ten thousand tasks a minute takes seconds as long as batches are full.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import replace

from capacity.simulation.lane import Batch, Lane
from capacity.simulation.model import Result, Rules, Scaler, Setting, SimulatedLane

_MINUTE = 60.0


def simulate(
    lanes: Mapping[str, SimulatedLane],
    *,
    seconds: float,
    scaler: Scaler | None = None,
    every_seconds: float = 60.0,
    seed: int = 0,
    rules: Rules | None = None,
) -> Result:
    """Run the lanes for a while.

    Args:
        lanes: By name, the most important first.
        seconds: How long.
        scaler: Asked every `every_seconds`; None: the settings stay as they are.
        every_seconds: The scaler's period.
        seed: Another seed is another run of the same load.
        rules: AWS's, unless others are given.
    """
    model = _Model(lanes, seconds, seed, rules or Rules())
    model.run(scaler, every_seconds)
    return Result(seconds, {name: lane.result(seconds) for name, lane in model.lanes.items()})


class _Model:
    def __init__(self, lanes: Mapping[str, SimulatedLane], seconds: float, seed: int, rules: Rules) -> None:
        self._rules, self._seconds = rules, seconds
        self.lanes = {name: Lane(about, rules, seconds, f"{seed} {name}") for name, about in lanes.items()}
        self._events: list[tuple[float, int, Callable[[float], None]]] = []
        self._numbers = itertools.count()

    def run(self, scaler: Scaler | None, every_seconds: float) -> None:
        for lane in self.lanes.values():
            self._wake(lane, 0.0)
        self._each(_MINUTE, 0.0, self._minute)
        if scaler is not None:
            age = min(self._rules.attributes_age_seconds, every_seconds)
            self._each(every_seconds, -age, self._look)
            self._each(every_seconds, 0.0, lambda now: self._scale(scaler, now))
        events = self._events
        while events and events[0][0] <= self._seconds:
            at, _, happen = heapq.heappop(events)
            happen(at)

    def _at(self, at: float, happen: Callable[[float], None]) -> None:
        heapq.heappush(self._events, (at, next(self._numbers), happen))

    def _each(self, every: float, offset: float, happen: Callable[[float], None]) -> None:
        def again(now: float) -> None:
            happen(now)
            self._at(now + every, again)

        self._at(every + offset, again)

    def _wake(self, lane: Lane, at: float) -> None:
        """The lane looks for work at this time; of several such times the first counts."""
        if at < lane.wake_at:
            lane.wake_at = at

            def look(now: float) -> None:
                if lane.wake_at == now:
                    lane.wake_at = math.inf
                    self._hand_out(lane, now)

            self._at(at, look)

    def _hand_out(self, lane: Lane, now: float) -> None:
        if now < lane.quiet_until:
            self._wake(lane, lane.quiet_until)
            return
        slots, most = lane.slots(now), lane.about.batch_size
        while slots > 0:
            taken = lane.queue.take(now, most)
            if taken and not self._begin(lane, now, taken):
                self._wake(lane, lane.quiet_until)
                return
            if len(taken) < most:
                lane.rest()
                self._wake(lane, max(now, lane.queue.next_at(now)) + self._rules.poll_seconds)
                return
            slots -= 1
        self._wake(lane, lane.press(now, lane.queue.next_at(now)))

    def _begin(self, lane: Lane, now: float, taken: list[float]) -> bool:
        number = next(self._numbers)
        begun = lane.begin(now, taken, number) if self._may_run(lane) else None
        if begun is None:
            lane.refuse(now, taken)
            return False
        batch, seconds = begun
        self._at(now + seconds + self._rules.poll_seconds, lambda then: self._end(lane, then, batch, number))
        return True

    def _end(self, lane: Lane, now: float, batch: Batch, number: int) -> None:
        lane.end(now, batch, number)
        # Where slots were free already, and no session has become so, the next message is waited for anyway.
        if not lane.resting or lane.about.load.sessions:
            self._hand_out(lane, now)

    def _may_run(self, lane: Lane) -> bool:
        """Whether its reserved concurrency, or what others leave of the account's, has room for one more."""
        lanes = self.lanes.values()
        if sum(one.busy for one in lanes) >= self._rules.account_concurrency:
            return False
        if lane.setting.reserved is not None:
            return lane.busy < lane.setting.reserved
        unreserved = self._rules.account_concurrency - sum(one.setting.reserved or 0 for one in lanes)
        return sum(one.busy for one in lanes if one.setting.reserved is None) < unreserved

    def _minute(self, now: float) -> None:
        for lane in self.lanes.values():
            lane.minute(now)

    def _look(self, now: float) -> None:
        for lane in self.lanes.values():
            lane.look(now)

    def _scale(self, scaler: Scaler, now: float) -> None:
        observed = {name: lane.observed(now) for name, lane in self.lanes.items()}
        asked = {name: lane.asked for name, lane in self.lanes.items()}
        for name, setting in scaler(round(now * 1000), observed, asked).items():
            lane = self.lanes[name]
            if setting == lane.asked:
                continue
            if setting.concurrency != lane.asked.concurrency:
                self._later(lane, now + self._rules.mapping_update_seconds, _mapping(setting))
            if (setting.reserved, setting.provisioned) != (lane.asked.reserved, lane.asked.provisioned):
                self._later(lane, now + self._rules.reserved_update_seconds, _function(setting))
            lane.ask(setting)

    def _later(self, lane: Lane, at: float, change: Callable[[Setting], Setting]) -> None:
        def happen(now: float) -> None:
            lane.slots(now)
            lane.setting = change(lane.setting)
            self._hand_out(lane, now)

        self._at(at, happen)


def _mapping(to: Setting) -> Callable[[Setting], Setting]:
    return lambda now: replace(now, concurrency=to.concurrency)


def _function(to: Setting) -> Callable[[Setting], Setting]:
    return lambda now: replace(now, reserved=to.reserved, provisioned=to.provisioned)
