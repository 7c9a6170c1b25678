"""A circuit as one environment knows it: at most so old, read once for all who ask, and never in the way.

Failure policy: open. While the store does not answer, what was last known holds until its time is over, and after that
calls go on, guarded by what this environment sees for itself (`LocalGuard`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from random import Random
from typing import Any, TypeVar

from flotilla.circuit_ports import CircuitStore, ProbeLease, Transition, Transitions
from flotilla.clock import Clock
from flotilla.errors import RetryableError, StoreUnavailableError
from flotilla.metric_ports import Metrics, NoMetrics
from flotilla.primitives.circuit import CircuitRecord, CircuitState
from flotilla.primitives.circuit_pace import Pace
from flotilla.primitives.circuit_policy import CircuitPolicy
from flotilla.primitives.circuit_window import SubBucket

logger = logging.getLogger("flotilla.circuit")

T = TypeVar("T")

Step = Callable[[CircuitRecord], CircuitRecord | None]

PATIENCE_SECONDS = 1.0
"""Longest that a call waits for the store, each time that it needs it."""

_LOOK_GAP_MS = 25
"""However often calls fail, the store is not asked more often."""

_EARLY = 0.5
"""From this part of its time on, a state is looked at anew before a call that ends a long pause (`Pace`)."""

_BUSY_PER_SECOND = 8.0
"""From so many calls a second on, an answer serves as long as it may. Where there are fewer it serves for less time, so
that about as many calls are made on one: reads are cheap, and a quiet environment would else learn late."""

_SHORTEST_MS = 200

_TRIES = 8
"""Steps that others may make in between before one is given up: at most a few probes end at once."""


class LoggedTransitions:
    """`Transitions` that are log lines."""

    async def tell(self, transition: Transition) -> None:
        """See `Transitions.tell`."""
        before, after = transition.before, transition.after
        opened = after.state is CircuitState.OPEN
        logger.log(
            logging.WARNING if opened else logging.INFO,
            "circuit changed",
            extra={
                "circuit": transition.circuit,
                "from_state": before.state.value,
                "to_state": after.state.value,
                "mode": after.mode.value,
                "version": after.version,
                "reason": after.reason,
                "cooldown_ms": after.cooldown_ms if opened else 0,
                "by": after.by,
            },
        )


class PatientCircuits:
    """`CircuitStore` that counts as down where it takes too long. What was asked of it may still be carried out.

    Args:
        store: The store.
        patience_seconds: How long each call may take. Reads of a state are waited for by who asks: they are shared.
    """

    def __init__(self, store: CircuitStore, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._store = store
        self._patience_seconds = patience_seconds

    async def read(self, circuit: str, *, consistent: bool) -> CircuitRecord:
        """See `CircuitStore.read`."""
        return await self._store.read(circuit, consistent=consistent)

    async def transition(self, circuit: str, record: CircuitRecord) -> CircuitRecord | None:
        """See `CircuitStore.transition`."""
        return await self._within(self._store.transition(circuit, record))

    async def add(self, circuit: str, shard: int, columns: Mapping[str, int], now_ms: int) -> SubBucket:
        """See `CircuitStore.add`."""
        return await self._within(self._store.add(circuit, shard, columns, now_ms))

    async def window(self, circuit: str, since_ms: int) -> list[SubBucket]:
        """See `CircuitStore.window`."""
        return await self._within(self._store.window(circuit, since_ms))

    async def acquire_probe(self, circuit: str, lease: ProbeLease, now_ms: int) -> int | None:
        """See `CircuitStore.acquire_probe`."""
        return await self._within(self._store.acquire_probe(circuit, lease, now_ms))

    async def return_probe(self, circuit: str, slot: int, owner: str) -> None:
        """See `CircuitStore.return_probe`."""
        await self._within(self._store.return_probe(circuit, slot, owner))

    async def _within(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            return await asyncio.wait_for(work, self._patience_seconds)
        except TimeoutError as error:
            raise StoreUnavailableError("it does not answer in time", code="circuits_unavailable") from error


class CircuitView:
    """What is known of one circuit.

    Args:
        circuit: Its name.
        policy: Its settings.
        store: Where its record is kept.
        transitions: Told of the steps that are made here.
        clock: Tells how old an answer is.
        random: Spreads the reads of a fleet.
        patience_seconds: A store that has not answered by then counts as one that is down.
        metrics: Counts what the store did not answer.
    """

    def __init__(
        self,
        circuit: str,
        policy: CircuitPolicy,
        store: CircuitStore,
        transitions: Transitions,
        clock: Clock,
        random: Random,
        patience_seconds: float = PATIENCE_SECONDS,
        metrics: Metrics | None = None,
    ) -> None:
        self._metrics = metrics or NoMetrics()
        self._circuit = circuit
        self._policy = policy
        self._store = PatientCircuits(store, patience_seconds)
        self._transitions = transitions
        self._clock = clock
        self._random = random
        self._patience_seconds = patience_seconds
        self._asked_ms: int | None = None
        self._good_for_ms = 0
        self._calls = 0
        self._pace = Pace()
        self._failed_ms: int | None = None
        self._reading: asyncio.Task[None] | None = None
        self._reading_ms = 0
        self.record = CircuitRecord()
        self.down = False

    def suspect(self, now_ms: int) -> None:
        """A call has failed: the next one looks before it is made."""
        self._failed_ms = now_ms

    async def fresh(self) -> CircuitRecord:
        """The record for one call, read anew where it is too old or a call has failed since it was read."""
        now_ms = self._clock.now_ms()
        self._calls += 1
        age_ms = None if self._asked_ms is None else now_ms - self._asked_ms
        if self._pace.begins(now_ms) and age_ms is not None and age_ms >= _EARLY * self._good_for_ms:
            self._good_for_ms = 0  # for all who come until it is known
        if age_ms is None or not 0 <= age_ms < self._good_for_ms:
            await self.look(consistent=False)
        elif age_ms >= _LOOK_GAP_MS and self._failed_since(now_ms - age_ms):
            await self.look(consistent=True)
        return self.record

    async def look(self, *, consistent: bool) -> CircuitRecord:
        """The record as it is now; as it was known where the store does not answer."""
        reading = self._reading_in_flight(consistent)
        # `wait` neither cancels the read when a waiter is cancelled nor when it takes too long: others wait for it too.
        done, _ = await asyncio.wait({reading}, timeout=self._patience_seconds)
        if done:
            reading.result()
        elif self._reading is reading:
            self._reading = None
            self._known(self._clock.now_ms())
            self.unavailable("it does not answer in time")
        return self.record

    async def known_since(self, moment_ms: int) -> CircuitRecord:
        """The record as it was at `moment_ms` or later."""
        if self._asked_ms is None or self._asked_ms < moment_ms:
            await self.look(consistent=True)
        return self.record

    async def move(self, step: Step) -> CircuitRecord:
        """Make a step from the record as it is, or as it turns out to be; none where `step` sees no cause.

        Returns:
            The record after it, whoever made it. Where the store does not answer, as it was known.
        """
        for _ in range(_TRIES):
            before = self.record
            after = step(before)
            if after is None:
                break
            asked_ms = self._clock.now_ms()
            try:
                there = await self._store.transition(self._circuit, after)
            except RetryableError as error:
                self.unavailable(error.message)
                break
            self._learn(after if there is None else there, asked_ms)
            if there is None:
                if (before.state, before.mode) != (after.state, after.mode):
                    await self._tell(Transition(self._circuit, before, after))
                break
        return self.record

    def unavailable(self, why: str) -> None:
        """The store did not answer."""
        self._metrics.count("ProtectionUnavailable", protection="circuit")
        if not self.down:
            logger.warning(
                "protection unavailable, calls go on",
                extra={"code": "circuits_unavailable", "circuit": self._circuit, "error": why},
            )
        self.down = True

    def _failed_since(self, moment_ms: int) -> bool:
        return self._failed_ms is not None and self._failed_ms >= moment_ms

    def _reading_in_flight(self, consistent: bool) -> asyncio.Task[None]:
        """The read under way, or a new one.

        One that was begun before a call failed may bring what was before it, and one that is older than an answer may
        be was begun before this process was frozen between two invocations.
        """
        reading, now_ms = self._reading, self._clock.now_ms()
        if reading is not None and not reading.done() and 0 <= now_ms - self._reading_ms < _LOOK_GAP_MS:
            return reading
        self._reading_ms = now_ms
        self._reading = asyncio.ensure_future(self._read(consistent, now_ms))
        return self._reading

    async def _read(self, consistent: bool, asked_ms: int) -> None:
        try:
            found = await self._store.read(self._circuit, consistent=consistent)
        except RetryableError as error:
            self._known(asked_ms)  # asked again later, not by every call
            self.unavailable(error.message)
            return
        if self.down:
            logger.info("protection is back", extra={"circuit": self._circuit})
        self.down = False
        self._learn(found, asked_ms)

    def _learn(self, found: CircuitRecord, asked_ms: int) -> None:
        # A slow or eventually consistent read may bring what has been overtaken.
        if found.version >= self.record.version:
            self.record = found
        self._known(asked_ms)

    def _known(self, asked_ms: int) -> None:
        if self._asked_ms is not None and asked_ms < self._asked_ms:
            return
        since_ms = self._policy.state_ttl_ms if self._asked_ms is None else max(1, asked_ms - self._asked_ms)
        busy = min(1.0, self._calls * 1000 / since_ms / _BUSY_PER_SECOND)
        self._calls = 0
        self._asked_ms = asked_ms
        longest_ms = self._policy.state_ttl_ms * (1.15 + self._random.random() / 10)
        self._good_for_ms = max(int(longest_ms * busy), min(_SHORTEST_MS, self._policy.state_ttl_ms))

    async def _tell(self, transition: Transition) -> None:
        try:
            await self._transitions.tell(transition)
        except RetryableError as error:
            logger.warning("a circuit's change was not told", extra={"circuit": self._circuit, "error": error.message})
