"""Values too large for an event go to the payload store, and a reference in their place.

The object is written before the event that refers to it, under a key made of its content: a
crash between the two leaves an object nobody refers to, never a reference to nothing.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from flotilla.errors import RetryableError
from flotilla.models import Payload, canonical_json, payload_key
from flotilla.ports import PayloadStore


class ClaimCheck:
    """Turns values into payloads and back.

    Args:
        store: Where large values go.
        inline_bytes: Values whose canonical JSON is longer than this many bytes go there.
    """

    def __init__(self, store: PayloadStore, inline_bytes: int) -> None:
        self._store = store
        self._inline_bytes = inline_bytes

    async def check_in(self, tenant: str, task_id: str, value: Any, *, at_most_inline: int | None = None) -> Payload:
        """Make `value` fit an event.

        Args:
            tenant: Whose task it is.
            task_id: The task.
            value: The value.
            at_most_inline: Of its bytes, where several values share an event and less than the usual is left.

        Raises:
            ValueError: `value` is not JSON.
            RetryableError: The store did not answer.
        """
        text = canonical_json(value)
        content = text.encode()
        limit = self._inline_bytes if at_most_inline is None else min(self._inline_bytes, at_most_inline)
        if len(content) <= limit:
            # As it will be read back, so that the first attempt sees what later ones see.
            return Payload(inline=json.loads(text))
        digest = hashlib.sha256(content).hexdigest()
        key = payload_key(tenant, task_id, digest)
        await self._store.put(key, content)
        return Payload(ref=key, size_bytes=len(content), sha256=digest)

    async def check_out(self, payload: Payload) -> Any:
        """The value itself.

        Raises:
            RetryableError: The store did not answer, or what it holds is not what was put there.
        """
        if payload.ref is None:
            return payload.inline
        content = await self._store.get(payload.ref)
        if hashlib.sha256(content).hexdigest() != payload.sha256:
            raise RetryableError("a stored payload does not match its digest", code="payload_mismatch")
        return json.loads(content)
