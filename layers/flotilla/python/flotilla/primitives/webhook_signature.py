"""Signatures as of Standard Webhooks 1.0.0, symmetric scheme `v1`.

What is signed is `<webhook-id>.<webhook-timestamp>.<body>`, by HMAC-SHA256. An id holds no full stop, so no two
messages are signed alike. Source: https://www.standardwebhooks.com, the specification's section on signatures.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence

SECRET_BYTES = 32
"""The specification asks for 24 to 64."""

_PREFIX = "whsec_"
_ID_CHARACTERS = 32


def secret_of(random: bytes) -> str:
    """A secret in the form in which it is shown, of at least 24 random bytes.

    Raises:
        ValueError: They are fewer.
    """
    if not 24 <= len(random) <= 64:
        raise ValueError("a secret is made of 24 to 64 random bytes")
    return _PREFIX + base64.b64encode(random).decode()


def message_id(task_id: str, seq: int, endpoint_id: str) -> str:
    """The `webhook-id` of what an endpoint is told of a task's event: the same for every attempt."""
    digest = hashlib.sha256(f"{task_id}\0{seq}\0{endpoint_id}".encode()).hexdigest()
    return f"msg_{digest[:_ID_CHARACTERS]}"


def headers_for(message_id: str, body: bytes, *, secrets: Sequence[str], now_ms: int) -> dict[str, str]:
    """The headers of one attempt, signed with each of `secrets`.

    Args:
        message_id: See `message_id`.
        body: The request's body.
        secrets: All that are valid, the newest first.
        now_ms: When the attempt is made: receivers refuse what is too old, so each attempt has its own time.
    """
    timestamp = str(now_ms // 1000)
    signed = f"{message_id}.{timestamp}.".encode() + body
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(_signature(secret, signed) for secret in secrets),
    }


def _signature(secret: str, signed: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(_PREFIX))
    return "v1," + base64.b64encode(hmac.digest(key, signed, "sha256")).decode()
