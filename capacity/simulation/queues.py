"""The two kinds of queues of the model: of tasks that stand alone, and of tasks that belong to sessions.

Messages are known by when they arrived. Arrivals are drawn as they are needed, from a generator of their own, so that
they are the same whatever becomes of them.
"""

from __future__ import annotations

import heapq
import math
import random
from bisect import bisect_right
from collections import deque
from collections.abc import Iterator

from capacity.simulation.model import Load

_SLICE = 1.0
_TRIM = 50_000


def arrivals(load: Load, end: float, seed: str) -> Iterator[list[float]]:
    """When tasks arrive, second by second, at random at the rate of each second."""
    rng = random.Random(seed)
    draw, log = rng.random, math.log
    at = 0.0
    while at < end:
        rate, until = load.per_second(at), min(end, at + _SLICE)
        found: list[float] = []
        if rate > 0:
            moment = at - log(1.0 - draw()) / rate
            while moment < until:
                found.append(moment)
                moment -= log(1.0 - draw()) / rate
        yield found
        at = until


class Queue:
    """Tasks that stand alone, each a message group: handed out in order of arrival."""

    def __init__(self, load: Load, end: float, seed: str) -> None:
        self._slices = arrivals(load, end, seed)
        self._drawn_until = 0.0
        self._times: list[float] = []
        self._head = 0
        self._back: list[tuple[float, float]] = []
        self._again: list[float] = []
        self.receives: dict[float, int] = {}

    def take(self, now: float, most: int) -> list[float]:
        """Hand out what is visible, the oldest first."""
        self._draw(now)
        times, head = self._times, self._head
        if self._back or self._again:
            self._return(now)
            taken = [heapq.heappop(self._again) for _ in range(min(most, len(self._again)))]
        else:
            taken = []
        stop = min(len(times), head + most - len(taken))
        if stop > head and times[stop - 1] > now:
            stop = bisect_right(times, now, head, stop)
        taken += times[head:stop]
        self._head = stop
        if stop > _TRIM:
            del times[:stop]
            self._head = 0
        return taken

    def next_at(self, now: float) -> float:
        """When there may be something to hand out; infinity if never again."""
        back = self._back[0][0] if self._back else math.inf
        return now if self._again else min(back, self._next_arrival())

    def done(self, taken: list[float]) -> None:
        """These were run."""
        for arrived in taken if self.receives else ():
            self.receives.pop(arrived, None)

    def give_back(self, taken: list[float], visible_at: float) -> None:
        """These were not run; they are seen again later."""
        for arrived in taken:
            self.receives[arrived] = self.receives.get(arrived, 1) + 1
            heapq.heappush(self._back, (visible_at, arrived))

    def waiting(self, now: float) -> int:
        """How many messages could be handed out."""
        self._draw(now)
        self._return(now)
        return bisect_right(self._times, now, self._head) - self._head + len(self._again)

    def hidden(self) -> int:
        """How many were handed out, not run, and are not seen yet."""
        return len(self._back)

    def oldest(self, now: float) -> float:
        """When the oldest of those arrived that were not run; infinity if there is none."""
        self._draw(now)
        head = self._times[self._head] if self._head < len(self._times) else math.inf
        hidden = min((arrived for _, arrived in self._back), default=math.inf)
        again = self._again[0] if self._again else math.inf
        return min(head if head <= now else math.inf, hidden, again)

    def _draw(self, until: float) -> None:
        while self._drawn_until <= until:
            found = next(self._slices, None)
            if found is None:
                self._drawn_until = math.inf
                return
            self._times += found
            self._drawn_until += _SLICE

    def _next_arrival(self) -> float:
        while self._head >= len(self._times) and self._drawn_until < math.inf:
            self._draw(self._drawn_until)
        return self._times[self._head] if self._head < len(self._times) else math.inf

    def _return(self, now: float) -> None:
        while self._back and self._back[0][0] <= now:
            heapq.heappush(self._again, heapq.heappop(self._back)[1])


class SessionQueue(Queue):
    """Tasks of sessions: in order within each, and of a session that is being worked on nothing is handed out."""

    def __init__(self, load: Load, end: float, seed: str) -> None:
        super().__init__(load, end, seed)
        self._sessions = load.sessions
        self._pick = random.Random(f"{seed} sessions")
        self._groups: dict[int, deque[float]] = {}
        self._ready: list[tuple[float, int]] = []
        self._group_of: dict[float, int] = {}
        self._locked: set[int] = set()
        self._returning: list[tuple[float, list[float]]] = []
        self._waiting = 0

    def take(self, now: float, most: int) -> list[float]:
        """Hand out what is visible, the oldest first, and lock its sessions."""
        self._absorb(now)
        taken: list[float] = []
        more: list[tuple[float, int]] = []
        while len(taken) < most and (self._ready or more):
            source = more if more and (not self._ready or more[0] < self._ready[0]) else self._ready
            arrived, session = heapq.heappop(source)
            taken.append(arrived)
            self._locked.add(session)
            waiting = self._groups[session]
            waiting.popleft()
            if waiting:
                heapq.heappush(more, (waiting[0], session))
        self._waiting -= len(taken)
        return taken

    def session_of(self, arrived: float) -> int:
        """Whose task it is."""
        return self._group_of[arrived]

    def next_at(self, now: float) -> float:
        """When there may be something to hand out; infinity if not before a session is free."""
        back = self._returning[0][0] if self._returning else math.inf
        return now if self._ready else min(back, self._next_arrival())

    def done(self, taken: list[float]) -> None:
        """These were run; their sessions are free."""
        super().done(taken)
        for session in {self._group_of.pop(arrived) for arrived in taken}:
            self._unlock(session)

    def give_back(self, taken: list[float], visible_at: float) -> None:
        """These were not run; their sessions stay locked until they are seen again."""
        for arrived in taken:
            self.receives[arrived] = self.receives.get(arrived, 1) + 1
        heapq.heappush(self._returning, (visible_at, taken))

    def waiting(self, now: float) -> int:
        """How many messages there are that were not handed out."""
        self._absorb(now)
        return self._waiting

    def hidden(self) -> int:
        """How many were handed out, not run, and are not seen yet."""
        return sum(len(taken) for _, taken in self._returning)

    def oldest(self, now: float) -> float:
        """When the oldest of those arrived that were not run; infinity if there is none."""
        self._absorb(now)
        groups = min((waiting[0] for waiting in self._groups.values() if waiting), default=math.inf)
        return min(groups, min((taken[0] for _, taken in self._returning), default=math.inf))

    def _absorb(self, now: float) -> None:
        self._draw(now)
        while self._returning and self._returning[0][0] <= now:
            taken = heapq.heappop(self._returning)[1]
            self._waiting += len(taken)
            for arrived in reversed(taken):
                self._groups[self._group_of[arrived]].appendleft(arrived)
            for session in {self._group_of[arrived] for arrived in taken}:
                self._unlock(session)
        times = self._times
        while self._head < len(times) and times[self._head] <= now:
            arrived = times[self._head]
            self._head += 1
            session = self._group_of[arrived] = self._pick.randrange(self._sessions)
            waiting = self._groups.setdefault(session, deque())
            waiting.append(arrived)
            self._waiting += 1
            if len(waiting) == 1 and session not in self._locked:
                heapq.heappush(self._ready, (arrived, session))
        if self._head > _TRIM:
            del times[: self._head]
            self._head = 0

    def _unlock(self, session: int) -> None:
        self._locked.discard(session)
        if waiting := self._groups[session]:
            heapq.heappush(self._ready, (waiting[0], session))
