"""Builds the request of a call: strictly, so that no path, query or header leads elsewhere than it says.

Refuses paths with dot segments in any disguise, paths outside what the integration allows, and headers that decide
where a request goes, how long it is or who sends it.
"""

from __future__ import annotations

import json as json_
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote, unquote, urlencode, urljoin, urlsplit

from flotilla.errors import PermanentError
from flotilla.integration_ports import HttpRequest
from flotilla.integrations.declaration import Integration

Scalar = str | int | float | bool
Params = Mapping[str, Scalar | Sequence[Scalar] | None]

ABSENT: Any = object()
"""No JSON body; `None` is one."""

LONGEST_TARGET = 8000

_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "POST", "PATCH"})
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_IDEMPOTENT = _SAFE | {"PUT", "DELETE"}  # RFC 9110, 9.2.2

_PATH_CHARACTERS = "/%-._~!$&'()*+,;=:@"
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_NOT_PLAIN = re.compile(r"[\x00-\x20\x7f\\#]")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\x21-\x7e]([\x20-\x7e\t]*[\x21-\x7e])?")
_ESCAPES_DEEP = 4

_OURS = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-length",
        "expect",
        "forwarded",
        "host",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Headers that a caller cannot set."""

_DEFAULTS = {"accept": "application/json", "user-agent": "Flotilla/1.0"}


def is_safe(method: str) -> bool:
    """Whether a call of this method only looks."""
    return method in _SAFE


def is_idempotent(method: str) -> bool:
    """Whether the method itself promises that making the call again changes nothing more."""
    return method in _IDEMPOTENT


def build(
    integration: Integration,
    method: str,
    path: str,
    *,
    params: Params | None = None,
    json: Any = ABSENT,
    content: bytes | str | None = None,
    headers: Mapping[str, str] | None = None,
    idempotency_key: str | None = None,
) -> HttpRequest:
    """The request, without what authenticates it.

    Args:
        integration: Whom it goes to.
        method: Any case.
        path: Below the integration's base; begins with a slash, may end in a query.
        params: Added to the query; None values are left out, sequences repeat their name.
        json: A body as JSON.
        content: A body as it is.
        headers: Further headers; they win over the defaults.
        idempotency_key: By which the other side knows a repetition; what `headers` says wins.

    Raises:
        PermanentError: It cannot be made: `invalid_request`, or `path_not_allowed`.
    """
    method = method.upper()
    if method not in _METHODS:
        raise _invalid(f"the method is none of {', '.join(sorted(_METHODS))}")
    body, kind = _body(json, content)
    found = _headers(integration, headers or {})
    if kind is not None:
        found.setdefault("content-type", kind)
    if idempotency_key is not None and integration.idempotency_header is not None:
        found.setdefault(integration.idempotency_header.lower(), idempotency_key)
    return HttpRequest(
        method=method,
        origin=integration.origin,
        target=_target(integration, path, params),
        headers=tuple(found.items()),
        body=body,
        private=integration.private,
    )


def redirected(integration: Integration, request: HttpRequest, location: str) -> HttpRequest | None:
    """The same request to where a redirect leads; None where it must not follow: another host, a path not allowed."""
    try:
        url = urlsplit(urljoin(request.origin + request.target, location))
        origin = f"{url.scheme}://{url.netloc}".lower()
    except ValueError:
        return None
    if origin != integration.origin or not url.path.startswith(f"{integration.base_path}/"):
        return None
    path = url.path.removeprefix(integration.base_path)
    try:
        target = _target(integration, path + (f"?{url.query}" if url.query else ""), None)
    except PermanentError:
        return None
    return replace(request, target=target)


def _target(integration: Integration, path: str, params: Params | None) -> str:
    path, question, query = path.partition("?")
    if not path.startswith("/") or _NOT_PLAIN.search(path + query) or _BAD_ESCAPE.search(path):
        raise _invalid("a path begins with a slash and holds no spaces, backslashes, fragments or broken escapes")
    if _climbs(path):
        raise _invalid("a path has no dot segments")
    try:
        path = quote(path, safe=_PATH_CHARACTERS)
        query = quote(query, safe=f"{_PATH_CHARACTERS}?")
        added = urlencode(_pairs(params or {}))
    except UnicodeError as error:  # half a surrogate pair is text to Python and nothing to the rest of the world
        raise _invalid("path and parameters are texts that can be encoded") from error
    if integration.paths and not any(_within(path, allowed) for allowed in integration.paths):
        raise PermanentError(
            f"integration {integration.name} does not allow this path: see integrations.{integration.name}.paths",
            code="path_not_allowed",
        )
    query = "&".join(part for part in (query, added) if part)
    target = integration.base_path + path + (f"?{query}" if query else question)
    if len(target) > LONGEST_TARGET:
        raise _invalid(f"path and query have at most {LONGEST_TARGET} characters")
    return target


def _climbs(path: str) -> bool:
    """Whether a segment is `.` or `..`, however often it was escaped."""
    for _ in range(_ESCAPES_DEEP):
        if any(segment in (".", "..") for segment in re.split(r"[/\\]", path)):
            return True
        plain = unquote(path)
        if plain == path:
            return False
        path = plain
    return True  # who escapes that deeply hides something


def _within(path: str, allowed: str) -> bool:
    # What a lenient server would read as a slash could leave the allowed part.
    if re.search(r"%(?:2f|5c)", path, re.IGNORECASE):
        return False
    return path == allowed or path.startswith(allowed if allowed.endswith("/") else f"{allowed}/")


def _pairs(params: Params) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for name, value in params.items():
        several = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
        pairs.extend((name, _text(each)) for each in several if each is not None)
    return pairs


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int):
        return str(value)
    if isinstance(value, float) and math.isfinite(value):
        return repr(value)
    raise _invalid("a parameter is a text, a number, true or false, or a sequence of these")


def _headers(integration: Integration, given: Mapping[str, str]) -> dict[str, str]:
    found = dict(_DEFAULTS)
    carries_secret = None
    if integration.auth is not None:
        carries_secret = (integration.auth.header or "authorization").lower()
    for name, value in given.items():
        low = name.lower()
        if low in _OURS or low == carries_secret:
            raise _invalid(f"header {name!r} cannot be set")
        if not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value):
            raise _invalid(f"header {name!r} is none that can be sent")
        found[low] = value
    return found


def _body(json: Any, content: bytes | str | None) -> tuple[bytes | None, str | None]:
    if json is ABSENT:
        if isinstance(content, str):
            return content.encode(), "text/plain; charset=utf-8"
        return content, None if content is None else "application/octet-stream"
    if content is not None:
        raise _invalid("a body is `json` or `content`, not both")
    try:
        return json_.dumps(json, allow_nan=False, separators=(",", ":")).encode(), "application/json"
    except (TypeError, ValueError, RecursionError) as error:
        raise _invalid("the body is not JSON") from error


def _invalid(message: str) -> PermanentError:
    return PermanentError(message, code="invalid_request")
