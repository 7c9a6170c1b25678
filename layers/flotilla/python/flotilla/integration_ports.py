"""What calls to integrations need from the world: a way to make a request, secrets, and what protects both sides.

A request is made once and as it is: whether it is repeated, and what its answer means, is decided above.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from flotilla.errors import ParkedError, PermanentError, RetryableError
from flotilla.primitives.circuit import CallOutcome


def protection_name(integration: str) -> str:
    """The name of an integration's circuit, limit and cap."""
    return f"integration#{integration}"


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request.

    Attributes:
        method: In capitals.
        origin: `https://host` or `https://host:port`.
        target: Path and query, as they go into the request line.
        headers: Names and values.
        private: Its host may have an address that is not public.
    """

    method: str
    origin: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes | None
    private: bool


@dataclass(frozen=True, slots=True)
class HttpBounds:
    """What one request may take.

    Attributes:
        connect_seconds: To have a connection, its host's name resolved and TLS spoken included.
        read_seconds: For each wait for more of the answer, and for each write.
        body_bytes: Of the answer, unpacked.
    """

    connect_seconds: float
    read_seconds: float
    body_bytes: int


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """A whole answer.

    Attributes:
        headers: Names in lower case, in the order they came.
        body: Unpacked.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """The first header of that name, given in lower case."""
        return next((value for found, value in self.headers if found == name), None)


class NotSentError(RetryableError):
    """No connection came about, so nothing of the request can have reached the other side."""

    default_code = "integration_unreachable"


class NoAnswerError(RetryableError):
    """No whole answer came. The other side may have done what it was asked to."""

    default_code = "integration_no_answer"


class CrowdedError(RetryableError):
    """This process has as many connections to that host as it may have, and all are in use. Nothing was sent."""

    default_code = "integration_crowded"


class ForbiddenCallError(PermanentError):
    """The request may not be made: its host leads to an address that is not public, say. Nothing was sent."""

    default_code = "integration_forbidden"


class UnusableAnswerError(PermanentError):
    """An answer came that is not taken: it is too large, or packed in a way that was not asked for."""

    default_code = "integration_answer_unusable"


class HttpTransport(Protocol):
    """Makes requests over pooled connections. Follows no redirect, keeps no cookie, asks no proxy."""

    async def send(self, request: HttpRequest, bounds: HttpBounds) -> HttpAnswer:
        """Make the request, and read its whole answer.

        Raises:
            NotSentError: It was surely not sent.
            CrowdedError: The same, for want of a connection of our own.
            NoAnswerError: It may have been sent.
            ForbiddenCallError: It may not be made.
            UnusableAnswerError: Its answer is not taken.
        """
        ...


class Secrets(Protocol):
    """Secrets by name."""

    async def read(self, name: str) -> str:
        """The secret's current text.

        Raises:
            StoreUnavailableError: The store did not answer.
            ParkedError: There is none of that name, or it may not be read: an operator has something to mend.
        """
        ...


@dataclass(frozen=True, slots=True)
class CallAsk:
    """One call that is about to be made.

    Attributes:
        agent: Who makes it.
        tenant: On whose behalf.
        lease_ms: It ends within that, one way or another.
    """

    agent: str
    tenant: str
    lease_ms: int


class Permit(Protocol):
    """Leave to make one call. Every one is to be recorded, whatever became of the call."""

    async def record(self, outcome: CallOutcome, duration_ms: int, retry_after_ms: int | None = None) -> None:
        """Say what the call came to. Never raises for what a store does.

        Args:
            outcome: What it says about the other side's health.
            duration_ms: How long it took.
            retry_after_ms: The other side wants no call for so long.
        """
        ...


class Protection(Protocol):
    """What protects an integration from us, and us from waiting for it: a circuit, limits, a cap on calls at once."""

    async def acquire(self, ask: CallAsk) -> Permit:
        """Ask for leave to make one call.

        Raises:
            ParkedError: Not now. Nothing was taken.
        """
        ...

    async def held(self) -> ParkedError | None:
        """What holds calls back by now, if anything does; takes nothing."""
        ...

    async def works(self, since_ms: int) -> bool:
        """Whether a call is known to have succeeded that ended since then; False where nobody knows of one.

        True where nothing watches what calls come to: who fails there cannot be told from what it calls.
        """
        ...

    async def flush(self) -> None:
        """Send what is due to be told to others, before the process stands still."""
        ...
