"""From what was counted to dollars for a million tasks: arithmetic alone, each line with its factors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.cost import prices

WAIT_MS = {"authorizer": 0, "api": 15, "worker": 20, "projector": 15}
"""Of one invocation, for its AWS calls: 5 ms for each that it waits for one after the other. An assumption."""

ONE_PROCESSOR_MB = 1769
"""A function with so much memory has one processor, one with less a share of it."""

ACCESS_LOG_BYTES = 385
"""A line of the gateway's access log, with ids of the usual length."""

_BYTES_IN_GB = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the bill.

    Attributes:
        per_task: How many units a task takes.
        price: Dollars for a million units.
    """

    what: str
    per_task: float
    price: float

    @property
    def dollars(self) -> float:
        """For a million tasks."""
        return self.per_task * self.price


def bill(count: Mapping[str, Any], tasks: int, memory_mb: Mapping[str, int]) -> Iterator[Line]:
    """The bill of `tasks` tasks.

    Args:
        count: What `metering.Meter` counted.
        tasks: How many tasks it was.
        memory_mb: Memory of each function.
    """
    requests = count["invocations"]["api"] / tasks
    yield Line("HTTP API: requests", requests, prices.HTTP_API_REQUESTS)
    yield from _lambda(count, tasks, memory_mb)
    yield from _sqs(count, tasks)
    yield from _dynamodb(count, tasks)
    puts = sum(number for name, number in count["calls"].items() if name.endswith("s3 PutObject"))
    gets = sum(number for name, number in count["calls"].items() if name.endswith("s3 GetObject"))
    if puts:
        yield Line("S3: objects put (archive)", puts / tasks, prices.S3_PUTS)
    if gets:
        yield Line("S3: objects got", gets / tasks, prices.S3_GETS)
    log_bytes = sum(count["log_bytes"].values()) / tasks + requests * ACCESS_LOG_BYTES
    # A gigabyte has its price, so a million bytes have a thousandth of it.
    yield Line("Logs: bytes, access log included", log_bytes, prices.LOGS_GB * 1_000_000 / _BYTES_IN_GB)


def _lambda(count: Mapping[str, Any], tasks: int, memory_mb: Mapping[str, int]) -> Iterator[Line]:
    for function, invocations in count["invocations"].items():
        yield Line(f"Lambda: invocations of {function}", invocations / tasks, prices.LAMBDA_REQUESTS)
        slower = max(1.0, ONE_PROCESSOR_MB / memory_mb[function])
        # Billed by the millisecond, each begun one: half of one on average.
        milliseconds = count["cpu_ms"][function] * slower + invocations * (WAIT_MS[function] + 0.5)
        gb_seconds = milliseconds / 1000 * memory_mb[function] / 1024
        yield Line(f"Lambda: GB-s of {function}", gb_seconds / tasks, prices.LAMBDA_ARM_GB_SECONDS)


def _sqs(count: Mapping[str, Any], tasks: int) -> Iterator[Line]:
    operations: dict[str, int] = {}
    for name, number in count["calls"].items():
        _, service, operation = name.rsplit(" ", 2)
        if service == "sqs":
            operations[operation] = operations.get(operation, 0) + number
    for operation, number in operations.items():
        yield Line(f"SQS: {operation}", number / tasks, prices.SQS_FIFO_REQUESTS)


def _dynamodb(count: Mapping[str, Any], tasks: int) -> Iterator[Line]:
    for label, units, price in (
        ("write", count["write_units"], prices.WRITE_UNITS),
        ("read", count["read_units"], prices.READ_UNITS),
    ):
        by_table: dict[str, float] = {}
        for name, number in units.items():
            table = name.rsplit("-", 1)[1]
            by_table[table] = by_table.get(table, 0.0) + number
        for table, number in by_table.items():
            yield Line(f"DynamoDB: {label} units of {table}", number / tasks, price)
