"""From a request to the context that tells the API function who is calling.

Failure policy: closed. If the key cannot be checked the outcome is `unavailable`, and the API
answers that it cannot answer; nobody is let in and nobody is told that their key is wrong.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from flotilla.clock import Clock
from flotilla.dynamo.api_keys import ApiKey, DynamoApiKeys
from flotilla.errors import RetryableError
from flotilla.ports import RunSync
from functions.authorizer.bearer import MalformedAuthorizationError, api_key
from functions.authorizer.key_cache import KeyCache

LOOKUP_SECONDS = 4.0
"""API Gateway gives an authorizer 10 s, which include its cold start."""

UNAVAILABLE = {"outcome": "unavailable"}


class Identifier:
    """Tells who requests come from.

    Args:
        keys: The store of keys.
        run_sync: Runs its blocking calls.
        clock: Tells how old what is remembered is.
        lookup_seconds: What the store has not answered by then counts as unavailable.
    """

    def __init__(
        self, keys: DynamoApiKeys, run_sync: RunSync, clock: Clock, lookup_seconds: float = LOOKUP_SECONDS
    ) -> None:
        self._keys = keys
        self._run_sync = run_sync
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
                found: ApiKey | None = await self._run_sync(self._keys.find, raw_key)
                return found
        except (ClientError, BotoCoreError, TimeoutError) as error:
            raise RetryableError("the keys cannot be looked up", code="keys_unavailable") from error
