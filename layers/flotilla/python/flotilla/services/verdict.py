"""What an agent's failure means for its task.

The border to code that is not ours: whatever it raised, of whatever class and with whatever in
it, becomes an error that can be stored and shown, and one decision.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from flotilla.errors import AttemptRevokedError, FlotillaError, ParkedError, PermanentError, StoreUnavailableError
from flotilla.models import ErrorInfo

LONGEST_WAIT_SECONDS = 43_200
"""What SQS can hide a message for: 12 hours."""

UNAVAILABLE_RETRY_SECONDS = 5
"""Wait after a store did not answer."""

_MESSAGE_CHARACTERS = 1000
_CODE_CHARACTERS = 64
_FINDINGS = 5


@dataclass(frozen=True, slots=True)
class Verdict:
    """The decision about a failed attempt.

    Attributes:
        error: What the client is told.
        parked: The work waits for a dependency; no attempt is used up.
        revoked: Another worker owns the task; there is nothing to decide.
        at_least_seconds: Wait at least so long, where the failure said so.
    """

    error: ErrorInfo
    parked: bool = False
    revoked: bool = False
    at_least_seconds: float | None = None


def verdict_of(failure: BaseException) -> Verdict:
    """Judge `failure`; never raises."""
    if isinstance(failure, FlotillaError):
        error = ErrorInfo(
            _text(failure.code, _CODE_CHARACTERS),
            _text(failure.message, _MESSAGE_CHARACTERS),
            retryable=not isinstance(failure, PermanentError),
        )
        return Verdict(
            error,
            parked=isinstance(failure, ParkedError | StoreUnavailableError),
            revoked=isinstance(failure, AttemptRevokedError),
            at_least_seconds=_wait(failure),
        )
    if _is_exit(failure):
        return Verdict(ErrorInfo("agent_exit", "the agent tried to end its process", retryable=True))
    # An error the author did not classify: most such are passing (networks, models), so it is retried.
    text = f"{type(failure).__name__}: {_text(failure, _MESSAGE_CHARACTERS)}"
    return Verdict(ErrorInfo("agent_error", text[:_MESSAGE_CHARACTERS], retryable=True))


def summary_of(error: ValidationError) -> str:
    """What pydantic found, without the values it found it in."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    lines = [f"{'.'.join(map(str, item['loc'])) or 'value'}: {item['msg']}" for item in found[:_FINDINGS]]
    return "; ".join(lines)


def _is_exit(failure: BaseException) -> bool:
    if isinstance(failure, BaseExceptionGroup):
        return any(_is_exit(inner) for inner in failure.exceptions)
    return isinstance(failure, SystemExit | KeyboardInterrupt)


def _text(value: Any, characters: int) -> str:
    """`value` as text that fits an event; undecodable remains of file names become question marks."""
    try:
        text = value if isinstance(value, str) else str(value)
    except Exception:  # noqa: BLE001 - __str__ is the author's code too
        return "(it cannot say)"
    return text[:characters].encode(errors="replace").decode()


def _wait(failure: FlotillaError) -> float | None:
    if isinstance(failure, StoreUnavailableError):
        return UNAVAILABLE_RETRY_SECONDS
    return _seconds(getattr(failure, "retry_after_seconds", None))


def _seconds(value: Any) -> float | None:
    """A wait as the failure gave it, a header's text included; None where it is none."""
    try:
        seconds = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    if math.isnan(seconds):
        return None
    return min(max(seconds, 0.0), LONGEST_WAIT_SECONDS)
