"""Redriving a dead letter: a fresh start of the same task, from where its log stands.

    … ── dead_lettered(7) ── redriven(8) ── started(9) ── …

Invariant: of any number of redrives of one death exactly one is in the log, and a task that did
not die, or has begun again, is left as it is. The event comes before the message: whoever dies in
between leaves a redriven task without a message, which a repeat of the call (or the reconciler) sends.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from flotilla.agents.catalog import Catalog
from flotilla.clock import Clock
from flotilla.errors import PermanentError, RetryableError
from flotilla.events import Event, Kind, TaskState, fold
from flotilla.models import ErrorInfo, Status
from flotilla.services.claim_check import ClaimCheck
from flotilla.services.dispatch import Dispatch, message_for
from flotilla.services.open_logs import Found, OpenLogs
from flotilla.services.successor import successor

_TRIES = 4
"""A dead letter's log changes by another redrive and what follows from it, and by nothing else."""


class NotRedrivableError(PermanentError):
    """The task would not be run: what it needs is gone, or its time has passed. It stays a dead letter."""

    default_code = "not_redrivable"


@dataclass(frozen=True, slots=True)
class Correction:
    """What a task is run on instead of its input, checked against its agent's schema by the caller."""

    input: Any


@dataclass(frozen=True, slots=True)
class Redriven:
    """The answer to a redrive.

    Attributes:
        state: The task as it is now.
        changed: This call redrove it.
        died_of: Why it was dead, if this call found it so.
    """

    state: TaskState
    changed: bool
    died_of: ErrorInfo | None = None


class RedriveService:
    """Redrives tasks.

    Args:
        logs: Finds logs and adds to them.
        dispatch: Sends the messages.
        claim_check: Takes large corrected inputs.
        catalog: What may be run: the deployed agents and, as if they were some, the workflows (`runs.with_runs`).
        lanes: The deployed lanes.
        clock: Dates the events.
    """

    def __init__(
        self,
        *,
        logs: OpenLogs,
        dispatch: Dispatch,
        claim_check: ClaimCheck,
        catalog: Catalog,
        lanes: Collection[str],
        clock: Clock,
    ) -> None:
        self._logs = logs
        self._dispatch = dispatch
        self._claim_check = claim_check
        self._catalog = catalog
        self._lanes = lanes
        self._clock = clock

    async def find(self, task_id: str, *, tenant: str | None = None) -> Found | None:
        """A task: of `tenant`, or with None of any; None where there is none.

        Raises:
            RetryableError: A store did not answer.
            CorruptLogError: The log breaks its own rules.
        """
        return await self._logs.find(task_id, tenant=tenant)

    def check(self, dead: Found) -> None:
        """Check that a dead letter would be run if it were redriven.

        Raises:
            NotRedrivableError: It would not; says why.
        """
        state = dead.state
        if not dead.open:
            raise NotRedrivableError("Its log is too old to be added to.")
        if state.agent not in self._catalog:
            raise NotRedrivableError("Its agent is no longer deployed.")
        if state.lane not in self._lanes:
            raise NotRedrivableError("Its lane is no longer deployed.")
        if state.deadline_ms is not None and state.deadline_ms <= self._clock.now_ms():
            raise NotRedrivableError("Its deadline has passed.")

    async def redrive(
        self,
        task_id: str,
        *,
        actor: str,
        request_id: str,
        tenant: str | None = None,
        correction: Correction | None = None,
        died_at_seq: int | None = None,
    ) -> Redriven | None:
        """Give a dead letter a fresh start.

        Args:
            task_id: The task.
            actor: Who redrives: `key:<id>`.
            request_id: Id of this very call, by which its event is told from that of any other.
            tenant: Whose task; None anybody's.
            correction: Another input for it.
            died_at_seq: Number of the event by which it died, as far as the caller knows: one that was redriven
                and died again meanwhile is left as it is. None takes any death.

        Returns:
            The task, or None where there is no such task.

        Raises:
            NotRedrivableError: It would not be run.
            RetryableError: A store did not answer; it may be redriven, and repeating the call does no harm.
            CorruptLogError: The log breaks its own rules.
        """
        for _ in range(_TRIES):
            found = await self._logs.find(task_id, tenant=tenant)
            if found is None:
                return None
            state = found.state
            if state.head_kind is Kind.REDRIVEN:
                # Nothing has happened since: who wrote that may have died before it sent the message.
                if state.lane in self._lanes:
                    await self._dispatch(message_for(state))
                return Redriven(state, changed=False)
            if state.status is not Status.DEAD_LETTERED or died_at_seq not in (None, state.head_seq):
                return Redriven(state, changed=False, died_of=state.error)
            self.check(found)
            event = await self._event(state, actor, request_id, correction)
            if await self._logs.append(event):
                redriven = fold([*found.events, event])
                await self._dispatch(message_for(redriven))
                return Redriven(redriven, changed=True, died_of=state.error)
        raise RetryableError("the task's log is changing", code="log_contended", retry_after_seconds=1.0)

    async def _event(self, state: TaskState, actor: str, request_id: str, correction: Correction | None) -> Event:
        body: dict[str, Any] = {"request_id": request_id}
        if correction is not None:
            payload = await self._claim_check.check_in(state.tenant, state.task_id, correction.input)
            body["input"] = payload.to_json()
        return successor(state, Kind.REDRIVEN, body, actor=actor, at_ms=self._clock.now_ms())
