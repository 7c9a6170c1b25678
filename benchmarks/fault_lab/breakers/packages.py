"""Breakers of other people, as their packages have them, on the virtual clock.

Both make the call they protect in the middle of their own, and know no event loop: each call of theirs runs in a
greenlet that the loop resumes. Their clock is replaced here, and which environment it is they run in.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from random import Random
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import aws_lambda_powertools.utilities.circuit_breaker.base as powertools
from aws_lambda_powertools.utilities.circuit_breaker import CircuitBreakerOpenError, circuit_breaker
from aws_lambda_powertools.utilities.circuit_breaker.persistence import base as persistence_base
from aws_lambda_powertools.utilities.circuit_breaker.persistence import dynamodb as persistence_dynamodb
from aws_lambda_powertools.utilities.circuit_breaker.persistence.base import (
    CircuitBreakerExistingLockError,
    CircuitBreakerPersistenceLayer,
)
from aws_lambda_powertools.utilities.circuit_breaker.persistence.record import CircuitStateRecord
from aws_lambda_powertools.utilities.circuit_breaker.states import CircuitState, CircuitTransition

from benchmarks.fault_lab.breakers.stores import POWERTOOLS_TABLE, MeteredClient, Stores, Weather
from benchmarks.fault_lab.breakers.world import Attempt, HeldBackError, Protection
from benchmarks.fault_lab.peers import peer
from tests.fakes.virtual_time import EPOCH_MS

_environment: ContextVar[str] = ContextVar("environment")


class _Datetime(dt.datetime):
    @classmethod
    def now(cls, tz: dt.tzinfo | None = None) -> _Datetime:
        return cls.fromtimestamp(EPOCH_MS / 1000 + asyncio.get_running_loop().time(), tz)


@contextmanager
def on_the_virtual_clock() -> Iterator[None]:
    """Within the block the packages take the time from the loop that runs, and tell environments apart."""
    clock = SimpleNamespace(datetime=_Datetime)
    with ExitStack() as patches:
        for module in (powertools, persistence_base, persistence_dynamodb):
            patches.enter_context(patch.object(module, "dt", clock))
        patches.enter_context(patch.object(powertools, "_probe_owner_id", _environment.get))
        patches.enter_context(patch.object(peer("pybreaker"), "datetime", _Datetime))
        yield


async def _in_greenlet(function: Callable[[], None]) -> None:
    child = peer("greenlet").greenlet(function)
    waited = child.switch()
    while not child.dead:
        try:
            answer = await waited
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the package's to deal with
            waited = child.throw(error)
        else:
            waited = child.switch(answer)


def _wait(awaitable: Awaitable[Any]) -> Any:
    return peer("greenlet").getcurrent().parent.switch(awaitable)


class PowertoolsFleet:
    """The circuit breaker of Powertools for AWS Lambda, with its defaults.

    Attributes:
        weather: Of its store.
        transitions: Steps, as it tells them.
    """

    name = "Powertools 3.37"
    cooldown_seconds = 30.0

    def __init__(self, stores: Stores, seed: int) -> None:
        self.weather = Weather(Random(f"store/{seed}"))
        self.transitions: list[CircuitTransition] = []
        self._stores = stores
        self._circuit = stores.circuit()
        self._records: dict[str, CircuitStateRecord] = {}

    def environment(self, number: int, _random: Random) -> Protection:
        """See `Fleet.environment`."""
        persistence: Any
        if self._stores.client is None:
            persistence = _Memory(self._records, self.weather)
        else:
            client: Any = _Patient(MeteredClient(self._stores.client, self.weather), self.weather)
            persistence = _OneCircuit(table_name=POWERTOOLS_TABLE, boto3_client=client)
        # The package counts by name in its module, once for a process: here a thousand environments are in one.
        name = f"{self._circuit}@{number}"
        breaker = circuit_breaker(name, persistence, on_transition=self.transitions.append)
        return _Powertools(name, breaker)

    @property
    def trips(self) -> int:
        """How often an environment opened it."""
        return sum(step.from_state is CircuitState.CLOSED for step in self.transitions)


class _Powertools:
    def __init__(self, name: str, breaker: Callable[..., Any]) -> None:
        self._name = name
        self._protected = breaker(lambda attempt: _wait(attempt()))

    async def call(self, attempt: Attempt) -> None:
        def run() -> None:
            _environment.set(self._name)
            self._protected(attempt)

        try:
            await _in_greenlet(run)
        except CircuitBreakerOpenError as refusal:
            raise HeldBackError from refusal


class _OneCircuit(persistence_dynamodb.CircuitBreakerDynamoDBPersistence):
    def _get_key(self, name: str) -> dict[str, Any]:
        return super()._get_key(name.partition("@")[0])


class _Patient:
    """A client whose calls take the store's time."""

    def __init__(self, client: MeteredClient, weather: Weather) -> None:
        self._client = client
        self._weather = weather
        # The package hangs its user agent on the client each time; all environments share one here.
        self.meta = SimpleNamespace(events=SimpleNamespace(register=lambda *_: None))

    def __getattr__(self, name: str) -> Any:
        own = getattr(self._client, name)
        return self._slow(own) if name in ("get_item", "put_item", "update_item") else own

    def _slow(self, own: Callable[..., Any]) -> Callable[..., Any]:
        def call(**request: Any) -> Any:
            _wait(asyncio.sleep(self._weather.latency()))
            try:
                return own(**request)
            finally:
                _wait(asyncio.sleep(self._weather.latency()))

        return call


