"""Errors, named by what the caller must do about them.

Invariant: an error that reaches the execution service says by its class alone whether the work
is tried again, given up or put aside. This module knows nothing of AWS; adapters translate.
"""

from __future__ import annotations


class FlotillaError(Exception):
    """Base of every error Flotilla raises on purpose.

    Args:
        message: What happened, fit to be shown to the client who submitted the task.
        code: Stable machine-readable name; defaults to the class's own.
    """

    default_code = "error"

    def __init__(self, message: str = "", *, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code


class RetryableError(FlotillaError):
    """Trying again later may succeed; the attempt counts.

    Args:
        message: What happened.
        code: Stable machine-readable name.
        retry_after_seconds: Do not try again sooner than this, if the other side said so.
    """

    default_code = "retryable"

    def __init__(self, message: str = "", *, code: str | None = None, retry_after_seconds: float | None = None) -> None:
        super().__init__(message, code=code)
        self.retry_after_seconds = retry_after_seconds


class StoreUnavailableError(RetryableError):
    """One of Flotilla's own stores did not answer. Inside an attempt it is nobody's failure: the work is parked."""

    default_code = "store_unavailable"


class PermanentError(FlotillaError):
    """No later attempt can succeed; the task is dead-lettered at once."""

    default_code = "permanent"


class WaitTimeoutError(PermanentError):
    """Nobody gave the signal in time that the task waited for. An agent may catch it and go on without."""

    default_code = "wait_timeout"


class SuspendedError(FlotillaError):
    """The attempt ends here: its task waits for a signal. Let it pass; whatever is made of it, the task waits."""

    default_code = "suspended"


class ParkedError(FlotillaError):
    """The work must wait for a dependency, and the wait uses up no attempt.

    Args:
        message: What is being waited for.
        retry_after_seconds: The earliest time it is worth looking again.
    """

    default_code = "parked"

    def __init__(self, message: str = "", *, code: str | None = None, retry_after_seconds: float = 1.0) -> None:
        super().__init__(message, code=code)
        self.retry_after_seconds = retry_after_seconds


class AttemptRevokedError(FlotillaError):
    """This attempt no longer owns its task; nothing it does may be recorded any more."""

    default_code = "attempt_revoked"


class UnreadableMessageError(FlotillaError):
    """A message on a lane that no version of this code can have sent."""

    default_code = "unreadable_message"


class CorruptLogError(FlotillaError):
    """A task's log breaks its own rules: a gap, a broken hash chain, an event after the last."""

    default_code = "corrupt_log"


class IdempotencyKeyReusedError(FlotillaError):
    """An idempotency key came back with another request."""

    default_code = "idempotency-key-reused"


class UnknownAgentError(FlotillaError):
    """No agent of that name is deployed."""

    default_code = "unknown-agent"


class InvalidInputError(FlotillaError):
    """A value breaks its schema.

    Args:
        message: One sentence for all of it.
        errors: Pairs of a path (JSON Pointer) and what is wrong there.
    """

    default_code = "invalid-input"

    def __init__(self, message: str, errors: list[tuple[str, str]]) -> None:
        super().__init__(message)
        self.errors = errors


class CircuitOpenError(ParkedError):
    """Calls are held back because what they call is down.

    Args:
        circuit: Whose calls.
        retry_after_seconds: When it is worth looking again, spread so that what was held back does not come at once.
        message: Why, where it is another reason.
    """

    default_code = "circuit_open"

    def __init__(self, circuit: str, *, retry_after_seconds: float, message: str = "") -> None:
        super().__init__(message or f"{circuit} is not available", retry_after_seconds=retry_after_seconds)
        self.circuit = circuit


class LimitedError(ParkedError):
    """A limit allows no more for now.

    Args:
        message: What is limited.
        limit: Name of the limit.
        retry_after_seconds: When there will be room for this, if others leave it.
    """

    default_code = "limited"

    def __init__(self, message: str = "", *, limit: str, retry_after_seconds: float, code: str | None = None) -> None:
        super().__init__(message, code=code, retry_after_seconds=retry_after_seconds)
        self.limit = limit


class BudgetExceededError(PermanentError):
    """A budget is spent, and its policy is to refuse what would cost more.

    Args:
        message: Whose budget.
        scope: Name of the budget.
    """

    default_code = "budget_exceeded"

    def __init__(self, message: str = "", *, scope: str, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.scope = scope


class BudgetParkedError(ParkedError):
    """A budget is spent for now, and its policy is to wait.

    Args:
        message: Whose budget.
        scope: Name of the budget.
        retry_after_seconds: When there may be room again.
    """

    default_code = "budget_spent"

    def __init__(self, message: str = "", *, scope: str, retry_after_seconds: float, code: str | None = None) -> None:
        super().__init__(message, code=code, retry_after_seconds=retry_after_seconds)
        self.scope = scope
