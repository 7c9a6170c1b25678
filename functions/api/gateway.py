"""API Gateway's side of the API: its events in (payload format 2.0), its responses out.

Nothing is believed here: what the client sent is passed on as it came, to be bounded and checked
by whoever uses it. What the authorizer said is trusted, since only API Gateway can say it.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from flotilla import trace_context
from functions.api.problems import refusal

MAX_BODY_BYTES = 1_048_576
"""The largest body that may come inline."""

_MAX_BASE64_CHARACTERS = (MAX_BODY_BYTES + 2) // 3 * 4

_MAX_PLAIN_BYTES = 1_048_576

JSON_TYPE = "application/json"
PROBLEM_TYPE = "application/problem+json"
HTML_TYPE = "text/html; charset=utf-8"

_NO_CONTENT = 204

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_FIXED_HEADERS = {"cache-control": "no-store", "x-content-type-options": "nosniff"}


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request.

    Attributes:
        headers: By lower-case name.
        authorizer: What the authorizer said; empty where it was not asked.
        ends_ms: An answer after this time is too late for the client.
        trace: The trace that it is part of, as `traceparent`; where it came without one, one of its own.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    body: str
    body_is_base64: bool
    authorizer: Mapping[str, Any]
    request_id: str
    ends_ms: int
    trace: str

    @classmethod
    def from_event(cls, event: Mapping[str, Any], ends_ms: int) -> Request:
        """Read API Gateway's event."""
        context = event.get("requestContext") or {}
        http = context.get("http") or {}
        headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
        return cls(
            method=str(http.get("method", "")).upper(),
            path=event.get("rawPath") or "/",
            headers=headers,
            query=event.get("queryStringParameters") or {},
            body=event.get("body") or "",
            body_is_base64=bool(event.get("isBase64Encoded")),
            authorizer=(context.get("authorizer") or {}).get("lambda") or {},
            request_id=str(context.get("requestId", "")),
            ends_ms=ends_ms,
            trace=_trace(headers, str(context.get("requestId", ""))).traceparent,
        )

    def body_bytes(self) -> bytes:
        """The body.

        Raises:
            RefusalError: It is larger than `MAX_BODY_BYTES`, or not what its encoding says.
        """
        # A character is a byte at least, or in base64 three quarters of one: what is too long is
        # refused before it is copied.
        if len(self.body) > (_MAX_BASE64_CHARACTERS if self.body_is_base64 else MAX_BODY_BYTES):
            raise _too_large()
        try:
            content = base64.b64decode(self.body, validate=True) if self.body_is_base64 else self.body.encode()
        except (binascii.Error, ValueError):
            raise refusal("malformed-json", "The body cannot be decoded.") from None
        if len(content) > MAX_BODY_BYTES:
            raise _too_large()
        if self._was_repaired(content):
            raise refusal("malformed-json", "The body is not UTF-8.")
        return content

    def _was_repaired(self, content: bytes) -> bool:
        """The gateway put replacement characters where the client's bytes were no text.

        It says so nowhere, but the length the client gave is no longer right. Taken as it is, the
        task would run on something that nobody sent.
        """
        sent = self.headers.get("content-length", "")
        return (
            not self.body_is_base64
            and _REPLACEMENT in self.body
            and sent.isascii()
            and sent.isdigit()
            and sent.lstrip("0") != str(len(content))
        )


@dataclass(frozen=True, slots=True)
class Response:
    """One HTTP response.

    Attributes:
        value: The body, as JSON values; of a page, its text.
    """

    status: int
    value: Any
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = JSON_TYPE

    def to_gateway(self, *, with_body: bool = True) -> dict[str, Any]:
        """The form API Gateway takes.

        Args:
            with_body: False for an answer to `HEAD`.
        """
        with_body = with_body and self.status != _NO_CONTENT
        text = self._text() if with_body else ""
        content = text.encode()
        # Lambda's runtime writes the response as JSON once more, where quotes take twice and other
        # characters up to three times their room, and refuses more than 6 MB. Base64 takes a third more.
        large = len(content) > _MAX_PLAIN_BYTES
        return {
            "statusCode": self.status,
            "headers": {"content-type": self.content_type, **_FIXED_HEADERS, **self.headers},
            "body": base64.b64encode(content).decode() if large else text,
            "isBase64Encoded": large,
        }

    def _text(self) -> str:
        if self.content_type == HTML_TYPE:
            return str(self.value)
        return json.dumps(self.value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _too_large() -> Exception:
    return refusal(
        "too-large",
        "The body is larger than 1 MiB. Upload the input with POST /v1/uploads and send its input_ref instead.",
    )


def _trace(headers: Mapping[str, str], request_id: str) -> trace_context.Trace:
    """The client's trace, or X-Ray's, or one of the request's own.

    Lambda's own variable names the segment that this invocation is, and whether X-Ray records it. A header of X-Ray's
    every request has: one that no client sent is the gateway's, and says nothing of that.
    """
    sent = trace_context.read(headers.get(trace_context.HEADER))
    if sent is not None:
        return sent
    own = trace_context.read(os.environ.get("_X_AMZN_TRACE_ID"))
    if own is not None and own.sampled:
        return own
    found = trace_context.read(headers.get("x-amzn-trace-id"))
    if found is None:
        found = trace_context.made(request_id or secrets.token_hex(8))
    return found.decided(_trace_share())


@cache
def _trace_share() -> float:
    return float(os.environ.get("FLOTILLA_TRACE_SHARE", "0"))
