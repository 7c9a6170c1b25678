"""The problems that stand for errors which are to be expected: of a whole request, or of one item of a batch."""

from __future__ import annotations

import math

from flotilla.errors import (
    CircuitOpenError,
    IdempotencyKeyReusedError,
    InvalidInputError,
    RetryableError,
    UnknownAgentError,
)
from functions.api.problems import Problem, RefusalError

_RETRY_AFTER_SECONDS = 2


def problem_of(error: Exception) -> Problem | None:
    """The problem that stands for `error`; None where nobody expected it."""
    match error:
        case RefusalError():
            return error.problem
        case UnknownAgentError():
            return Problem("unknown-agent", "No agent of that name is deployed.")
        case IdempotencyKeyReusedError():
            return Problem("idempotency-key-reused", "Use a new key for a new request, or repeat the first one.")
        case InvalidInputError():
            return Problem("invalid-input", error.message, tuple(error.errors))
        case CircuitOpenError():
            return Problem(
                "dependency-unavailable",
                "What the agent depends on is down, and the agent takes no tasks meanwhile. Nothing was accepted.",
                headers={"retry-after": str(max(1, math.ceil(error.retry_after_seconds)))},
            )
        case RetryableError():
            return _unavailable(error.retry_after_seconds)
        case TimeoutError():
            return _unavailable(None)
        case _:
            return None


def unexpected() -> Problem:
    """All that a client learns of an error that nobody expected."""
    return Problem("internal-error", "The error is recorded under the request_id.")


def _unavailable(retry_after_seconds: float | None) -> Problem:
    seconds = _RETRY_AFTER_SECONDS if retry_after_seconds is None else max(1, math.ceil(retry_after_seconds))
    return Problem(
        "unavailable",
        "Something this request needs did not answer. Repeat it, with the same Idempotency-Key if it had one; "
        "without one it may have been accepted all the same.",
        headers={"retry-after": str(seconds)},
    )
