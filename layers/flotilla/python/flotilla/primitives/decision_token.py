"""What a link to a decision carries: which wait of which task it answers, until when, and which endpoint it is for.

    base64url( {"endpoint", "expires", "seq", "task_id"} ) . base64url( HMAC-SHA256 )

Whoever has it may decide, so it is signed and it expires. Invariant: nothing is read of a token before its signature
was found right, and how long that takes says nothing of what was wrong.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass

MAX_CHARACTERS = 256
"""A path's variable part has no more. Ours have about 210."""

_PURPOSE = b"flotilla decision\0"
"""Signed with it, so that nothing else that the key might ever sign is a token."""


@dataclass(frozen=True, slots=True)
class DecisionClaims:
    """What a token says.

    Attributes:
        seq: Number of the task's `waiting` event.
        expires: Epoch seconds after which it decides nothing more.
        endpoint: Id of the webhook endpoint that was told of it.
    """

    task_id: str
    seq: int
    expires: int
    endpoint: str


def token_of(claims: DecisionClaims, key: bytes) -> str:
    """The token: the same for the same claims."""
    members = {"endpoint": claims.endpoint, "expires": claims.expires, "seq": claims.seq, "task_id": claims.task_id}
    said = _encoded(json.dumps(members, separators=(",", ":")).encode())
    return f"{said}.{_signature(said, key)}"


def claims_of(token: str, key: bytes, now_ms: int) -> DecisionClaims | None:
    """What a token says; None where it is none of this key's, or has expired."""
    said, dot, signature = token.partition(".")
    if not dot or len(token) > MAX_CHARACTERS or not token.isascii():
        return None
    if not hmac.compare_digest(signature.encode(), _signature(said, key).encode()):
        return None
    value = json.loads(base64.urlsafe_b64decode(said + "=" * (-len(said) % 4)))
    claims = DecisionClaims(value["task_id"], value["seq"], value["expires"], value["endpoint"])
    return claims if claims.expires * 1000 > now_ms else None


def _signature(said: str, key: bytes) -> str:
    return _encoded(hmac.digest(key, _PURPOSE + said.encode(), hashlib.sha256))


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")
