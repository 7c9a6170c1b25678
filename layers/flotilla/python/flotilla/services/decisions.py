"""What a link to a decision stands for, and deciding by it.

Invariant: a link answers the very wait it was made for and no later one, once; whoever comes second is told how it was
decided. A link that was altered, has expired, or whose endpoint is gone stands for nothing, and nobody is told why.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from enum import StrEnum

from flotilla.broadcast_ports import Endpoints
from flotilla.clock import Clock
from flotilla.events import Event, Kind, TaskState
from flotilla.primitives.decision_token import DecisionClaims, claims_of
from flotilla.services.decision_links import APPROVE, DENY, SigningKey, asks_for_a_decision
from flotilla.services.open_logs import OpenLogs
from flotilla.services.signal import AlreadySignalledError, NotWaitingError, Signal, SignalService


class Ending(StrEnum):
    """How a wait for a decision ended.

    Attributes:
        SIGNALLED: By a signal that says neither yes nor no.
        OVER: Its time was over, or the task's.
    """

    APPROVED = "approved"
    DENIED = "denied"
    SIGNALLED = "signalled"
    CANCELLED = "cancelled"
    OVER = "over"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of a wait.

    Attributes:
        actor: Who ended it.
    """

    ending: Ending
    at_ms: int
    actor: str


@dataclass(frozen=True, slots=True)
class Question:
    """What a link stands for.

    Attributes:
        state: The task as it is now.
        asked: The event by which it came to wait.
        asker: Who submitted the task.
        expires: Epoch seconds until which the link works.
        outcome: How it ended; None while it can be decided.
    """

    state: TaskState
    asked: Event
    asker: str
    expires: int
    outcome: Outcome | None


class Decisions:
    """Shows and decides.

    Args:
        key: By which links are signed.
        logs: Finds logs.
        signals: Gives the signal.
        endpoints: The webhook endpoints that there are.
        clock: Tells what has expired.
    """

    def __init__(
        self, *, key: SigningKey, logs: OpenLogs, signals: SignalService, endpoints: Endpoints, clock: Clock
    ) -> None:
        self._key = key
        self._logs = logs
        self._signals = signals
        self._endpoints = endpoints
        self._clock = clock

    async def find(self, token: str) -> Question | None:
        """What the link with this token stands for; None for nothing.

        Raises:
            RetryableError: A store did not answer.
            ParkedError: The key cannot be read.
        """
        claims = await self._claims(token)
        return None if claims is None else await self._question(claims)

    async def decide(self, token: str, *, approve: bool, request_id: str) -> Question | None:
        """Decide, unless it has been: what comes back says how.

        Args:
            token: Of the link.
            approve: Yes or no.
            request_id: Id of this very call.

        Raises:
            RetryableError: A store did not answer; it may be decided, and repeating the call does no harm.
            ParkedError: The key cannot be read.
        """
        claims = await self._claims(token)
        question = None if claims is None else await self._question(claims)
        if claims is None or question is None:
            return None
        signal = Signal(
            name=question.asked.body["for"],
            payload={"decision": APPROVE if approve else DENY, "via": "link"},
            actor=f"link:{claims.endpoint}",
            request_id=request_id,
            waiting_seq=claims.seq,
        )
        with contextlib.suppress(NotWaitingError, AlreadySignalledError):  # what became of it, its log tells
            await self._signals.signal(claims.task_id, signal, tenant=question.state.tenant)
        return await self._question(claims)

    async def _claims(self, token: str) -> DecisionClaims | None:
        return claims_of(token, await self._key.read(), self._clock.now_ms())

    async def _question(self, claims: DecisionClaims) -> Question | None:
        found = await self._logs.find(claims.task_id, tenant=None)
        if found is None or len(found.events) <= claims.seq:
            return None
        state, asked = found.state, found.events[claims.seq]
        if asked.kind is not Kind.WAITING or not asks_for_a_decision(asked.body["for"]):
            return None
        # An endpoint that was removed is not trusted any more, nor is what it was told.
        if await self._endpoints.get(state.tenant, claims.endpoint) is None:
            return None
        return Question(state, asked, found.events[0].actor, claims.expires, self._outcome(found.events, claims.seq))

    def _outcome(self, events: list[Event], seq: int) -> Outcome | None:
        if len(events) == seq + 1:
            return None
        end = events[seq + 1]
        match end.kind:
            case Kind.SIGNALLED:
                ending = _said(end.body["payload"])
            case Kind.CANCELLED:
                ending = Ending.CANCELLED
            case _:
                ending = Ending.OVER
        return Outcome(ending, end.at_ms, end.actor)


def _said(payload: object) -> Ending:
    decision = payload.get("decision") if isinstance(payload, dict) else None
    return {APPROVE: Ending.APPROVED, DENY: Ending.DENIED}.get(str(decision), Ending.SIGNALLED)
