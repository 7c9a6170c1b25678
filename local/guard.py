"""Keeps strangers out of the engine: web pages, and names that resolve to loopback.

The engine believes every request that reaches it, and can be told to run code. A page open in the user's browser can
send requests to 127.0.0.1, so a loopback address alone protects nothing. The guard lets a request pass only if

* every `Host` it names is a loopback name (a page that rebinds its own name to 127.0.0.1 still names itself), and
* nothing in it says that a page of another origin sent it (`Origin`, `Sec-Fetch-Site`, `Referer`).

It takes the engine's permissive CORS headers off every answer, and holds back bursts on HTTP APIs (`local.admission`).
It knows nothing of AWS.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from local.admission import Admission, Window

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_LOOPBACK = re.compile(r"(?:127\.0\.0\.1|localhost|(?:[a-z0-9_-]+\.)+localhost)(?::\d{1,5})?", re.IGNORECASE)
_OWN_FETCHES = frozenset({"same-origin", "none"})
_HTTP_API_PATH = "/_aws/execute-api/"
_HTTP_API_HOST = ".execute-api."


class Guard:
    """ASGI middleware around an engine that must never meet a stranger."""

    def __init__(self, app: App, window: Window | None = None) -> None:
        self._app = app
        self._admission = Admission(window or Window())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuses with 403, or passes on."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = _headers(scope)
        reason = refusal(headers, scheme=str(scope.get("scheme", "http")))
        if reason is not None:
            await _refuse(scope, receive, send, reason)
        elif scope["type"] == "http" and _is_http_api(scope, headers):
            async with self._admission.admit():
                await self._app(scope, receive, _without_cors(send))
        else:
            await self._app(scope, receive, _without_cors(send))


def refusal(headers: Iterable[tuple[str, str]], *, scheme: str = "http") -> str | None:
    """Why a request with these headers (names in lower case) is refused; None if it may pass."""
    named: dict[str, list[str]] = {}
    for name, value in headers:
        named.setdefault(name, []).append(value.strip())
    hosts = named.get("host", [])
    if not hosts:
        return "the request names no host"
    if not all(_LOOPBACK.fullmatch(host) for host in hosts):
        return "the host is not a loopback name"
    # A page on another local port is a stranger too, so only the very origin that was asked may ask.
    web_scheme = {"ws": "http", "wss": "https"}.get(scheme, scheme)
    own = {f"{web_scheme}://{host}".lower() for host in hosts}
    if any(origin.lower() not in own for origin in named.get("origin", [])):
        return "the request comes from another origin"
    if any(site.lower() not in _OWN_FETCHES for site in named.get("sec-fetch-site", [])):
        return "the request comes from another site"
    for referrer in named.get("referer", []):
        parts = urlsplit(referrer)
        if f"{parts.scheme}://{parts.netloc}".lower() not in own:
            return "the request was made by a page of another origin"
    return None


def _headers(scope: Scope) -> list[tuple[str, str]]:
    return [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope.get("headers", [])]


def _is_http_api(scope: Scope, headers: list[tuple[str, str]]) -> bool:
    if str(scope.get("path", "")).startswith(_HTTP_API_PATH):
        return True
    return any(name == "host" and _HTTP_API_HOST in value.lower() for name, value in headers)


def _without_cors(send: Send) -> Send:
    async def send_without_cors(message: Message) -> None:
        if "headers" in message:
            kept = [
                (name, value)
                for name, value in message["headers"]
                if not bytes(name).lower().startswith((b"access-control-", b"timing-allow-origin"))
            ]
            message = {**message, "headers": kept}
        await send(message)

    return send_without_cors


async def _refuse(scope: Scope, receive: Receive, send: Send, reason: str) -> None:
    problem = {"type": "about:blank", "title": "Forbidden", "status": 403, "detail": f"Refused: {reason}."}
    body = json.dumps(problem).encode()
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 403, "headers": headers})
        await send({"type": "http.response.body", "body": body})
        return
    await receive()
    if "websocket.http.response" in scope.get("extensions", {}):
        await send({"type": "websocket.http.response.start", "status": 403, "headers": headers})
        await send({"type": "websocket.http.response.body", "body": body})
    else:
        # Closing before accepting is a 403 to the client.
        await send({"type": "websocket.close", "code": 1008})
