"""What authenticates calls, made of secrets that are read when first needed and again when they may have changed.

A secret is kept for `KEEP_MS` and then read anew; where the store does not answer, what is known is used on. A call
that is refused for want of authorization has its secret read anew at once, so that a rotation costs one extra call.

Invariant: a secret is in memory and in the header it belongs to, and in no error, log or text form.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import re
from dataclasses import dataclass, field

from flotilla.clock import Clock
from flotilla.errors import ParkedError, StoreUnavailableError
from flotilla.integration_ports import Secrets
from flotilla.integrations.declaration import Auth

logger = logging.getLogger("flotilla.integrations")

KEEP_MS = 300_000
_REREAD_MS = 10_000
"""How old a secret must be to be worth reading anew because a call was refused."""

_RETRY_SECONDS = 30.0

_SENDABLE = re.compile(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?")


@dataclass(frozen=True, slots=True)
class _Known:
    text: str = field(repr=False)
    read_ms: int


class Credentials:
    """The credentials of one process.

    Args:
        secrets: Where they are kept.
        clock: Tells how old what is known is.
    """

    def __init__(self, secrets: Secrets, clock: Clock) -> None:
        self._secrets = secrets
        self._clock = clock
        self._known: dict[str, _Known] = {}
        self._reading: dict[str, asyncio.Lock] = {}

    async def headers(self, auth: Auth | None) -> tuple[tuple[str, str], ...]:
        """What to send along.

        Raises:
            StoreUnavailableError: The secret was never read here and the store does not answer.
            ParkedError: There is no such secret, or none that can be sent (`integration_secret`): work waits until an
                operator has mended it.
        """
        if auth is None:
            return ()
        return (_header(auth, await self._text(auth.secret)),)

    def renewed(self, auth: Auth | None) -> bool:
        """Have the secret read anew by the next call; False where that has just been done, or there is none."""
        if auth is None or (known := self._known.get(auth.secret)) is None:
            return False
        if self._clock.now_ms() - known.read_ms < _REREAD_MS:
            return False
        self._known[auth.secret] = _Known(known.text, self._clock.now_ms() - KEEP_MS)
        return True

    async def _text(self, name: str) -> str:
        if (known := self._fresh(name)) is not None:
            return known.text
        async with self._reading.setdefault(name, asyncio.Lock()):
            if (known := self._fresh(name)) is not None:
                return known.text  # another has read it meanwhile
            stale = self._known.get(name)
            try:
                text = await self._secrets.read(name)
            except StoreUnavailableError as error:
                if stale is None:
                    raise
                logger.warning("secret not read anew", extra={"secret": name, "error": error.message})
                text = stale.text
            self._known[name] = _Known(text, self._clock.now_ms())
            return text

    def _fresh(self, name: str) -> _Known | None:
        known = self._known.get(name)
        return known if known is not None and self._clock.now_ms() - known.read_ms < KEEP_MS else None


def _header(auth: Auth, secret: str) -> tuple[str, str]:
    text = _member(auth, secret)
    match auth.scheme:
        case "bearer":
            return "authorization", f"Bearer {_sendable(auth, text)}"
        case "basic":
            return "authorization", f"Basic {base64.b64encode(_user_and_password(auth, text).encode()).decode()}"
        case _:
            return (auth.header or "authorization").lower(), _sendable(auth, text)


def _member(auth: Auth, secret: str) -> str:
    if auth.field is None:
        return secret
    value = _object(secret).get(auth.field)
    if not isinstance(value, str):
        raise _unusable(auth, f"has no text member {auth.field!r}")
    return value


def _user_and_password(auth: Auth, text: str) -> str:
    found = _object(text)
    if isinstance(found.get("username"), str) and isinstance(found.get("password"), str):
        text = f"{found['username']}:{found['password']}"
    if ":" not in text:
        raise _unusable(auth, "is neither user:password nor JSON with username and password")
    return text


def _object(text: str) -> dict[str, object]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _sendable(auth: Auth, text: str) -> str:
    stripped = text.strip()  # files end in line breaks, and secrets are made from files
    if not _SENDABLE.fullmatch(stripped):
        raise _unusable(auth, "holds what no header can")
    return stripped


def _unusable(auth: Auth, why: str) -> ParkedError:
    message = f"the secret {auth.secret} {why}"
    return ParkedError(message, code="integration_secret", retry_after_seconds=_RETRY_SECONDS)
