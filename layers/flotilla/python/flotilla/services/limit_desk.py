"""What operators see of limits, and what they set. Costs a query, and a small read for each bucket that is shown.

A limit of a kind (`client`, `integration#crm.tenant`) stands for as many buckets as there are clients or tenants; one
of them alone may be set too (`client#k1`). What is set for one counts, else what is set for its kind, else what is
declared.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Container, Mapping
from dataclasses import dataclass

from flotilla.clock import Clock
from flotilla.errors import RetryableError
from flotilla.limit_ports import BucketStore, LimitSettings
from flotilla.primitives.token_bucket import TOKEN_MILLI, Limit, level_milli

KINDS = ("client", "tenant")
_AGENT = "agent#"
_LONGEST_NAME = 256
_KIND_OF_INTEGRATION = re.compile(r"integration#[^#.]+\.(agent|tenant)")


@dataclass(frozen=True, slots=True)
class LimitReading:
    """One limit as it is now.

    Attributes:
        name: Its name.
        limit: What it allows.
        declared: What is declared; None where it is only set.
        is_set: An operator has set it.
        per: Of whom each has a bucket of its own: `client`, `tenant` or `agent`; None where there is one bucket.
        remaining: Tokens in the bucket; None where there is more than one, or it could not be looked at.
    """

    name: str
    limit: Limit
    declared: Limit | None
    is_set: bool
    per: str | None
    remaining: int | None


class LimitDesk:
    """Shows and sets limits.

    Args:
        settings: Where limits set at run time are kept.
        buckets: Where buckets are kept.
        declared: What can be limited, by name, with what is declared: None where nothing is. Those of kinds (`client`,
            `tenant`) and of agents may be left out.
        agents: Names of the deployed agents.
        clock: Tells what is in a bucket by now.
    """

    def __init__(
        self,
        settings: LimitSettings,
        buckets: BucketStore,
        declared: Mapping[str, Limit | None],
        agents: Container[str],
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._buckets = buckets
        self._declared = declared
        self._agents = agents
        self._clock = clock

    async def all(self) -> list[LimitReading]:
        """Every limit that is declared or set, by name.

        Raises:
            RetryableError: The store did not answer.
        """
        was_set = await self._settings.read()
        declared = {name for name, limit in self._declared.items() if limit is not None}
        readings = await asyncio.gather(*(self._reading(name, was_set) for name in sorted({*declared, *was_set})))
        return [reading for reading in readings if reading is not None]

    async def find(self, name: str) -> str | None:
        """The whole name of a limit, given it or what comes after its first `#`; None where no one limit is meant.

        Raises:
            RetryableError: The store did not answer.
        """
        if self._can_be_limited(name):
            return name
        # What is set and is not deployed any more can still be seen, and removed.
        known = {*self._declared, *await self._settings.read()}
        if name in known:
            return name
        meant = [each for each in known if each.partition("#")[2] == name]
        return meant[0] if len(meant) == 1 else None

    async def set(self, name: str, limit: Limit) -> LimitReading:
        """Set a limit; it holds everywhere within seconds (`LimitBoard`).

        Raises:
            RetryableError: The store did not answer. It may or may not be set.
        """
        await self._settings.put(name, limit)
        reading = await self._reading(name, {name: limit})
        assert reading is not None
        return reading

    async def reset(self, name: str) -> None:
        """Go back to what is declared.

        Raises:
            RetryableError: The store did not answer.
        """
        await self._settings.remove(name)

    def _can_be_limited(self, name: str) -> bool:
        if len(name) > _LONGEST_NAME:
            return False
        if name in KINDS or name in self._declared or self._kind_of(name) is not None:
            return True
        return name.startswith(_AGENT) and name.removeprefix(_AGENT) in self._agents

    def _kind_of(self, name: str) -> str | None:
        """The kind that the limit is one of, if it is."""
        kinds = (kind for kind in (*KINDS, *self._declared) if _per(kind) is not None)
        return next((kind for kind in kinds if name.startswith(f"{kind}#") and name != f"{kind}#"), None)

    async def _reading(self, name: str, was_set: Mapping[str, Limit]) -> LimitReading | None:
        declared = self._declared.get(name)
        if declared is None and (kind := self._kind_of(name)) is not None:
            declared = self._declared.get(kind)
        limit = was_set.get(name, declared)
        if limit is None:
            return None
        per = _per(name)
        remaining = None if per is not None else await self._remaining(name, limit)
        return LimitReading(name, limit, declared, name in was_set, per, remaining)

    async def _remaining(self, name: str, limit: Limit) -> int | None:
        try:
            bucket = (await self._buckets.look(name)).before
        except RetryableError:
            return None
        if bucket is None:
            return limit.burst
        return max(0, level_milli(bucket, limit, self._clock.now_ms())) // TOKEN_MILLI


def _per(name: str) -> str | None:
    """Of whom each has a bucket of its own under this name."""
    if name in KINDS:
        return name
    kind = _KIND_OF_INTEGRATION.fullmatch(name)
    return None if kind is None else kind[1]
