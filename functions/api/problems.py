"""Every error the API answers with, as RFC 9457 problem details.

Invariant: a problem says what the client can do about it and nothing about how the API is made:
no stack trace, no name of a table, queue or class, nothing of what the client sent but paths into it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import quote

_INSTANCE_CHARACTERS = 512

Slug = Literal[
    "malformed-json",
    "invalid-header",
    "unauthenticated",
    "missing-scope",
    "not-found",
    "unknown-agent",
    "unknown-workflow",
    "method-not-allowed",
    "not-redrivable",
    "not-waiting",
    "already-signalled",
    "too-large",
    "unsupported-media-type",
    "invalid-input",
    "idempotency-key-reused",
    "rate-limited",
    "internal-error",
    "unavailable",
    "dependency-unavailable",
]
"""The problems there are."""

# slug: (status, title, whether the same request may succeed later)
_KINDS: dict[Slug, tuple[int, str, bool]] = {
    "malformed-json": (400, "The body is not acceptable JSON", False),
    "invalid-header": (400, "A header is malformed", False),
    "unauthenticated": (401, "A valid API key is required", False),
    "missing-scope": (403, "The API key lacks a scope", False),
    "not-found": (404, "There is nothing here", False),
    "unknown-agent": (404, "No such agent", False),
    "unknown-workflow": (404, "No such workflow", False),
    "method-not-allowed": (405, "The method is not allowed here", False),
    "not-redrivable": (409, "The task cannot be redriven", False),
    "not-waiting": (409, "The task does not wait for this signal", False),
    "already-signalled": (409, "The signal was given with another payload", False),
    "too-large": (413, "The body is too large", False),
    "unsupported-media-type": (415, "The content type is not supported", False),
    "invalid-input": (422, "The request is invalid", False),
    "idempotency-key-reused": (422, "The Idempotency-Key was used for another request", False),
    "rate-limited": (429, "Too many tasks were submitted", True),
    "internal-error": (500, "Something went wrong on our side", False),
    "unavailable": (503, "The service cannot answer right now", True),
    "dependency-unavailable": (503, "What the agent depends on is down", True),
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem, without what only the request knows.

    Attributes:
        slug: Last part of the problem's type.
        errors: Pairs of a path (JSON Pointer) and what is wrong there.
        headers: To be sent along.
    """

    slug: Slug
    detail: str
    errors: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def status(self) -> int:
        """The HTTP status."""
        return _KINDS[self.slug][0]

    def to_json(self, *, path: str, request_id: str) -> dict[str, Any]:
        """The problem document for one request."""
        status, title, retryable = _KINDS[self.slug]
        value: dict[str, Any] = {
            "type": f"/problems/{self.slug}",
            "title": title,
            "status": status,
            "detail": self.detail,
            "instance": quote(path[:_INSTANCE_CHARACTERS], errors="replace"),
            "request_id": request_id,
            "retryable": retryable,
        }
        if self.errors:
            value["errors"] = [{"path": where, "message": what} for where, what in self.errors]
        return value


class RefusalError(Exception):
    """The request is answered with a problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.slug)
        self.problem = problem


def refusal(
    slug: Slug,
    detail: str,
    *,
    errors: Iterable[tuple[str, str]] = (),
    headers: Mapping[str, str] | None = None,
) -> RefusalError:
    """The error to raise to answer with the problem `slug`.

    Args:
        slug: Which problem.
        detail: What the client should know and do, for a person to read.
        errors: Pairs of a path (JSON Pointer) and what is wrong there.
        headers: To be sent along.
    """
    return RefusalError(Problem(slug, detail, tuple(errors), headers or {}))
