"""What a task that meets no trouble takes: AWS calls, units and time, each line with its price.

The one model of it: the plan multiplies it, and `benchmarks/cost` shows it beside what it counted of the functions
themselves. The times are of that benchmark, so of the machine that it ran on: they are a small part of the bill.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from capacity import prices
from capacity.fleet_shape import MILLION

ONE_PROCESSOR_MB = 1769
"""A function with so much memory has one processor, one with less a share of it."""

WAIT_MS = {"authorizer": 0, "api": 15, "worker": 20, "projector": 15}
"""Of one invocation, for its AWS calls: 5 ms for each that it waits for one after the other. An assumption."""

CPU_MS = {"authorizer": 0.1, "api": 2.5, "worker": 1.5, "projector": 0.3}
"""Of one processor, of one invocation, whatever is in it; counted."""

CPU_MS_OF_TASK = {"api": 2.0, "worker": 3.9}
"""The same of each task in it."""

CPU_MS_OF_ENTRY = 1.6
CPU_MS_OF_LOG_READ = 2.9
"""Of the projector: to write an entry, and to read a log whose beginning it has not at hand."""

ACCESS_LOG_BYTES = 385
"""A line of the gateway's access log, with ids of the usual length."""

LOG_BYTES = 245
"""What the functions log of a task."""

SEND_BATCH = 10
"""Messages of one call to SQS."""

EVENTS = 3
"""Of a task that succeeds at once: accepted, started, succeeded."""

EVENT_BYTES = {"accepted": 600, "succeeded": 450}
"""Of an item in the log beside the payload that is in it; `started` has none."""

LEAST_PAUSE_READS = 0.1
"""Of an invocation that lasts next to nothing: an environment has ten of them in a second."""

STORED_BYTES = 1_400
"""Of a log in the table, payloads aside."""

WINDOW_SECONDS = 2.0
"""How long the stream's records are gathered for the projector."""

STREAM_BATCH = 500
"""Records of one of its batches, at the most."""

STREAM_BATCHES_AT_ONCE = 2
"""Of each shard."""

WRITE_UNIT_BYTES = 1024
READ_UNIT_BYTES = 4096
_KB64 = 65_536


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a bill.

    Attributes:
        service: Of AWS.
        what: Which of its units.
        per_task: How many a task takes.
        price: Dollars for a million.
    """

    service: str
    what: str
    per_task: float
    price: float

    @property
    def dollars(self) -> float:
        """For a million tasks."""
        return self.per_task * self.price


@dataclass(frozen=True, slots=True)
class Way:
    """How a task goes.

    Attributes:
        submit_batch: Tasks of one call of the API; 0 where none is made.
        batch: Tasks of one invocation of a worker.
        seconds: That an invocation lasts beside what the framework takes.
        span_seconds: From a task's first event to its last.
        stream_lanes: Batches of the stream at once.
        records_per_second: In the stream.
        payload_bytes: Of an input, and as much of an output.
        memory_mb: Of the worker.
        api_memory_mb: Of the functions that answer clients.
        background_memory_mb: Of the projector.
        transitions: Of Step Functions, for a task.
        pause_reads: Of the control table, of an invocation.
    """

    submit_batch: float = 1
    batch: float = 10
    seconds: float = 0.0
    span_seconds: float = 0.0
    stream_lanes: float = 1
    records_per_second: float = 1000.0
    payload_bytes: int = 100
    memory_mb: int = 1024
    api_memory_mb: int = 1024
    background_memory_mb: int = 256
    transitions: float = 0.0
    pause_reads: float = 1.0
    architecture: str = "arm64"


def write_units(way: Way) -> float:
    """Of a task's log: a unit for each begun kilobyte of each of its events."""
    return 1.0 + sum(math.ceil((size + way.payload_bytes) / WRITE_UNIT_BYTES) for size in EVENT_BYTES.values())


def window_seconds(way: Way) -> float:
    """How long a batch of the stream is gathered: until the window is over, or it is full."""
    each = way.records_per_second / way.stream_lanes
    return min(WINDOW_SECONDS, STREAM_BATCH / each) if each else WINDOW_SECONDS


def entries(way: Way) -> float:
    """How often a task's entry is written: once, and again if its end is in a later batch than its beginning."""
    return 1.0 + min(1.0, way.span_seconds / window_seconds(way))


def projector_batches(way: Way) -> float:
    """Invocations of the projector for a task.

    Each waits for its first record, and gathers for a window from then on.
    """
    each = way.records_per_second / way.stream_lanes
    a_second = way.stream_lanes / (window_seconds(way) + 1 / each)
    return a_second / (way.records_per_second / EVENTS)


def projector_seconds(way: Way) -> float:
    """Time of the projector's function for a task."""
    cpu_ms = entries(way) * CPU_MS_OF_ENTRY + (entries(way) - 1) * CPU_MS_OF_LOG_READ
    batches = projector_batches(way)
    return _milliseconds(batches * CPU_MS["projector"] + cpu_ms, way.background_memory_mb, batches, "projector") / 1000


def api_seconds(way: Way) -> float:
    """Time of the API's function for one call, which does not wait for results."""
    cpu_ms = CPU_MS["api"] + way.submit_batch * CPU_MS_OF_TASK["api"]
    return _milliseconds(cpu_ms, way.api_memory_mb, 1, "api") / 1000


