"""Whether an attempt that runs may go on: asked at the calls its agent makes to its context.

An agent cannot be interrupted safely, so it learns here that its task was cancelled, taken over or
paused. Asking costs nothing within a second of the attempt's start or of what it last wrote; later
one read of the log's head a second, and none of its own for the pauses, which the process reads
once a second for all.
"""

from __future__ import annotations

from typing import Any

from flotilla.agents.session import Memory
from flotilla.clock import Clock
from flotilla.errors import AttemptRevokedError, ParkedError
from flotilla.models import TaskMessage
from flotilla.services.gate import PAUSED, Gate
from flotilla.services.journal import Journal
from flotilla.services.suspension import Suspension

_LOOK_MS = 1000


class Supervision:
    """Supervises one attempt.

    Args:
        gate: Knows of pauses.
        journal: The attempt's journal.
        message: The task's message.
        clock: Tells the time.
        started_ms: When the gate let the attempt start. Loading its agent and input may have taken long since.
        suspension: Whether the attempt has come to wait.
    """

    def __init__(
        self,
        *,
        gate: Gate,
        journal: Journal,
        message: TaskMessage,
        clock: Clock,
        started_ms: int,
        suspension: Suspension | None = None,
    ) -> None:
        self._gate = gate
        self._journal = journal
        self._message = message
        self._clock = clock
        self._looked_ms = started_ms
        self._suspension = suspension or Suspension()
        self._ended = False

    def end(self) -> None:
        """The attempt is over: nothing more of it is let through, whatever the agent's code still does."""
        self._ended = True

    def running(self) -> None:
        """Let through what belongs to a running attempt.

        Raises:
            AttemptRevokedError: The attempt is over.
        """
        if self._ended:
            raise AttemptRevokedError("this attempt is over")

    async def go_on(self) -> None:
        """Let the attempt begin something new.

        Raises:
            AttemptRevokedError: The attempt is over, or its task is no longer its own.
            SuspendedError: The attempt has come to wait for a signal.
            ParkedError: The task was paused.
        """
        self.running()
        self._suspension.check()
        await self._journal.confirm()
        now_ms = self._clock.now_ms()
        if now_ms - self._looked_ms >= _LOOK_MS:
            self._looked_ms = now_ms
            held = await self._gate.paused(self._message)
            if held is not None:
                raise ParkedError(held.detail, code=PAUSED, retry_after_seconds=held.after_seconds)
        self.running()


class SupervisedMemory:
    """A session's memory, for as long as the attempt may go on.

    Args:
        memory: The memory itself.
        supervision: The attempt's.
    """

    def __init__(self, memory: Memory, supervision: Supervision) -> None:
        self._memory = memory
        self._supervision = supervision

    async def turns(self) -> list[Any]:
        """See `Memory.turns`."""
        await self._supervision.go_on()
        return await self._memory.turns()

    async def append(self, content: Any) -> None:
        """See `Memory.append`."""
        await self._supervision.go_on()
        await self._memory.append(content)
