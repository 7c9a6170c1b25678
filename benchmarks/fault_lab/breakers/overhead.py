"""What a breaker adds to a call while all is well and its state is cached, in real time of this machine."""

from __future__ import annotations

import asyncio
import logging
import statistics
import time
from collections.abc import Callable
from random import Random
from typing import Any

from aws_lambda_powertools.utilities.circuit_breaker import circuit_breaker
from aws_lambda_powertools.utilities.circuit_breaker.persistence import CircuitBreakerDynamoDBPersistence

from benchmarks.fault_lab.breakers.stores import CONTROL_TABLE, POWERTOOLS_TABLE, Stores
from benchmarks.fault_lab.peers import peer
from flotilla.clock import SystemClock
from flotilla.dynamo.circuits import DynamoCircuits
from flotilla.primitives.circuit import CallOutcome
from flotilla.primitives.circuit_policy import CircuitPolicy
from flotilla.services.circuit_breaker import CircuitBreaker

_CALLS = 5_000


def overhead(stores: Stores) -> dict[str, tuple[float, float]]:
    """By kind: the median and the 99th percentile of what a call takes longer, in milliseconds."""
    logging.getLogger("flotilla").setLevel(logging.ERROR)
    table: Any = CircuitBreakerDynamoDBPersistence(table_name=POWERTOOLS_TABLE, boto3_client=stores.client)
    guarded = circuit_breaker(stores.circuit(), table)(_nothing)
    local = peer("pybreaker").CircuitBreaker()
    return {
        "Flotilla": asyncio.run(_flotilla(stores)),
        "Powertools 3.37": _timed(guarded),
        "pybreaker 1.4.1": _timed(lambda: local.call(_nothing)),
    }


def _nothing() -> None:
    """The call."""


def _timed(call: Callable[[], Any]) -> tuple[float, float]:
    taken = []
    for _ in range(_CALLS):
        began = time.perf_counter()
        call()
        taken.append((time.perf_counter() - began) * 1000)
    return _told(taken)


async def _flotilla(stores: Stores) -> tuple[float, float]:
    client: Any = stores.client
    store = DynamoCircuits(client, CONTROL_TABLE, asyncio.to_thread)
    breaker = CircuitBreaker(stores.circuit(), CircuitPolicy(), store, SystemClock(), Random(1), "here")
    taken = []
    for _ in range(_CALLS):
        began = time.perf_counter()
        passage = await breaker.before()
        await breaker.record(passage, CallOutcome.OK)
        taken.append((time.perf_counter() - began) * 1000)
    return _told(taken)


def _told(taken: list[float]) -> tuple[float, float]:
    return statistics.median(taken), statistics.quantiles(taken, n=100)[98]
