"""From a request to the context that tells the API function who is calling.

Failure policy: closed. If the key cannot be checked the outcome is `unavailable`, and the API
answers that it cannot answer; nobody is let in and nobody is told that their key is wrong.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from flotilla.clock import Clock
from flotilla.errors import RetryableError
from functions.authorizer.bearer import MalformedAuthorizationError, api_key
from functions.authorizer.key_cache import KeyCache

if TYPE_CHECKING:
    from flotilla.dynamo.api_keys import ApiKey

LOOKUP_SECONDS = 4.0
"""API Gateway gives an authorizer 10 s, which include its cold start."""

IDENTIFIED = "ok"
UNAVAILABLE = {"outcome": "unavailable"}


class Identifier:
    """Tells who requests come from.

    Args:
        find: Looks a raw key up; None where there is none, `RetryableError` where that cannot be known.
        clock: Tells how old what is remembered is.
        lookup_seconds: What the store has not answered by then counts as unavailable.
    """

    def __init__(
        self, find: Callable[[str], Awaitable[ApiKey | None]], clock: Clock, lookup_seconds: float = LOOKUP_SECONDS
    ) -> None:
        self._find = find
        self._lookup_seconds = lookup_seconds
        self._cache = KeyCache(self._look_up, clock)

    async def context(self, event: Mapping[str, Any]) -> dict[str, str]:
        """The context for the API function: an `outcome`, and with `ok` the key's id, tenant and scopes."""
        try:
            raw_key = api_key(event)
            if raw_key is None:
                return {"outcome": "missing"}
            found = await self._cache.find(raw_key)
        except MalformedAuthorizationError:
            return {"outcome": "malformed"}
        except RetryableError:
            return dict(UNAVAILABLE)
        if found is None:
            return {"outcome": "unknown"}
        return {
            "outcome": "ok",
            "key_id": found.key_id,
            "tenant": found.tenant,
            "scopes": " ".join(sorted(found.scopes)),
        }

    async def _look_up(self, raw_key: str) -> ApiKey | None:
        try:
            async with asyncio.timeout(self._lookup_seconds):
                return await self._find(raw_key)
        except TimeoutError as error:
            raise RetryableError("the keys did not answer in time", code="keys_unavailable") from error