class _Memory(CircuitBreakerPersistenceLayer):
    """What the package keeps in DynamoDB, in memory, by the same conditions."""

    def __init__(self, records: dict[str, CircuitStateRecord], weather: Weather) -> None:
        super().__init__()
        self._records = records
        self._weather = weather

    def _answer(self) -> None:
        _wait(asyncio.sleep(self._weather.latency() * 2))
        if self._weather.refused() is not None:
            raise ConnectionError("the store did not answer")

    def _get_record(self, _name: str) -> CircuitStateRecord | None:
        self._weather.reads += 1
        self._answer()
        return self._records.get("")

    def _put_record(
        self, record: CircuitStateRecord, condition: str | None = None, expected_opened_at: int | None = None
    ) -> None:
        self._weather.writes += 1
        self._answer()
        there = self._records.get("")
        if condition == "half_open" and not self._may_probe(there, expected_opened_at):
            raise CircuitBreakerExistingLockError
        self._records[""] = record

    def _may_probe(self, there: CircuitStateRecord | None, opened_at: int | None) -> bool:
        if there is None:
            return False
        if there.state is CircuitState.OPEN:
            return there.half_open_owner is None and there.opened_at == opened_at
        now = persistence_base.dt.datetime.now().timestamp()
        lapsed = there.probe_lease_expiry is not None and there.probe_lease_expiry <= int(now)
        return there.state is CircuitState.HALF_OPEN and lapsed

    def _update_record(self, record: CircuitStateRecord) -> None:
        self._weather.writes += 1
        self._answer()
        self._records[""] = record


class PybreakerFleet:
    """pybreaker in each environment, with its defaults.

    Attributes:
        trips: How often one opened.
    """

    name = "pybreaker 1.4.1"
    cooldown_seconds = 60.0

    def __init__(self) -> None:
        self.trips = 0

    def environment(self, _number: int, _random: Random) -> Protection:
        """See `Fleet.environment`."""
        return _Pybreaker(self)


class _Pybreaker:
    def __init__(self, fleet: PybreakerFleet) -> None:
        self._fleet = fleet
        self._package = peer("pybreaker")
        self._breaker = self._package.CircuitBreaker()
        self._one_at_a_time = asyncio.Lock()  # its lock of a thread, which greenlets of one thread pass

    async def call(self, attempt: Attempt) -> None:
        called = False

        def make() -> None:
            nonlocal called
            called = True
            _wait(attempt())

        async with self._one_at_a_time:
            before = self._breaker.current_state
            try:
                await _in_greenlet(lambda: self._breaker.call(make))
            except self._package.CircuitBreakerError as refusal:
                if not called:
                    raise HeldBackError from refusal
                raise refusal.__cause__ or refusal.__context__ or refusal from None
            finally:
                self._fleet.trips += before == "closed" and self._breaker.current_state == "open"
