"""The memory of a session, as one attempt of one of its tasks works with it.

Invariant: a turn is in the session exactly if its task succeeded. It is committed by the task's `succeeded` event,
which holds it; the session's own store follows that event, and whoever finds the event puts the turns again.
"""

from __future__ import annotations

import asyncio
import copy
from typing import Any

from pydantic_core import PydanticSerializationError, to_jsonable_python

from flotilla.coordination import Turn
from flotilla.errors import PermanentError
from flotilla.models import Payload, canonical_json
from flotilla.ports import SessionTurns
from flotilla.services.claim_check import ClaimCheck

MAX_TURNS = 100
"""Turns that one attempt may add."""

_EVENT_BYTES = 65_536
"""Of the event that commits them all, for what lies in it; what goes beyond lies in the payload store."""


class SessionMemory:
    """What one attempt reads of its session and wants to add to it. Nothing is read before it is asked for.

    Args:
        turns: The sessions' turns.
        claim_check: Moves large contents out of the log.
        tenant: Whose session it is.
        session: Its name.
        task_id: The task that is being attempted.
    """

    def __init__(self, turns: SessionTurns, claim_check: ClaimCheck, tenant: str, session: str, task_id: str) -> None:
        self._turns = turns
        self._claim_check = claim_check
        self._tenant = tenant
        self._session = session
        self._task_id = task_id
        self._lock = asyncio.Lock()
        self._kept: list[Turn] | None = None
        self._pending: list[Turn] = []
        self._fetched: dict[str, Any] = {}
        self._room_bytes = _EVENT_BYTES

    async def turns(self) -> list[Any]:
        """The contents of all turns, oldest first, this attempt's own last.

        Raises:
            RetryableError: A store did not answer.
        """
        async with self._lock:
            known = [*await self._read(), *self._pending]
            return copy.deepcopy(list(await asyncio.gather(*map(self._content, known))))

    async def append(self, content: Any) -> None:
        """Add a turn, to be kept if the task succeeds.

        Raises:
            PermanentError: It is not JSON, or one too many.
            RetryableError: A store did not answer.
        """
        try:
            value = to_jsonable_python(content)
            size = len(canonical_json(value).encode())
        except (PydanticSerializationError, ValueError, TypeError, RecursionError) as error:
            raise PermanentError("what is appended to the session is not JSON", code="invalid_turn") from error
        async with self._lock:
            if len(self._pending) >= MAX_TURNS:
                raise PermanentError(f"an attempt may append {MAX_TURNS} turns", code="too_many_turns")
            kept = await self._read()
            position = (kept[-1].position + 1 if kept else 0) + len(self._pending)
            payload = await self._claim_check.check_in(
                self._tenant, self._task_id, value, at_most_inline=self._room_bytes
            )
            if payload.ref is None:
                self._room_bytes -= size
            self._pending.append(Turn(position, self._task_id, payload))

    async def pending(self) -> list[Turn]:
        """What this attempt has appended, to go into the event that commits it."""
        async with self._lock:
            return list(self._pending)

    async def _read(self) -> list[Turn]:
        if self._kept is None:
            self._kept = await self._turns.read(self._tenant, self._session)
        return self._kept

    async def _content(self, turn: Turn) -> Any:
        if turn.content.ref is None:
            return turn.content.inline
        if turn.content.ref not in self._fetched:
            self._fetched[turn.content.ref] = await self._claim_check.check_out(turn.content)
        return self._fetched[turn.content.ref]


async def keep_turns(
    turns: SessionTurns, tenant: str, session: str, task_id: str, succeeded_body: dict[str, Any]
) -> None:
    """Put the turns that a `succeeded` event commits into their session; as often as anybody likes.

    Raises:
        RetryableError: The store did not answer; some may be there.
    """
    committed = [
        Turn(turn["position"], task_id, Payload.from_json(turn["content"])) for turn in succeeded_body.get("turns", ())
    ]
    if committed:
        await turns.put(tenant, session, committed)
