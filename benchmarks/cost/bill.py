"""From what was counted to dollars for a million tasks: arithmetic alone, each line with its factors.

Beside it what the plan's own model says (`capacity.task_units`): there is one, and this is where it is checked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from capacity import prices
from capacity.task_units import ACCESS_LOG_BYTES, ONE_PROCESSOR_MB, WAIT_MS, Line, Way, lines

_BYTES_IN_GB = 1_000_000_000
_MEASURED = ("GB-s", "bytes")
"""In the names of lines that hold times and log lines, and no calls."""


def way_of(count: Mapping[str, Any], tasks: int, memory_mb: Mapping[str, int], submit_batch: int, batch: int) -> Way:
    """How the counted tasks went, for the plan's model to say what they should have taken.

    Args:
        count: What `pipeline` printed.
        tasks: How many tasks it was.
        memory_mb: Memory of each function.
        submit_batch: Tasks of a call of the API.
        batch: Tasks of an invocation of the worker.
    """
    return Way(
        submit_batch=submit_batch,
        batch=batch,
        span_seconds=count["span_seconds"],
        stream_lanes=1,
        records_per_second=3 * tasks / count["elapsed_seconds"],
        payload_bytes=count["payload_bytes"],
        memory_mb=memory_mb["worker"],
        api_memory_mb=memory_mb["api"],
        background_memory_mb=memory_mb["projector"],
        pause_reads=count["read_units_of_an_invocation"],
    )


def compared(counted: Sequence[Line], way: Way) -> tuple[dict[str, float], float]:
    """What the plan's model has for each counted line, by its name; and how far off its dollars for the calls are."""
    reckoned = {line.what: line.per_task for line in lines(way)}
    calls = [line for line in counted if not any(each in line.what for each in _MEASURED)]
    paid = sum(line.dollars for line in calls)
    return reckoned, abs(sum(reckoned.get(line.what, 0.0) * line.price for line in calls) - paid) / paid


def bill(count: Mapping[str, Any], tasks: int, memory_mb: Mapping[str, int]) -> Iterator[Line]:
    """The bill of `tasks` tasks.

    Args:
        count: What `metering.Meter` counted.
        tasks: How many tasks it was.
        memory_mb: Memory of each function.
    """
    requests = count["invocations"]["api"] / tasks
    yield Line("API Gateway", "HTTP API: requests", requests, prices.HTTP_API_REQUESTS)
    yield from _lambda(count, tasks, memory_mb)
    yield from _sqs(count, tasks)
    yield from _dynamodb(count, tasks)
    puts = sum(number for name, number in count["calls"].items() if name.endswith("s3 PutObject"))
    gets = sum(number for name, number in count["calls"].items() if name.endswith("s3 GetObject"))
    if puts:
        yield Line("S3", "S3: objects put (archive)", puts / tasks, prices.S3_PUTS)
    if gets:
        yield Line("S3", "S3: objects got", gets / tasks, prices.S3_GETS)
    log_bytes = sum(count["log_bytes"].values()) / tasks + requests * ACCESS_LOG_BYTES
    # A gigabyte has its price, so a million bytes have a thousandth of it.
    yield Line("CloudWatch", "Logs: bytes, access log included", log_bytes, prices.LOGS_GB * 1_000_000 / _BYTES_IN_GB)


def _lambda(count: Mapping[str, Any], tasks: int, memory_mb: Mapping[str, int]) -> Iterator[Line]:
    for function, invocations in count["invocations"].items():
        yield Line("Lambda", f"Lambda: invocations of {function}", invocations / tasks, prices.LAMBDA_REQUESTS)
        slower = max(1.0, ONE_PROCESSOR_MB / memory_mb[function])
        # Billed by the millisecond, each begun one: half of one on average.
        milliseconds = count["cpu_ms"][function] * slower + invocations * (WAIT_MS[function] + 0.5)
        gb_seconds = milliseconds / 1000 * memory_mb[function] / 1024
        yield Line("Lambda", f"Lambda: GB-s of {function}", gb_seconds / tasks, prices.LAMBDA_ARM_GB_SECONDS)


def _sqs(count: Mapping[str, Any], tasks: int) -> Iterator[Line]:
    operations: dict[str, int] = {}
    for name, number in count["calls"].items():
        _, service, operation = name.rsplit(" ", 2)
        if service == "sqs":
            operations[operation] = operations.get(operation, 0) + number
    for operation, number in operations.items():
        yield Line("SQS", f"SQS: {operation}", number / tasks, prices.SQS_FIFO_REQUESTS)


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
            yield Line("DynamoDB", f"DynamoDB: {label} units of {table}", number / tasks, price)
