"""The waits of an attempt: which one is asked for, how it ended if it did, and what may be waited for.

    attempt 1    … wait_for("decision") ── waiting                          nothing runs, nothing is held
                                              │  signalled, or its time is over
    attempt 2    … wait_for("decision") ──> the payload, or WaitTimeoutError

Invariant: how a wait ended is in the log before any attempt is told of it, and every later attempt is told the same.
"""

from __future__ import annotations

import copy
import math
import re
from collections import Counter
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol

from pydantic_core import PydanticSerializationError, to_jsonable_python

from flotilla.clock import Clock
from flotilla.errors import PermanentError, WaitTimeoutError
from flotilla.events.waits import WaitEnd
from flotilla.integrations import effects
from flotilla.models import canonical_json

LONGEST_WAIT_SECONDS = 31_536_000
"""365 days."""

MAX_DETAIL_BYTES = 8192
"""Of the detail's canonical JSON."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}")


@dataclass(frozen=True, slots=True)
class Wait:
    """A wait as it is written to the log.

    Attributes:
        name: Of the signal that ends it.
        until_ms: When it is over without; None for never.
        detail: What whoever gives the signal should know: JSON values.
    """

    name: str
    until_ms: int | None = None
    detail: Any = None


class WaitJournal(Protocol):
    """Where an attempt's waits are begun and found again."""

    def ended(self, name: str) -> WaitEnd | None:
        """How the wait of that name ended; None where it did not, or never began.

        Raises:
            AttemptRevokedError: The attempt is over.
        """
        ...

    async def begin(self, wait: Wait) -> NoReturn:
        """End the attempt in this wait.

        Raises:
            SuspendedError: It ends.
            PermanentError: The task may not wait (`invalid_wait`, `too_many_waits`).
            AttemptRevokedError: The task was cancelled, or another worker owns it now.
            ParkedError: The task was paused.
        """
        ...


class WaitTaker:
    """Names an attempt's waits, finds how they ended, and begins those that did not.

    Args:
        journal: Where they are.
        clock: Tells when they are over.
    """

    def __init__(self, journal: WaitJournal, clock: Clock) -> None:
        self._journal = journal
        self._clock = clock
        self._taken: Counter[str] = Counter()

    async def wait_for(self, name: str, timeout_seconds: float | None, detail: Any) -> Any:
        """See `Context.wait_for`."""
        if effects.current() is not None:
            why = "a step cannot wait: its function would run again, and what it did be done twice"
            raise PermanentError(why, code="wait_in_step")
        if not _NAME.fullmatch(name):
            why = "a signal's name has 1 to 64 letters, digits and _ . : - and begins with a letter or digit"
            raise PermanentError(why, code="invalid_wait")
        self._taken[name] += 1
        occurrence = self._taken[name]
        known = name if occurrence == 1 else f"{name}#{occurrence}"
        end = self._journal.ended(known)
        if end is None:
            await self._journal.begin(Wait(known, self._until_ms(timeout_seconds), _plain(detail)))
        if end.timed_out:
            raise WaitTimeoutError(f"{known!r} was not signalled in time")
        return copy.deepcopy(end.payload)

    def _until_ms(self, timeout_seconds: float | None) -> int | None:
        if timeout_seconds is None:
            return None
        if not 0 < timeout_seconds <= LONGEST_WAIT_SECONDS:
            why = f"timeout_seconds is above 0 and at most {LONGEST_WAIT_SECONDS}"
            raise PermanentError(why, code="invalid_wait")
        return self._clock.now_ms() + math.ceil(timeout_seconds * 1000)


def _plain(detail: Any) -> Any:
    try:
        plain = to_jsonable_python(detail)
        size = len(canonical_json(plain).encode())
    except (PydanticSerializationError, ValueError, TypeError, RecursionError) as error:
        raise PermanentError("the detail of a wait is not JSON", code="invalid_wait") from error
    if size > MAX_DETAIL_BYTES:
        raise PermanentError(f"the detail of a wait has at most {MAX_DETAIL_BYTES} bytes", code="invalid_wait")
    return plain
