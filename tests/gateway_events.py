"""API Gateway's events (HTTP API, payload format 2.0), as the functions behind it receive them."""

from __future__ import annotations

import base64
import itertools
import json
from dataclasses import dataclass
from typing import Any

_REQUEST_NUMBERS = itertools.count(1)

ALL_SCOPES = "operate tasks:read tasks:write"


def identity(tenant: str = "acme", *, scopes: str = ALL_SCOPES, key_id: str = "k1") -> dict[str, str]:
    """What the authorizer says of a known key."""
    return {"outcome": "ok", "tenant": tenant, "key_id": key_id, "scopes": scopes}


def http_event(
    method: str,
    path: str,
    body: Any = None,
    *,
    headers: dict[str, str] | None = None,
    query: dict[str, str] | None = None,
    authorizer: dict[str, str] | None = None,
) -> dict[str, Any]:
    """An event; `body` as text, as bytes (which arrive in base64) or as JSON values."""
    event: dict[str, Any] = {
        "version": "2.0",
        "rawPath": path,
        "headers": {"content-type": "application/json", **(headers or {})},
        "requestContext": {"http": {"method": method, "path": path}, "requestId": f"request-{next(_REQUEST_NUMBERS)}"},
        "isBase64Encoded": isinstance(body, bytes),
    }
    if isinstance(body, bytes):
        event["body"] = base64.b64encode(body).decode()
    elif body is not None:
        event["body"] = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
    if query:
        event["queryStringParameters"] = query
    if authorizer is not None:
        event["requestContext"]["authorizer"] = {"lambda": authorizer}
    return event


@dataclass(frozen=True)
class Answer:
    """A function's response, read as a client reads it."""

    status: int
    headers: dict[str, str]
    text: str

    @classmethod
    def of(cls, response: dict[str, Any]) -> Answer:
        # What Lambda's runtime does with it, and the most it takes.
        assert len(json.dumps(response)) < 6_000_000
        body = response["body"]
        text = base64.b64decode(body).decode() if response["isBase64Encoded"] else body
        return cls(response["statusCode"], response["headers"], text)

    def json(self) -> Any:
        return json.loads(self.text)

    def problem(self, status: int, slug: str) -> dict[str, Any]:
        """The problem, checked to be whole and to be this one."""
        found: dict[str, Any] = self.json()
        assert (self.status, found["type"]) == (status, f"/problems/{slug}"), self.text
        assert self.headers["content-type"] == "application/problem+json"
        whole = {"type", "title", "status", "detail", "instance", "request_id", "retryable"}
        assert found.keys() - {"errors"} == whole
        assert found["status"] == status
        assert all(error.keys() == {"path", "message"} for error in found.get("errors", []))
        return found


class InvocationContext:
    """The part of Lambda's context that the functions look at."""

    function_name = "fleet-function"
    aws_request_id = "invocation-1"

    def __init__(self, remaining_ms: int = 29_000) -> None:
        self._remaining_ms = remaining_ms

    def get_remaining_time_in_millis(self) -> int:
        return self._remaining_ms
