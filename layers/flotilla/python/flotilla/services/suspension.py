"""An attempt that has come to wait for a signal, and the waits of the attempts before it.

Invariant: once an attempt has asked to wait, it begins nothing more and ends in the wait, whatever its agent makes of
the error by which it is told so. Of several waits it asks for, the first is the one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from flotilla.agents.waits import Wait
from flotilla.errors import PermanentError, SuspendedError
from flotilla.events.waits import WaitEnd
from flotilla.models import ErrorInfo

if TYPE_CHECKING:
    from flotilla.services.supervision import Supervision

MOST_WAITS = 1000
"""Of one task. Each adds three events to a log that every attempt after it reads whole."""


WENT_ON = ErrorInfo("timeout", "it went on on a thread after it had come to wait", retryable=True)
"""Of an attempt that did not end when it was told to wait."""


@dataclass(slots=True)
class Suspension:
    """What an attempt waits for, once it does."""

    wait: Wait | None = None

    def check(self) -> None:
        """Let the attempt go on.

        Raises:
            SuspendedError: It waits.
        """
        if self.wait is not None:
            raise SuspendedError(f"the task waits for {self.wait.name!r}")


class WaitsOfAttempt:
    """`WaitJournal` of one attempt.

    Args:
        ends: How earlier waits of the task ended.
        suspension: Told of the one that this attempt ends in.
        supervision: Says whether the attempt may go on.
        cached: The results of its agent answer other tasks.
    """

    def __init__(
        self, ends: Mapping[str, WaitEnd], suspension: Suspension, supervision: Supervision, *, cached: bool
    ) -> None:
        self._ends = ends
        self._suspension = suspension
        self._supervision = supervision
        self._cached = cached

    def ended(self, name: str) -> WaitEnd | None:
        """See `WaitJournal.ended`."""
        self._supervision.running()
        return self._ends.get(name)

    async def begin(self, wait: Wait) -> NoReturn:
        """See `WaitJournal.begin`."""
        if self._cached:
            why = "an agent with cache_ttl_seconds cannot wait: its result would follow from more than its input"
            raise PermanentError(why, code="invalid_wait")
        if len(self._ends) >= MOST_WAITS:
            raise PermanentError(f"a task waits {MOST_WAITS} times at the most", code="too_many_waits")
        await self._supervision.go_on()
        self._suspension.wait = wait
        raise SuspendedError(f"the task waits for {wait.name!r}")
