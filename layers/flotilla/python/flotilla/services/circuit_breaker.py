"""A circuit breaker that a whole fleet shares: what one environment learns at a cost, the others know.

    async with breaker.call() as call:          # CircuitOpenError where it is better not to call
        answer = await client.get(...)
        call.outcome = CallOutcome.FAILED if answer.status_code >= 500 else CallOutcome.OK

A healthy call costs a read every `state_ttl_ms` and a write every `report_every_ms`, shared by all calls of its
environment. A failure makes the next call look at the shared state first, and report what it comes to.

Failure policy: open. Without its store the breaker lets calls through, and holds back only where nothing that this
environment calls succeeds any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from random import Random

from flotilla.circuit_ports import CircuitStore, ProbeLease, Transitions
from flotilla.clock import Clock
from flotilla.errors import CircuitOpenError, ParkedError, PermanentError, RetryableError
from flotilla.metric_ports import Metrics, NoMetrics
from flotilla.primitives.circuit import (
    CallOutcome,
    CircuitMode,
    CircuitRecord,
    CircuitState,
    Let,
    Probe,
    Refuse,
    half_open_retry_ms,
    may_trip,
    permit,
    probe_failed,
    probe_passed,
    settled,
    tripped,
)
from flotilla.primitives.circuit_guard import FAILURES, LocalGuard
from flotilla.primitives.circuit_policy import CircuitPolicy
from flotilla.primitives.circuit_recovery import eased, usual_per_minute
from flotilla.primitives.circuit_window import OK, SubBucket, Window
from flotilla.services.circuit_reports import Call, CallReports
from flotilla.services.circuit_view import CircuitView, LoggedTransitions, PatientCircuits

_JUDGE_GAP_MS = 100
_REPORT_LATENESS = 1.5
"""Of the time between two reports, what the oldest call in one may be old."""
_FIRST_DENIAL_MS = 500
_LONGEST_DENIAL_MS = 5_000
_LARGEST_EXPONENT = 8


@dataclass(slots=True, eq=False)
class Passage:
    """Leave to make one call. Every one is to be handed to `record`, whatever became of the call.

    Attributes:
        call: When it began, and whether it is reported at once.
        lease: The probe's, where it is one.
        episode: Which opening of the circuit it probes.
        outcome: Set it to say what the call says about the other side; None: by the error that ends the block.
    """

    call: Call
    lease: ProbeLease | None = None
    episode: int = 0
    outcome: CallOutcome | None = None


class CircuitBreaker:
    """The circuit `circuit` in this environment. One for each event loop; calls may overlap.

    Args:
        circuit: The name that all environments share.
        policy: Its settings.
        store: Where it is shared.
        clock: Time.
        random: Randomness, of this environment's own.
        environment: Names this environment; unique in the fleet.
        transitions: Told of the steps made here; log lines by default.
        metrics: Counts calls that are refused, and what the store did not answer.
    """

    def __init__(
        self,
        circuit: str,
        policy: CircuitPolicy,
        store: CircuitStore,
        clock: Clock,
        random: Random,
        environment: str,
        transitions: Transitions | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        self._metrics = metrics or NoMetrics()
        self._circuit = circuit
        self._policy = policy
        self._store = PatientCircuits(store)
        self._clock = clock
        self._random = random
        self._environment = environment
        self._view = CircuitView(
            circuit, policy, store, transitions or LoggedTransitions(), clock, random, metrics=metrics
        )
        self._reports = CallReports(policy, random.random())
        self._guard = LocalGuard()
        self._shard = random.randrange(policy.shards)
        self._probes = count(1)
        self._denials = 0
        self._denied_until_ms = 0
        self._denied_version = 0
        self._passed_ms: int | None = None
        self._judged_ms: int | None = None
        self._judge_again_ms: int | None = None

    @asynccontextmanager
    async def call(self) -> AsyncIterator[Passage]:
        """Make one call within the block.

        Where the block does not say what the call came to, its error does: none is success; `PermanentError` too, for
        the other side has answered; `ParkedError` and cancellation say nothing; every other is a failure.

        Raises:
            CircuitOpenError: The call is not to be made now.
        """
        passage = await self.before()
        outcome = CallOutcome.FAILED
        try:
            yield passage
            outcome = CallOutcome.OK
        except PermanentError:
            outcome = CallOutcome.OK
            raise
        except (ParkedError, asyncio.CancelledError, GeneratorExit):
            outcome = CallOutcome.UNKNOWN
            raise
        finally:
            await self.record(passage, passage.outcome or outcome)

    async def before(self) -> Passage:
        """Ask for leave to make one call.

        Raises:
            CircuitOpenError: It is not to be made now.
        """
        record = await self._current()
        now_ms = self._clock.now_ms()
        leave = permit(record, now_ms, self._policy, draw=self._random.random(), jitter=self._random.random())
        if self._view.down and record.mode is CircuitMode.AUTO and now_ms >= record.until_ms:
            leave = Let()  # what was known is over, and nobody can say how it is now
        if isinstance(leave, Refuse):
            raise self._refused(leave.retry_after_ms)
        if isinstance(leave, Probe):
            return await self._probe(record, leave.slots)
        if (hold_ms := self._hold_ms(record, now_ms)) > 0:
            raise self._refused(hold_ms + int(hold_ms * self._random.random() / 4))
        return Passage(self._reports.begin(now_ms))

    async def record(self, passage: Passage, outcome: CallOutcome, duration_ms: int | None = None) -> None:
        """Say what a call came to.

        Args:
            passage: The leave it was made by.
            outcome: What it says about the other side.
            duration_ms: How long it took; by default since `before`.
        """
        now_ms = self._clock.now_ms()
        taken_ms = now_ms - passage.call.started_ms if duration_ms is None else duration_ms
        if outcome is CallOutcome.FAILED:
            self._guard.failed()
            self._view.suspect(now_ms)
        elif outcome is CallOutcome.OK:
            self._guard.passed()
            self._passed_ms = now_ms
        at_once = self._reports.end(passage.call, outcome, taken_ms, now_ms, self._guard.streak)
        if passage.lease is not None:
            await self._probed(passage, passage.lease, outcome, taken_ms)
        if at_once:
            await self._report(judge=outcome is CallOutcome.FAILED)
        elif outcome is CallOutcome.FAILED and self._judge_again_ms is not None and now_ms >= self._judge_again_ms:
            await self._judge(None)

    async def flush(self, *, everything: bool = False) -> None:
        """Send what should have been sent by now, as at the end of a batch; or all that waits.

        Without `everything`, what is younger than a report's time waits for the next invocation: it tells nothing that
        is worth a write.
        """
        if self._reports.overdue(self._clock.now_ms()) or (everything and self._reports.waiting):
            await self._report(judge=False)

    @property
    def known(self) -> CircuitRecord:
        """The circuit as it was when it was last looked at, for a call or otherwise."""
        return self._view.record

    async def state(self) -> CircuitRecord:
        """The circuit as this environment knows it, at most `state_ttl_ms` and a quarter old."""
        return await self._current()

    async def succeeded_since(self, since_ms: int) -> bool:
        """Whether a call ended well since then, here or, as far as it was reported, anywhere in the fleet.

        A read of the window, unless one from here did. False where the store does not answer: nobody knows.
        """
        if self._passed_ms is not None and self._passed_ms >= since_ms:
            return True
        # What is reported may have ended as long before as a report takes: only what surely ended since then counts.
        surely_ms = since_ms + int(self._policy.report_every_ms * _REPORT_LATENESS)
        if surely_ms > self._clock.now_ms():
            return False
        try:
            found = await self._store.window(self._circuit, surely_ms)
        except RetryableError as error:
            self._view.unavailable(error.message)
            return False
        return any(bucket.columns.get(OK, 0) > 0 for bucket in found)

    async def _current(self) -> CircuitRecord:
        record = await self._view.fresh()
        if settled(record, self._clock.now_ms(), self._environment) is not None and not self._view.down:
            # Time has moved it. Likely somebody has said so already: looking costs less than being refused.
            await self._view.known_since(record.until_ms)
            await self._view.move(lambda known: settled(known, self._clock.now_ms(), self._environment))
        return self._view.record

    async def _probe(self, record: CircuitRecord, slots: int) -> Passage:
        now_ms = self._clock.now_ms()
        if record.version != self._denied_version:
            self._denials, self._denied_version, self._denied_until_ms = 0, record.version, 0
        if now_ms < self._denied_until_ms:
            raise self._refused(half_open_retry_ms(self._random.random()))
        try:
            lease = await self._lease(slots, now_ms)
        except RetryableError as error:
            self._view.unavailable(error.message)
            return Passage(self._reports.begin(now_ms))
        if lease is None:
            wait_ms = min(_FIRST_DENIAL_MS * 2 ** min(self._denials, _LARGEST_EXPONENT), _LONGEST_DENIAL_MS)
            self._denials += 1
            self._denied_until_ms = now_ms + int(wait_ms * (0.5 + self._random.random()))
            raise self._refused(half_open_retry_ms(self._random.random()))
        # What is known may be two seconds old: another's probe may have opened the circuit anew meanwhile.
        seen = await self._view.look(consistent=True)
        if (seen.state, seen.episode) != (CircuitState.HALF_OPEN, record.episode):
            await self._give_back(lease)
            raise self._refused(half_open_retry_ms(self._random.random()))
        return Passage(Call(self._clock.now_ms()), lease, record.episode)

    async def _lease(self, slots: int, now_ms: int) -> ProbeLease | None:
        owner = f"{self._environment}/{next(self._probes)}"
        for slot in self._random.sample(range(slots), min(2, slots)):
            lease = ProbeLease(slot, owner, now_ms + self._policy.probe_lease_ms)
            if await self._store.acquire_probe(self._circuit, lease, now_ms) is None:
                return lease
        return None

    async def _probed(self, passage: Passage, lease: ProbeLease, outcome: CallOutcome, taken_ms: int) -> None:
        policy, by, limit_ms = self._policy, self._environment, self._policy.latency_p99_ms
        slow = limit_ms is not None and taken_ms > limit_ms
        if outcome is CallOutcome.FAILED or (slow and outcome is CallOutcome.OK):
            reason = "a probe was slow" if slow else "a probe failed"
            await self._view.move(
                lambda known: probe_failed(known, passage.episode, self._clock.now_ms(), policy, reason=reason, by=by)
            )
        elif outcome is CallOutcome.OK:
            await self._view.move(lambda known: probe_passed(known, passage.episode, self._clock.now_ms(), policy, by))
        # Only now: until then nobody else may probe in its place.
        await self._give_back(lease)

    async def _give_back(self, lease: ProbeLease) -> None:
        try:
            await self._store.return_probe(self._circuit, lease.slot, lease.owner)
        except RetryableError as error:
            self._view.unavailable(error.message)  # it is free when it expires

    async def _report(self, *, judge: bool) -> None:
        """Send what waits; where a trial failed or what comes back is odd, look at what the whole fleet reported."""
        if not judge:
            own = await self._send()
            if own is not None and own.suspicious(self._policy):
                await self._judge(own)
            return
        # At once: until the circuit opens, the whole fleet goes on calling.
        window, own = await asyncio.gather(self._window(), self._send())
        if window is not None:
            await self._decide(window, own)

    async def _send(self) -> SubBucket | None:
        now_ms = self._clock.now_ms()
        columns = self._reports.take(now_ms)
        try:
            return await self._store.add(self._circuit, self._shard, columns, now_ms)
        except RetryableError as error:
            self._view.unavailable(error.message)
            return None

    async def _judge(self, own: SubBucket | None) -> None:
        window = await self._window()
        if window is not None:
            await self._decide(window, own)

    async def _window(self) -> list[SubBucket] | None:
        """What the fleet has reported; None where it does not matter, was asked a moment ago, or cannot be told."""
        now_ms = self._clock.now_ms()
        if not may_trip(self._view.record):
            return None
        if self._judged_ms is not None and 0 <= now_ms - self._judged_ms < _JUDGE_GAP_MS:
            return None
        self._judged_ms = now_ms
        try:
            return await self._store.window(self._circuit, now_ms - self._policy.window_ms)
        except RetryableError as error:
            self._view.unavailable(error.message)
            return None

    async def _decide(self, found: list[SubBucket], own: SubBucket | None) -> None:
        """Open the circuit where it must be."""
        if own is not None:
            # What was read may be a moment behind what has just been written here.
            found = [one for one in found if (one.start_ms, one.shard) != (own.start_ms, own.shard)] + [own]
        now_ms, record = self._clock.now_ms(), self._view.record
        window = Window(found, now_ms, self._policy, record.counts_from_ms)
        self._reports.learn_volume(window.volume, now_ms)
        judgement = window.judge()
        self._judge_again_ms = judgement.again_ms
        if judgement.reason is None:
            return
        reason, by = judgement.reason, self._environment
        usual = usual_per_minute(found, now_ms, self._policy, record.counts_from_ms)
        if eased(record, now_ms) is not None:
            usual = record.usual_per_minute  # what was let through lately is more, or less, than usual

        def trip(known: CircuitRecord) -> CircuitRecord | None:
            # From this record only: a step that somebody made meanwhile was made knowing more.
            if known.version != record.version:
                return None
            return tripped(known, self._clock.now_ms(), self._policy, reason=reason, by=by, usual_per_minute=usual)

        await self._view.move(trip)

    def _hold_ms(self, record: CircuitRecord, now_ms: int) -> int:
        """How long this environment holds back by itself."""
        if record.mode is CircuitMode.CLOSED:
            return 0
        # With the store at hand the fleet is given the chance to judge first.
        failures = FAILURES if self._view.down else max(FAILURES, self._policy.minimum_volume + 2)
        return self._guard.hold_ms(now_ms, failures)

    def _refused(self, retry_after_ms: int) -> CircuitOpenError:
        self._metrics.count("CallsRefused", circuit=self._circuit)
        return CircuitOpenError(self._circuit, retry_after_seconds=retry_after_ms / 1000)
