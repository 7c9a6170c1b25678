"""Recording how an attempt ended, and what follows from it.

Invariant: the message may be deleted only after the log says where the task went, and after what
follows from that is durable: the session's turns of a success, the message of a task that waits
elsewhere, the answer to a workflow's state. Whatever dies in between leaves a message that finds the
truth in the log, and does what is missing again.
"""

from __future__ import annotations

import logging
import math
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from flotilla.agents.catalog import AgentSpec
from flotilla.agents.waits import Wait
from flotilla.clock import Clock
from flotilla.coordination import Turn
from flotilla.errors import AttemptRevokedError, RetryableError
from flotilla.events import Kind
from flotilla.models import Payload, Status, TaskMessage
from flotilla.ports import SessionTurns
from flotilla.primitives.backoff import full_jitter_seconds
from flotilla.primitives.ladder import REACH_SECONDS
from flotilla.primitives.parking import release_seconds
from flotilla.services.callbacks import Callbacks, Ended, ended
from flotilla.services.claim import IN_PLACE_SECONDS
from flotilla.services.claimed import Claimed
from flotilla.services.dispatch import Dispatch, wake_ms
from flotilla.services.outcome import Again, Done, Outcome, again_in_place
from flotilla.services.session_memory import keep_turns
from flotilla.services.verdict import UNAVAILABLE_RETRY_SECONDS, Verdict

logger = logging.getLogger("flotilla.worker")

_SHORTEST_PARKING_SECONDS = 1

_COSTS = frozenset({"model_calls", "compute_usd"})
"""Members of a usage that say that an attempt has cost something, however it ends."""


