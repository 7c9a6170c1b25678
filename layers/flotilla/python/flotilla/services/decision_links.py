"""Links by which a person decides what a task waits for: in notices to webhook endpoints, each with its own.

A link follows from the log and the key alone, so a notice that is told twice holds the same one twice.
"""

from __future__ import annotations

import json

from flotilla.clock import Clock
from flotilla.errors import StoreUnavailableError
from flotilla.events import TaskState
from flotilla.integration_ports import Secrets
from flotilla.models import Status
from flotilla.primitives.decision_token import DecisionClaims, token_of

DECISION = "decision"
"""The name of the signal that links give. Waits of any other name are not for people."""

APPROVE = "approve"
DENY = "deny"

LONGEST_LINK_SECONDS = 30 * 86_400
"""How long a link works where the wait has no end of its own."""


def asks_for_a_decision(signal: str) -> bool:
    """Whether a wait for that signal is a decision, or a later one of the same attempt."""
    return signal == DECISION or signal.startswith(f"{DECISION}#")


def decision_path(token: str) -> str:
    """Where a token is shown and decided upon."""
    return f"/v1/decisions/{token}"


KEY_TTL_MS = 300_000
"""How long a process goes by a key before it looks whether an operator has changed it."""


class SigningKey:
    """The key, read now and then.

    Failure policy: while the secrets do not answer, the key that is known holds.

    Args:
        secrets: Where it is.
        name: Its name there.
        clock: Tells how old what is known is.
    """

    def __init__(self, secrets: Secrets, name: str, clock: Clock) -> None:
        self._secrets = secrets
        self._name = name
        self._clock = clock
        self._key: bytes | None = None
        self._until_ms = 0

    async def read(self) -> bytes:
        """The key.

        Raises:
            StoreUnavailableError: It is not known, and the secrets did not answer.
            ParkedError: There is no such secret, or it may not be read.
        """
        now_ms = self._clock.now_ms()
        if self._key is None or self._until_ms <= now_ms:
            try:
                self._key = (await self._secrets.read(self._name)).encode()
            except StoreUnavailableError:
                if self._key is None:
                    raise
            self._until_ms = now_ms + KEY_TTL_MS
        return self._key


class DecisionLinks:
    """Makes links.

    Args:
        key: Signs them.
        api_url: Where people reach the API; None makes links without a host, as all others in a notice.
    """

    def __init__(self, key: SigningKey, api_url: str | None) -> None:
        self._key = key
        self._base = "" if api_url is None else api_url.rstrip("/")

    async def prepare(self) -> bytes:
        """What `into` needs; raises what `SigningKey.read` does."""
        return await self._key.read()

    def into(self, payload: str, state: TaskState, endpoint_id: str, key: bytes) -> str:
        """A notice's payload with the endpoint's own link in it, where there is something to decide."""
        if state.status is not Status.WAITING or not asks_for_a_decision(state.waiting_for or ""):
            return payload
        ends_ms = state.wait_ends_ms
        expires = state.head_at_ms // 1000 + LONGEST_LINK_SECONDS if ends_ms is None else -(-ends_ms // 1000)
        token = token_of(DecisionClaims(state.task_id, state.head_seq, expires, endpoint_id), key)
        notice = json.loads(payload)
        notice["data"]["links"]["decide"] = self._base + decision_path(token)
        return json.dumps(notice, separators=(",", ":"))
