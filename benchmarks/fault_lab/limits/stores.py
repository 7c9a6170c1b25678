"""Where the contestants keep their state: the embedded engine's DynamoDB, or memory. Both count what they are asked.

On a virtual clock a call takes a modelled time; what it costs in real time does not matter there, since no virtual time
passes while the engine works.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, TypeVar

from flotilla.errors import StoreUnavailableError
from flotilla.limit_ports import BucketStore, Drawn
from flotilla.primitives.token_bucket import Bucket, Draw, after, done

T = TypeVar("T")

TABLE = "flotilla-control"
REGION = "us-east-1"
_LATENCY_SECONDS = (0.002, 0.008)
_WRITES = {"put_item", "update_item", "delete_item"}
_READS = {"get_item", "query"}


@dataclass(slots=True)
class Costs:
    """Write and read units, as billed: half for a read that may be a moment old, two for a write of a transaction."""

    writes: float = 0.0
    reads: float = 0.0

    def add(self, writes: float, reads: float) -> None:
        """Count a call."""
        self.writes += writes
        self.reads += reads


asking: ContextVar[Costs | None] = ContextVar("asking", default=None)
"""What the ask under way costs."""


@dataclass(slots=True)
class Meter:
    """Counts for a whole fleet, and for each ask."""

    total: Costs = field(default_factory=Costs)
    lock: threading.Lock = field(default_factory=threading.Lock)
    calls: int = 0

    def count(self, writes: float, reads: float) -> None:
        """Count a call."""
        with self.lock:
            self.calls += 1
            self.total.add(writes, reads)
            if (one := asking.get()) is not None:
                one.add(writes, reads)


class MeteredClient:
    """A boto3 client of DynamoDB that counts what it is asked."""

    def __init__(self, client: Any, meter: Meter) -> None:
        self._client = client
        self._meter = meter

    def __getattr__(self, name: str) -> Any:
        """The client's own, metered where it costs."""
        found = getattr(self._client, name)
        if name not in _WRITES | _READS | {"transact_write_items", "batch_get_item"}:
            return found

        def metered(**request: Any) -> Any:
            self._meter.count(*_units(name, request))
            return found(**request)

        return metered


class VirtualAsyncClient:
    """The same for a package that awaits its client, on a virtual clock."""

    def __init__(self, client: MeteredClient, random: Random) -> None:
        self._client = client
        self._random = random

    def __getattr__(self, name: str) -> Any:
        """The client's own, taking a modelled time."""
        found = getattr(self._client, name)
        if not callable(found) or name == "exceptions":
            return found

        async def travelling(**request: Any) -> Any:
            return await virtual_run_sync(self._random)(found, **request)

        return travelling


def virtual_run_sync(random: Random) -> Callable[..., Any]:
    """`RunSync` on a virtual clock: half the way there, the call, half the way back."""

    async def run(function: Callable[..., T], *args: Any, **named: Any) -> T:
        latency = random.uniform(*_LATENCY_SECONDS)
        await asyncio.sleep(latency / 2)
        try:
            return function(*args, **named)
        finally:
            await asyncio.sleep(latency / 2)

    return run


class MemoryBuckets:
    """`BucketStore` in a dictionary, with the latency and the count of a table."""

    def __init__(self, random: Random, meter: Meter) -> None:
        self._run = virtual_run_sync(random)
        self._meter = meter
        self._buckets: dict[str, Bucket] = {}

    async def look(self, name: str) -> Drawn:
        """See `BucketStore.look`."""
        self._meter.count(0, 0.5)
        found: Drawn = await self._run(lambda: Drawn(done=False, before=self._buckets.get(name)))
        return found

    async def draw(self, name: str, draw: Draw, expires_at: int) -> Drawn:  # noqa: ARG002 - nothing is forgotten here
        """See `BucketStore.draw`."""
        self._meter.count(1, 0)
        answer: Drawn = await self._run(self._draw_now, name, draw)
        return answer

    def _draw_now(self, name: str, draw: Draw) -> Drawn:
        before = self._buckets.get(name)
        if not done(draw, before):
            return Drawn(done=False, before=before)
        self._buckets[name] = after(draw, before)
        return Drawn(done=True, before=before)


@dataclass(frozen=True, slots=True)
class Outage:
    """When a store fails, in seconds since the start: first it refuses a share of the calls, then all of them."""

    throttled_from: float
    down_from: float
    until: float
    share: float = 0.8

    def refuses(self, random: Random) -> str | None:
        """The code that a call of this moment is refused with."""
        now = asyncio.get_running_loop().time()
        if self.down_from <= now < self.until:
            return "down"
        if self.throttled_from <= now < self.down_from and random.random() < self.share:
            return "throttled"
        return None


class FailingBuckets:
    """A `BucketStore` that fails during an outage."""

    def __init__(self, store: BucketStore, outage: Outage, random: Random) -> None:
        self._store = store
        self._outage = outage
        self._random = random

    async def look(self, name: str) -> Drawn:
        """See `BucketStore.look`."""
        self._fail()
        return await self._store.look(name)

    async def draw(self, name: str, draw: Draw, expires_at: int) -> Drawn:
        """See `BucketStore.draw`."""
        self._fail()
        return await self._store.draw(name, draw, expires_at)

    def _fail(self) -> None:
        if (code := self._outage.refuses(self._random)) is not None:
            raise StoreUnavailableError("the buckets did not answer", code=code)


@contextmanager
def engine() -> Iterator[str]:
    """Where an embedded engine of this run's own answers; ended afterwards, or when this process is gone."""
    from local.engine_process import engine_url, start_engine, stop_engine
    from local.instance import Instance
    from local.progress import Step

    with tempfile.TemporaryDirectory(prefix="flotilla-limits-") as root:
        instance = Instance(root=Path(root), port=0, owner_pid=os.getpid())
        instance.make_directories()
        try:
            yield engine_url(start_engine(instance, Step("engine")))
        finally:
            stop_engine(instance)


def client_of(url: str) -> Any:
    """A DynamoDB client of the engine, which repeats no call by itself."""
    import boto3
    from botocore.config import Config

    from local.instance import ACCOUNT

    config = Config(retries={"total_max_attempts": 1, "mode": "standard"}, max_pool_connections=32)
    session = boto3.Session(aws_access_key_id=ACCOUNT, aws_secret_access_key="benchmark", region_name=REGION)
    return session.client("dynamodb", endpoint_url=url, config=config)


def make_control_table(client: Any) -> None:
    """The table in which the fleet keeps its buckets and slots, by the keys that it has."""
    keys = (("pk", "HASH"), ("sk", "RANGE"))
    client.create_table(
        TableName=TABLE,
        KeySchema=[{"AttributeName": name, "KeyType": kind} for name, kind in keys],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name, _ in keys],
        BillingMode="PAY_PER_REQUEST",
    )


def _units(name: str, request: dict[str, Any]) -> tuple[float, float]:
    if name in _WRITES:
        return 1, 0
    if name == "transact_write_items":
        return 2 * len(request["TransactItems"]), 0
    if name == "batch_get_item":
        asked = request["RequestItems"].values()
        return 0, sum(len(one["Keys"]) * (1 if one.get("ConsistentRead") else 0.5) for one in asked)
    return 0, 1 if request.get("ConsistentRead") else 0.5
