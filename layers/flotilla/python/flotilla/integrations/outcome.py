"""What became of one request: whether it is worth making again, and what it says about the other side's health.

    2xx                         answered
    301 302 303 307 308         redirected
    401                         unauthorized: once more, with the secret read anew
    408 425 500 502 503 504     failed: worth another try
    429, 503 with Retry-After   throttled: the other side wants fewer calls
    any other                   refused: the caller's error; no other try will do better

An error instead of an answer is a failure.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from flotilla.errors import RetryableError
from flotilla.integration_ports import CrowdedError, HttpAnswer, NotSentError
from flotilla.primitives.circuit import CallOutcome
from flotilla.primitives.webhook_retry import retry_after_seconds

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_FAILURES = frozenset({408, 425, 500, 502, 503, 504})


class Kind(StrEnum):
    """What became of a request."""

    ANSWERED = "answered"
    REFUSED = "refused"
    REDIRECTED = "redirected"
    UNAUTHORIZED = "unauthorized"
    THROTTLED = "throttled"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Tried:
    """One request that was made, and what came of it.

    Attributes:
        kind: What became of it.
        health: What it says about the other side.
        answer: The answer, if there was one.
        error: Why there was none.
        surely_undone: The other side has surely not done what it was asked to.
        retry_after_ms: What the other side asked for.
    """

    kind: Kind
    health: CallOutcome
    answer: HttpAnswer | None = None
    error: RetryableError | None = None
    surely_undone: bool = False
    retry_after_ms: int | None = None


def of_answer(answer: HttpAnswer, now_ms: int) -> Tried:
    """Judge an answer."""
    status = answer.status
    asked = retry_after_seconds(answer.header("retry-after"), now_ms)
    retry_after_ms = None if asked is None else int(asked * 1000)
    if 200 <= status < 300:
        return Tried(Kind.ANSWERED, CallOutcome.OK, answer)
    if status == 429 or (status == 503 and retry_after_ms is not None):
        # A 503 that names a time is a server that sheds load on purpose, and one that has to is not well.
        health = CallOutcome.OK if status == 429 else CallOutcome.FAILED
        return Tried(Kind.THROTTLED, health, answer, surely_undone=True, retry_after_ms=retry_after_ms)
    if status in _FAILURES:
        return Tried(Kind.FAILED, CallOutcome.FAILED, answer, retry_after_ms=retry_after_ms)
    if status in _REDIRECTS:
        return Tried(Kind.REDIRECTED, CallOutcome.OK, answer)
    if status == 401:
        return Tried(Kind.UNAUTHORIZED, CallOutcome.OK, answer, surely_undone=True)
    # 5xx that are left (501, 505, …) say that it will never do this.
    return Tried(Kind.REFUSED, CallOutcome.OK, answer)


def of_error(error: RetryableError) -> Tried:
    """Judge a request that brought no answer."""
    # That we are crowded says nothing of the other side.
    health = CallOutcome.UNKNOWN if isinstance(error, CrowdedError) else CallOutcome.FAILED
    return Tried(Kind.FAILED, health, error=error, surely_undone=isinstance(error, NotSentError | CrowdedError))


def of_cut(tried_ms: int, telling_ms: int) -> CallOutcome:
    """What a request says that was given up while it waited.

    Args:
        tried_ms: How long it had.
        telling_ms: From when on no answer tells something about the other side, and not about who had no time left.
    """
    return CallOutcome.FAILED if tried_ms >= telling_ms else CallOutcome.UNKNOWN


def may_repeat(tried: Tried, *, idempotent: bool) -> bool:
    """Whether the request may be made again.

    Args:
        tried: What became of it.
        idempotent: Making it twice is as making it once: by its method, or by the key it carries.
    """
    return tried.kind in (Kind.FAILED, Kind.THROTTLED) and (idempotent or tried.surely_undone)
