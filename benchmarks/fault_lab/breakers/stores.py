"""Stores that fleets share: the embedded engine's DynamoDB, which answers after a modelled time of the virtual clock.

What an answer costs in real time does not matter: while the engine works, no virtual time passes.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from random import Random
from typing import Any, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from flotilla.circuit_ports import CircuitStore
from flotilla.dynamo.circuits import DynamoCircuits
from flotilla.errors import StoreUnavailableError
from local.engine_process import engine_url, start_engine, stop_engine
from local.instance import ACCOUNT, Instance
from local.progress import Step
from tests.fakes.circuits import MemoryCircuits

T = TypeVar("T")

CONTROL_TABLE = "flotilla-control"
POWERTOOLS_TABLE = "powertools-circuits"

_LATENCY_SECONDS = (0.002, 0.008)
_METERED = {
    "get_item": "reads",
    "query": "reads",
    "put_item": "writes",
    "update_item": "writes",
    "delete_item": "writes",
}


@dataclass(slots=True)
class Weather:
    """How the store is, and what it has been asked.

    Attributes:
        down: Every call fails.
        throttled: Share of calls that are refused for being too many.
        reads: Calls that read.
        writes: Calls that write.
        units: Capacity that they took, as billed, by `reads` and `writes`.
    """

    random: Random
    down: bool = False
    throttled: float = 0.0
    reads: int = 0
    writes: int = 0
    units: dict[str, float] = field(default_factory=lambda: {"reads": 0.0, "writes": 0.0})

    def latency(self) -> float:
        """Half the way: to the store, or back."""
        return self.random.uniform(*_LATENCY_SECONDS) / 2

    def refused(self) -> str | None:
        """What the call that comes now is refused for."""
        if self.down:
            return "InternalServerError"
        if self.throttled and self.random.random() < self.throttled:
            return "ProvisionedThroughputExceededException"
        return None


class MeteredClient:
    """A boto3 client of DynamoDB that counts what it is asked, and fails as the weather says."""

    def __init__(self, client: Any, weather: Weather) -> None:
        self._client = client
        self._weather = weather

    def __getattr__(self, name: str) -> Any:
        """The client's own, metered where it costs."""
        own, kind = getattr(self._client, name), _METERED.get(name)
        return own if kind is None else self._metered(own, name, kind)

    def _metered(self, own: Callable[..., Any], name: str, kind: str) -> Callable[..., Any]:
        def call(**request: Any) -> Any:
            setattr(self._weather, kind, getattr(self._weather, kind) + 1)
            if (code := self._weather.refused()) is not None:
                raise ClientError({"Error": {"Code": code, "Message": "scripted"}}, name)
            answer = own(**request, ReturnConsumedCapacity="TOTAL")
            self._weather.units[kind] += answer["ConsumedCapacity"]["CapacityUnits"]
            return answer

        return call


class Stores:
    """Where fleets keep what they share; each run under a circuit of its own.

    Args:
        client: A boto3 client of DynamoDB; None: everything in memory.
    """

    def __init__(self, client: Any | None) -> None:
        self.client = client
        self._circuits = count(1)

    @property
    def name(self) -> str:
        """What it is called in the tables."""
        return "in memory" if self.client is None else "engine"

    def circuit(self) -> str:
        """A name that no run has had."""
        return f"lab-{next(self._circuits)}"

    def circuits(self, weather: Weather) -> CircuitStore:
        """The breaker's store."""
        if self.client is None:
            return _Memory(weather)

        async def after_a_while(call: Callable[..., T], *args: Any) -> T:
            await asyncio.sleep(weather.latency())
            try:
                return call(*args)
            finally:
                await asyncio.sleep(weather.latency())

        client: Any = MeteredClient(self.client, weather)
        return DynamoCircuits(client, CONTROL_TABLE, after_a_while)


class _Memory(MemoryCircuits):
    def __init__(self, weather: Weather) -> None:
        super().__init__()
        self._weather = weather

    async def answer(self) -> None:
        await asyncio.sleep(self._weather.latency() * 2)
        if self._weather.refused() is not None:
            raise StoreUnavailableError("the circuits did not answer", code="circuits_unavailable")

    async def add(self, circuit: str, shard: int, columns: Mapping[str, int], now_ms: int) -> Any:
        self._weather.writes += 1
        return await super().add(circuit, shard, columns, now_ms)

    async def read(self, circuit: str, *, consistent: bool) -> Any:
        self._weather.reads += 1
        return await super().read(circuit, consistent=consistent)


@contextmanager
def engine_stores() -> Iterator[Stores]:
    """Stores on an embedded engine of their own, on loopback, which ends with the block."""
    with tempfile.TemporaryDirectory(prefix="fault-lab-") as folder:
        instance = Instance(root=Path(folder), port=0, owner_pid=os.getpid())
        instance.make_directories()
        try:
            url = engine_url(start_engine(instance, Step("engine")))
            client = boto3.client(
                "dynamodb",
                endpoint_url=url,
                region_name="eu-central-1",
                aws_access_key_id=ACCOUNT,
                aws_secret_access_key="fault-lab",
                config=Config(retries={"total_max_attempts": 1}, parameter_validation=False),
            )
            _make_table(client, CONTROL_TABLE, "pk", "sk")
            _make_table(client, POWERTOOLS_TABLE, "id")
            yield Stores(client)
        finally:
            stop_engine(instance)


def _make_table(client: Any, name: str, *keys: str) -> None:
    client.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": key, "KeyType": kind} for key, kind in zip(keys, ("HASH", "RANGE"), strict=False)],
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
        BillingMode="PAY_PER_REQUEST",
    )
