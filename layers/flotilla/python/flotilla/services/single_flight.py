"""Identical tasks run once: one leads, the others wait for it and take its answer.

The store says only who leads. Whether there is an answer, and which, the leader's log says, so a leader that dies,
fails, is cancelled or forgotten at any moment leaves nothing behind that could mislead. Answers never cross tenants,
versions of an agent, or inputs.

Failure policy: closed. Without the store nobody knows whether the same work is under way; the task waits, which
uses up no attempt.
"""

from __future__ import annotations

import hashlib
import logging
import random
from collections.abc import Sequence
from dataclasses import dataclass

from flotilla.agents.catalog import AgentSpec
from flotilla.clock import Clock
from flotilla.errors import CorruptLogError, RetryableError, StoreUnavailableError
from flotilla.events import Event, Kind, TaskState, fold
from flotilla.models import Payload, Status, TaskMessage, canonical_json
from flotilla.ports import EventLog, Flights
from flotilla.primitives.parking import release_seconds
from flotilla.services.claim_check import ClaimCheck

logger = logging.getLogger("flotilla.worker")

_ROUNDS = 4
"""Leaders that are found to have failed, one after the other, before the task is left for later."""

_ENTRY_MARGIN_SECONDS = 86_400
"""The leader renews its entry whenever it is handed its message, and no message is hidden longer than half of this."""

_PUT_BACK_MS = 60_000
_PUT_BACK_REASONS = frozenset({"paused", "receive_limit"})

_OFTEN_SECONDS = 15.0
_SELDOM_SECONDS = 600.0
_PART_OF_WAIT = 0.05

_ENDED = frozenset({Kind.SUCCEEDED, Kind.DEAD_LETTERED, Kind.CANCELLED, Kind.EXPIRED})


@dataclass(frozen=True, slots=True)
class Lead:
    """This task is to be run."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An identical task has the result.

    Attributes:
        payload: The result; where it is large, stored once more under this task's own key.
        leader: The task it is from.
    """

    payload: Payload
    leader: str


@dataclass(frozen=True, slots=True)
class Wait:
    """An identical task is at work.

    Attributes:
        after_seconds: When to ask again, jitter included.
        leader: The task that is at work.
    """

    after_seconds: float
    leader: str


Decision = Lead | Answer | Wait


@dataclass(frozen=True, slots=True)
class _TakeOver:
    """Nothing is to be expected of the leader."""

    why: str