class Endings:
    """Records the ends of attempts.

    Args:
        dispatch: Sends on what is parked for long.
        turns: The sessions' turns.
        callbacks: Answers the states of workflows; None where there are none.
        clock: Dates the next attempt.
        random: Draws jitter.
    """

    def __init__(
        self,
        *,
        dispatch: Dispatch,
        turns: SessionTurns,
        callbacks: Callbacks | None,
        clock: Clock,
        random: random.Random,
    ) -> None:
        self._dispatch = dispatch
        self._turns = turns
        self._callbacks = callbacks
        self._clock = clock
        self._random = random

    async def succeed(
        self,
        claimed: Claimed,
        output: dict[str, Any],
        turns: Sequence[Turn],
        usage: dict[str, Any],
        not_before_seconds: int,
    ) -> Outcome:
        """Commit the result, and with it the turns that the attempt added to its session.

        Args:
            claimed: The attempt.
            output: The result's payload.
            turns: What it appended.
            usage: What it took.
            not_before_seconds: Nothing after it in its group may start sooner.

        Raises:
            AttemptRevokedError: The task is another's; nothing is committed.
            RetryableError: The log did not answer; it is not known whether it is committed.
        """
        body: dict[str, Any] = {"output": output, "usage": usage}
        if turns:
            body["turns"] = [turn.to_json() for turn in turns]
        await claimed.journal.append(Kind.SUCCEEDED, body)
        message = claimed.message
        try:
            if turns and message.session is not None:
                await keep_turns(self._turns, message.tenant, message.session, message.task_id, body)
            await self.tell(ended(message, Status.SUCCEEDED, output=Payload.from_json(output)))
        except RetryableError as error:
            # The next receipt finds the event and does what is missing; until then the session waits.
            return self._store_unavailable(claimed, error, not_before_seconds)
        return Done(hold_group_seconds=not_before_seconds)

    async def fail(
        self, spec: AgentSpec, claimed: Claimed, failure: Verdict, usage: dict[str, Any], not_before_seconds: int
    ) -> Outcome:
        """Record a failure, a wait, or the end of the task.

        Args:
            spec: The agent.
            claimed: The attempt.
            failure: What became of it.
            usage: What it took.
            not_before_seconds: Neither the next attempt nor anything after it in its group may start sooner.

        Raises:
            AttemptRevokedError: The task is another's; nothing is recorded.
            RetryableError: The log did not answer; it is not known whether it is recorded.
        """
        if failure.revoked:
            raise AttemptRevokedError("another worker owns this task")
        if failure.parked:
            return await self._park(claimed, failure, usage, not_before_seconds)
        error = failure.error.to_json()
        charged = claimed.charged + 1
        if not failure.error.retryable or charged >= claimed.max_attempts:
            cause = "attempts_exhausted" if failure.error.retryable else "permanent"
            await claimed.journal.append(Kind.DEAD_LETTERED, {"cause": cause, "error": error, "usage": usage})
            try:
                await self.tell(ended(claimed.message, Status.DEAD_LETTERED, error=failure.error))
            except RetryableError as unanswered:
                return self._store_unavailable(claimed, unanswered, not_before_seconds)
            return Done(hold_group_seconds=not_before_seconds)
        wait = full_jitter_seconds(
            charged,
            base_seconds=spec.backoff_base_seconds,
            cap_seconds=spec.backoff_cap_seconds,
            fraction=self._random.random(),
            at_least_seconds=failure.at_least_seconds,
        )
        next_ms = self._in_seconds(max(math.ceil(wait), not_before_seconds))
        body = {"error": error, "usage": usage, "next_attempt_ms": next_ms}
        await claimed.journal.append(Kind.ATTEMPT_FAILED, body)
        return self._in_place(claimed, next_ms, not_before_seconds)

    async def wait(self, claimed: Claimed, wait: Wait, usage: dict[str, Any]) -> Outcome:
        """Record that the task waits for a signal, and send the message that comes when its time is over.

        What is over later than the ladder reaches is left to the reconciler: a schedule would cost more than its look.

        Args:
            claimed: The attempt.
            wait: For what.
            usage: What it took.

        Raises:
            AttemptRevokedError: The task is another's; nothing is recorded.
            RetryableError: The log did not answer; it is not known whether it is recorded.
        """
        body: dict[str, Any] = {"for": wait.name}
        if wait.until_ms is not None:
            body["until_ms"] = wait.until_ms
        if wait.detail is not None:
            body["detail"] = wait.detail
        if usage.keys() & _COSTS:
            body["usage"] = usage  # it has cost something already
        await claimed.journal.append(Kind.WAITING, body)
        ends_ms = min((at for at in (wait.until_ms, claimed.message.deadline_ms) if at is not None), default=None)
        if ends_ms is None or ends_ms - self._clock.now_ms() > REACH_SECONDS * 1000:
            return Done()
        try:
            await self._dispatch(self._successor(claimed, ends_ms), in_order=False)
        except RetryableError as error:
            return self._store_unavailable(claimed, error, 0)
        return Done()

    async def tell(self, end: Ended | None) -> None:
        """Answer the state that waits for this end, if one does.

        Raises:
            RetryableError: It is not known whether the answer arrived.
        """
        if end is not None and self._callbacks is not None:
            await self._callbacks.answer(end)

    async def _park(
        self, claimed: Claimed, failure: Verdict, usage: dict[str, Any], not_before_seconds: int
    ) -> Outcome:
        wait = release_seconds(failure.at_least_seconds or 0.0, self._random.random())
        after_seconds = max(math.ceil(wait), not_before_seconds, _SHORTEST_PARKING_SECONDS)
        next_ms = self._in_seconds(after_seconds)
        body = {"reason": failure.error.code, "detail": failure.error.message, "next_attempt_ms": next_ms}
        if usage.keys() & _COSTS:
            body["usage"] = usage  # it has cost something already
        await claimed.journal.append(Kind.PARKED, body)
        if claimed.message.session is not None or after_seconds <= IN_PLACE_SECONDS:
            return self._in_place(claimed, next_ms, not_before_seconds)
        try:
            await self._dispatch(self._successor(claimed, wake_ms(next_ms, claimed.message.deadline_ms)))
        except RetryableError as error:
            return self._store_unavailable(claimed, error, not_before_seconds)
        return Done(hold_group_seconds=not_before_seconds)

    def _successor(self, claimed: Claimed, not_before_ms: int | None) -> TaskMessage:
        """The message of the event that was just recorded."""
        seq, head_hash = claimed.journal.head
        return replace(
            claimed.message,
            seq=seq,
            hash=head_hash,
            attempt=claimed.attempt,
            charged=claimed.charged,
            not_before_ms=not_before_ms,
            hops=0,
        )

    def _in_seconds(self, seconds: int) -> int:
        return self._clock.now_ms() + seconds * 1000

    def _in_place(self, claimed: Claimed, next_ms: int, not_before_seconds: int) -> Again:
        """Hide the message until a worker has something to do with it again, its task's deadline included."""
        wake = wake_ms(next_ms, claimed.message.deadline_ms) or next_ms
        wait = max((wake - self._clock.now_ms()) / 1000, not_before_seconds)
        return again_in_place(wait, claimed.message.session)

    def _store_unavailable(self, claimed: Claimed, error: RetryableError, not_before_seconds: int) -> Again:
        logger.warning(
            "recorded, but not what follows", extra={"task_id": claimed.message.task_id, "error": error.message}
        )
        return Again(max(UNAVAILABLE_RETRY_SECONDS, not_before_seconds))
