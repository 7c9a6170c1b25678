"""Remembers for some seconds whom a key stands for.

Invariant: a key that was revoked works for at most `HIT_SECONDS` more, one that was just made is
unknown for at most `MISS_SECONDS`, and an expired one never works. What is remembered is bounded,
and keys nobody has cannot push out those that are in use. No raw key is kept, only its hash.

Failure policy: closed. A key that cannot be looked up is an error to the caller, not a key.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from flotilla.clock import Clock

if TYPE_CHECKING:
    from flotilla.dynamo.api_keys import ApiKey

HIT_SECONDS = 30
MISS_SECONDS = 5
MAX_ENTRIES = 2048


class KeyCache:
    """Looks keys up, at most once in a while.

    Args:
        find: Looks a raw key up; None where there is none. What it raises is passed on and not remembered.
        clock: Tells the time.
        max_entries: Keys remembered at the most, and as many that were not found.
    """

    def __init__(
        self, find: Callable[[str], Awaitable[ApiKey | None]], clock: Clock, max_entries: int = MAX_ENTRIES
    ) -> None:
        self._find = find
        self._clock = clock
        self._max_entries = max_entries
        self._hits: OrderedDict[bytes, tuple[int, ApiKey]] = OrderedDict()
        self._misses: OrderedDict[bytes, int] = OrderedDict()

    async def find(self, raw_key: str) -> ApiKey | None:
        """Whom the key stands for; None where it stands for nobody, or no longer does."""
        digest = hashlib.sha256(raw_key.encode()).digest()
        now_ms = self._clock.now_ms()
        found = self._remembered(digest, now_ms)
        if found is None:
            if self._misses.get(digest, 0) > now_ms:
                return None
            found = await self._find(raw_key)
            self._remember(digest, found, self._clock.now_ms())
        if found is None or (found.expires_at is not None and found.expires_at * 1000 <= now_ms):
            return None
        return found

    def _remembered(self, digest: bytes, now_ms: int) -> ApiKey | None:
        until_ms, found = self._hits.get(digest, (0, None))
        return found if until_ms > now_ms else None

    def _remember(self, digest: bytes, found: ApiKey | None, now_ms: int) -> None:
        self._hits.pop(digest, None)
        self._misses.pop(digest, None)
        if found is None:
            self._misses[digest] = now_ms + MISS_SECONDS * 1000
        else:
            self._hits[digest] = (now_ms + HIT_SECONDS * 1000, found)
        for remembered in (self._hits, self._misses):
            while len(remembered) > self._max_entries:
                remembered.popitem(last=False)