class SingleFlight:
    """Decides, before a task starts, whether it has to.

    Args:
        flights: Who leads.
        log: The tasks' logs.
        claim_check: Brings large results under the asking task's own key.
        clock: Tells how old a result is.
        random: Draws jitter.
    """

    def __init__(
        self, flights: Flights, log: EventLog, claim_check: ClaimCheck, clock: Clock, random: random.Random
    ) -> None:
        self._flights = flights
        self._log = log
        self._claim_check = claim_check
        self._clock = clock
        self._random = random

    async def decide(self, spec: AgentSpec, message: TaskMessage, parked_for_ms: int) -> Decision:
        """Lead, answer or wait.

        Args:
            spec: The agent as this worker would run it.
            message: The task as its log stands: where the log was read, made of its state, since a redrive may have
                changed the input.
            parked_for_ms: How long the task has been waiting for an identical one; 0 when it asks for the first time.

        Raises:
            RetryableError: A store did not answer. The task may lead by now; asking again tells.
        """
        if spec.cache_ttl_seconds is None:
            return Lead()
        key = flight_key(spec, message)
        instead_of: str | None = None
        leader = message.task_id
        for _ in range(_ROUNDS):
            expires_at = self._clock.now_ms() // 1000 + spec.cache_ttl_seconds + _ENTRY_MARGIN_SECONDS
            leader = await self._flights.lead(key, message.task_id, instead_of=instead_of, expires_at=expires_at)
            if leader == message.task_id:
                return Lead()
            found = await self._of_leader(leader, spec, message, parked_for_ms)
            if not isinstance(found, _TakeOver):
                return found
            extra = {"task_id": message.task_id, "leader": leader, "why": found.why}
            logger.info("taking over from an identical task", extra=extra)
            instead_of = leader
        return Wait(self._wait_seconds(parked_for_ms), leader)

    async def _of_leader(
        self, leader: str, spec: AgentSpec, message: TaskMessage, parked_for_ms: int
    ) -> Answer | Wait | _TakeOver:
        wait = Wait(self._wait_seconds(parked_for_ms), leader)
        # Who asks again reads only the newest event: a leader at work may have a long log. In a session it matters
        # which session the leader is in, and that the whole log says.
        if parked_for_ms > 0 and message.session is None:
            head = await self._log.head(leader)
            if head is not None and head.kind not in _ENDED and not _put_back(head, parked_for_ms):
                return wait
        events = await self._log.read(leader)
        if not events or events[0].seq != 0:
            return _TakeOver("its log is no longer kept")  # retention drops a log's events one by one
        try:
            state = fold(events)
        except CorruptLogError as error:
            return _TakeOver(error.message)
        if state.status is Status.SUCCEEDED:
            return await self._of_result(state, events, spec, message, parked_for_ms)
        if state.status.terminal:
            return _TakeOver(f"it is {state.status.value}")
        if _behind(state, message):
            return _TakeOver("it comes after this one in their session")
        if _put_back(events[-1], parked_for_ms):
            return _TakeOver("it was put back and has not started since")
        return wait

    async def _of_result(
        self, state: TaskState, events: Sequence[Event], spec: AgentSpec, message: TaskMessage, parked_for_ms: int
    ) -> Answer | _TakeOver:
        if (state.tenant, state.agent, _digest(state.input)) != (message.tenant, spec.name, _digest(message.input)):
            return _TakeOver("it was redriven with another input")
        if _version_run(events, state) not in (None, spec.version):
            return _TakeOver("another version of the agent ran it")
        if events[-1].body.get("turns"):
            return _TakeOver("it added to its session, which an answer would not")
        #   asked for ─────── finished ─────────── finished + ttl
        #       └ in flight together: good             └ too old for whoever asks from then on
        #         whenever it is looked at
        finished_ms, now_ms = events[-1].at_ms, self._clock.now_ms()
        in_flight_together = finished_ms >= _asked_ms(message, now_ms, parked_for_ms)
        if not in_flight_together and finished_ms + (spec.cache_ttl_seconds or 0) * 1000 <= now_ms:
            return _TakeOver("its result is too old")
        payload = state.output or Payload()
        if payload.ref is None:
            return Answer(payload, state.task_id)
        try:
            value = await self._claim_check.check_out(payload)
        except StoreUnavailableError:
            raise
        except RetryableError as error:
            return _TakeOver(error.message)  # no longer kept, or not what was put there
        return Answer(await self._claim_check.check_in(message.tenant, message.task_id, value), state.task_id)

    def _wait_seconds(self, parked_for_ms: int) -> float:
        """When to ask again: soon at first, then in proportion to how long it has taken already."""
        waited = max(0.0, parked_for_ms / 1000)
        # 1, 1.5, 2.25, … seconds: each wait is longer than the last by half of what has passed. After minutes, each
        # look costs more than a quick answer is worth: one of the message's receives, of which there are only so many.
        wait = max(min(1.0 + 0.5 * waited, _OFTEN_SECONDS), min(waited * _PART_OF_WAIT, _SELDOM_SECONDS))
        return release_seconds(wait, self._random.random())


def flight_key(spec: AgentSpec, message: TaskMessage) -> str:
    """What identical tasks share: tenant, agent, the version this worker has of it, input."""
    parts = [message.tenant, spec.name, spec.version, _digest(message.input)]
    return "CACHE#" + hashlib.sha256(canonical_json(parts).encode()).hexdigest()


def _digest(payload: Payload) -> str:
    """SHA-256 of the value's canonical JSON, wherever the value lies."""
    if payload.ref is not None and payload.sha256 is not None:
        return payload.sha256
    return hashlib.sha256(canonical_json(payload.inline).encode()).hexdigest()


def _asked_ms(message: TaskMessage, now_ms: int, parked_for_ms: int) -> int:
    """When the task first wanted a result, as far as is known."""
    if parked_for_ms > 0:
        return now_ms - parked_for_ms
    if message.attempt > 0:
        return now_ms  # it has had an attempt of its own, and was perhaps redriven since: it asks anew
    return max(message.accepted_at_ms, message.not_before_ms or 0)


def _version_run(events: Sequence[Event], state: TaskState) -> str | None:
    """The version of the agent that made the result; None where the log does not say.

    A start says so where it is not the version that the task was accepted for.
    """
    starts = [event.body.get("agent_version") for event in events if event.kind is Kind.STARTED]
    if not any(starts):
        return None
    return starts[-1] or state.agent_version


def _behind(leader: TaskState, message: TaskMessage) -> bool:
    """The leader can only run after this task: a session's tasks are handed out in order, and this one was."""
    return message.session is not None and (leader.session, leader.lane) == (message.session, message.lane)


def _put_back(head: Event, parked_for_ms: int) -> bool:
    """The leader stands in a queue that it was put into anew, or is held by an operator.

    It may stand behind this very task, or for hours; when its turn comes it finds the new leader. Not at once,
    though: it may be about to start.
    """
    back = head.kind is Kind.REDRIVEN or (head.kind is Kind.PARKED and head.body.get("reason") in _PUT_BACK_REASONS)
    return back and parked_for_ms >= _PUT_BACK_MS
