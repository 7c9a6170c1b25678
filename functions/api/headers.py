"""The request headers the API understands, each with its bound."""

from __future__ import annotations

import re

from functions.api.gateway import JSON_TYPE, Request
from functions.api.problems import refusal

LONGEST_WAIT_SECONDS = 25
"""More than this a client cannot wait: API Gateway gives up after 30 s."""

_KEY_CHARACTERS = 255
_PREFER_CHARACTERS = 1024
_CONTENT_TYPE_CHARACTERS = 256

_VISIBLE = re.compile(r"[\x21-\x7e]+")
_QUOTED = re.compile(r'"((?:[^"\\]|\\["\\])*)"')
_ESCAPED = re.compile(r"\\(.)")
_WAIT = re.compile(r'wait[ \t]*=[ \t]*(?:"([0-9]+)"|([0-9]+))[ \t]*(?:;.*)?', re.IGNORECASE)
_CONTENT_TYPE = re.compile(r'application/json[ \t]*(?:;[ \t]*charset[ \t]*=[ \t]*"?utf-?8"?[ \t]*)?;?', re.IGNORECASE)


def require_json(request: Request) -> None:
    """Check that the body is declared as JSON.

    Raises:
        RefusalError: It is not.
    """
    declared = request.headers.get("content-type", "").strip()
    if len(declared) > _CONTENT_TYPE_CHARACTERS or not _CONTENT_TYPE.fullmatch(declared):
        raise refusal("unsupported-media-type", f"Send the body as {JSON_TYPE}.")


def idempotency_key(request: Request) -> str | None:
    """The client's `Idempotency-Key`, without its quotes if it has any; None where there is none.

    Raises:
        RefusalError: It is not 1 to 255 visible ASCII characters.
    """
    value = request.headers.get("idempotency-key")
    if value is None:
        return None
    key = value.strip()
    # Bounded before it is looked at: quotes and escapes at most double it.
    if len(key) <= 2 * _KEY_CHARACTERS + 2:
        if key.startswith('"'):
            quoted = _QUOTED.fullmatch(key)
            key = _ESCAPED.sub(r"\1", quoted[1]) if quoted else ""
        if len(key) <= _KEY_CHARACTERS and _VISIBLE.fullmatch(key):
            return key
    raise refusal("invalid-header", f"Idempotency-Key must be 1 to {_KEY_CHARACTERS} visible ASCII characters.")


def wait_seconds(request: Request) -> int | None:
    """How long the client prefers to wait (`Prefer: wait=N`); None where it does not say.

    A wait beyond `LONGEST_WAIT_SECONDS` is that long: N is the most the client is willing to wait.
    What is malformed is passed over, as RFC 7240 wants.
    """
    value = request.headers.get("prefer", "")
    if len(value) > _PREFER_CHARACTERS:
        return None
    for preference in value.split(","):
        match = _WAIT.fullmatch(preference.strip())
        if match:
            return min(int(match[1] or match[2]), LONGEST_WAIT_SECONDS)
    return None