def relay_seconds(memory_mb: int) -> float:
    """Time of the relay's function for a batch of delayed messages: taken to be as long as a worker's, agents aside."""
    cpu_ms = CPU_MS["worker"] + SEND_BATCH * CPU_MS_OF_TASK["worker"]
    return _milliseconds(cpu_ms, memory_mb, 1, "worker") / 1000


def lines(way: Way) -> Iterator[Line]:
    """What a task takes, by service."""
    calls = 1 / way.submit_batch if way.submit_batch else 0.0
    sends = (1.0 if way.submit_batch == 1 else 1 / min(way.submit_batch, SEND_BATCH)) if way.submit_batch else 1.0
    invocations = 1 / way.batch
    batches = projector_batches(way)
    chunks = math.ceil((600 + way.payload_bytes) / _KB64)
    if calls:
        yield Line("API Gateway", "HTTP API: requests", calls, prices.HTTP_API_REQUESTS)
        yield Line("Lambda", "Lambda: invocations of authorizer", calls, prices.LAMBDA_REQUESTS)
        authorizer = _milliseconds(CPU_MS["authorizer"], way.api_memory_mb, 1, "authorizer") / 1000 * calls
        yield _gb_seconds(way, "authorizer", authorizer, way.api_memory_mb)
        yield Line("Lambda", "Lambda: invocations of api", calls, prices.LAMBDA_REQUESTS)
        yield _gb_seconds(way, "api", api_seconds(way) * calls, way.api_memory_mb)
    yield Line("Lambda", "Lambda: invocations of worker", invocations, prices.LAMBDA_REQUESTS)
    cpu_ms = CPU_MS["worker"] + way.batch * CPU_MS_OF_TASK["worker"]
    own = _milliseconds(cpu_ms, way.memory_mb, 1, "worker") / 1000
    yield _gb_seconds(way, "worker", own * invocations, way.memory_mb)
    if way.seconds:
        yield Line(
            "Lambda",
            "Lambda: GB-s of agents",
            way.seconds * invocations * way.memory_mb / 1024,
            prices.LAMBDA_GB_SECONDS[way.architecture],
        )
    yield Line("Lambda", "Lambda: invocations of projector", batches, prices.LAMBDA_REQUESTS)
    yield _gb_seconds(way, "projector", projector_seconds(way), way.background_memory_mb)
    send = "SendMessage" if way.submit_batch <= 1 else "SendMessageBatch"
    yield Line("SQS", f"SQS: {send}", sends * chunks, prices.SQS_FIFO_REQUESTS)
    for call in ("ReceiveMessage", "ChangeMessageVisibilityBatch", "DeleteMessageBatch"):
        yield Line("SQS", f"SQS: {call}", invocations, prices.SQS_FIFO_REQUESTS)
    yield from _dynamodb(way, invocations)
    yield Line("S3", "S3: objects put (archive)", batches, prices.S3_PUTS)
    log_bytes = LOG_BYTES + calls * ACCESS_LOG_BYTES
    yield Line("CloudWatch", "Logs: bytes, access log included", log_bytes, prices.LOGS_GB / 1000)
    if way.transitions:
        yield Line("Step Functions", "Step Functions: state transitions", way.transitions, prices.STATE_TRANSITIONS)


def _dynamodb(way: Way, invocations: float) -> Iterator[Line]:
    again = entries(way) - 1
    reads = again * math.ceil((STORED_BYTES + 2 * way.payload_bytes) / READ_UNIT_BYTES)
    yield Line("DynamoDB", "DynamoDB: write units of events", write_units(way), prices.WRITE_UNITS)
    yield Line("DynamoDB", "DynamoDB: write units of views", entries(way), prices.WRITE_UNITS)
    yield Line("DynamoDB", "DynamoDB: read units of events", reads, prices.READ_UNITS)
    yield Line("DynamoDB", "DynamoDB: read units of control", invocations * way.pause_reads, prices.READ_UNITS)


def _gb_seconds(way: Way, function: str, seconds: float, memory_mb: int) -> Line:
    price = prices.LAMBDA_GB_SECONDS[way.architecture]
    return Line("Lambda", f"Lambda: GB-s of {function}", seconds * memory_mb / 1024, price)


def _milliseconds(cpu_ms: float, memory_mb: int, invocations: float, function: str) -> float:
    """Billed time: by the millisecond, each begun one, so half of one on average beyond what it takes."""
    return cpu_ms * max(1.0, ONE_PROCESSOR_MB / memory_mb) + invocations * (WAIT_MS[function] + 0.5)


def dollars_per_million(way: Way) -> float:
    """What a million such tasks cost."""
    return sum(line.dollars for line in lines(way))


def kept_dollars(tasks: float, payload_bytes: int, days: float) -> float:
    """What keeping the logs of so many tasks a month in the table costs a month, backups included."""
    gigabytes = tasks * (STORED_BYTES + 2 * payload_bytes) / (MILLION * 1000) * days / 30
    return gigabytes * (prices.TABLE_GB_MONTHS + prices.TABLE_BACKUP_GB_MONTHS)
