"""What AWS allows, in us-east-1, November 2026: each quota with its default, and whether it can be raised.

A quota that can be raised has the name, and where it is known the code, that Service Quotas asks for. The others are
how a service is made: they are met by more keys, more queues or more regions. Other regions have less of some.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Quota:
    """One quota.

    Attributes:
        service: As Service Quotas calls it.
        name: As its documentation calls it.
        default: What a region of an account has, or one key, queue or mapping, as `of` says.
        of: What has so much.
        unit: Of `default`.
        adjustable: It can be raised on request.
        code: Of Service Quotas; None where it has none or it is not known.
    """

    service: str
    name: str
    default: float
    of: str
    unit: str
    adjustable: bool
    code: str | None = None


# Lambda.
CONCURRENT_EXECUTIONS: Final = Quota(
    "lambda", "Concurrent executions", 1_000, "region", "invocations at once", adjustable=True, code="L-B99A9384"
)
UNRESERVED_EXECUTIONS: Final = 100
"""What of it no function may reserve."""
INVOKES_PER_EXECUTION: Final = 10
"""Invocations a second that a function may have for each concurrent execution it may have."""
ENVIRONMENTS: Final = Quota(
    "lambda", "Concurrency scaling rate", 100, "function", "new environments a second", adjustable=False
)
"""A thousand every ten seconds."""

# SQS as an event source of Lambda.
MAPPING_CONCURRENCY: Final = Quota(
    "lambda", "Maximum concurrency of an SQS mapping", 1_000, "mapping", "invocations at once", adjustable=False
)
MAPPING_FIRST: Final = 5
"""Invocations at once with which a mapping begins."""
MAPPING_RAMP_PER_MINUTE: Final = 300
MAPPING_MOST: Final = 1_250
"""Without a maximum of its own, and without pollers of its own."""
POLLERS_FIRST: Final = 2
POLLER_CONCURRENCY: Final = 10
POLLERS_RAMP_PER_MINUTE: Final = 1_000
"""Invocations at once that a mapping with pollers of its own adds in a minute."""
POLLERS_MOST: Final = 10_000

# SQS, FIFO in high-throughput mode.
FIFO_CALLS: Final = Quota(
    "sqs", "API calls to a FIFO queue, each action", 70_000, "queue", "calls a second", adjustable=True
)
FIFO_PARTITION_CALLS: Final = 300
"""Calls a second of each action on one partition, and so on one message group. SQS adds partitions by itself."""
FIFO_IN_FLIGHT: Final = Quota(
    "sqs", "In-flight messages of a FIFO queue", 120_000, "queue", "messages in flight", adjustable=False
)

# DynamoDB.
TABLE_WRITES: Final = Quota(
    "dynamodb",
    "Table-level write throughput limit",
    40_000,
    "table",
    "write units a second",
    adjustable=True,
    code="L-AB614373",
)
TABLE_READS: Final = Quota(
    "dynamodb",
    "Table-level read throughput limit",
    40_000,
    "table",
    "read units a second",
    adjustable=True,
    code="L-CF0CBE56",
)
PARTITION_WRITES: Final = Quota(
    "dynamodb", "Write units of one partition", 1_000, "key", "write units a second", adjustable=False
)
PARTITION_READS: Final = Quota(
    "dynamodb", "Read units of one partition", 3_000, "key", "read units a second", adjustable=False
)
NEW_TABLE_WRITES: Final = 4_000
"""Write units a second that a new on-demand table takes; beyond twice its former peak it takes 30 minutes to grow."""
NEW_TABLE_PARTITIONS: Final = 4

# API Gateway.
API_REQUESTS: Final = Quota(
    "apigateway", "Throttle rate", 10_000, "region", "requests a second", adjustable=True, code="L-8A5B8E43"
)

# Step Functions, Standard.
START_EXECUTION: Final = Quota(
    "states", "StartExecution throttle, refill rate", 300, "region", "executions a second", adjustable=True
)
STATE_TRANSITIONS: Final = Quota(
    "states", "StateTransition throttle, refill rate", 5_000, "region", "transitions a second", adjustable=True
)
TASK_ANSWERS: Final = Quota(
    "states", "SendTaskSuccess throttle, refill rate", 500, "region", "answers a second", adjustable=True
)

# S3.
PREFIX_PUTS: Final = Quota("s3", "PUT requests of one prefix", 3_500, "prefix", "puts a second", adjustable=False)

ALL: Final = (
    CONCURRENT_EXECUTIONS,
    ENVIRONMENTS,
    MAPPING_CONCURRENCY,
    FIFO_CALLS,
    FIFO_IN_FLIGHT,
    TABLE_WRITES,
    TABLE_READS,
    PARTITION_WRITES,
    PARTITION_READS,
    API_REQUESTS,
    START_EXECUTION,
    STATE_TRANSITIONS,
    TASK_ANSWERS,
    PREFIX_PUTS,
)
