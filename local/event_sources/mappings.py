"""Event source mappings as the engine lists them, read into what the event sources need.

A mapping is served while its state is not `Disabled`, exactly as on AWS: disabling one is how an operator pauses it.
"""

from __future__ import annotations

from collections.abc import Mapping as Record
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from local.event_sources.partial_batch import REPORT_ITEM_FAILURES
from local.event_sources.stream_plan import UNLIMITED, RetryPolicy

_DEFAULT_SQS_BATCH = 10
_DEFAULT_STREAM_BATCH = 100
_LARGEST_RECEIVE = 10


@dataclass(frozen=True)
class Mapping:
    """One event source mapping.

    Attributes:
        function_arn: What to invoke, qualifier included.
        function: The function's name; reserved concurrency is kept by it.
        modified_seconds: When it was last changed, in epoch seconds.
        window_seconds: How long records are gathered for one batch.
        on_failure: ARN of the queue or topic that is told of records given up.
        filters: Patterns of the records or messages that the function is for; none means all.
    """

    uuid: str
    source_arn: str
    function_arn: str
    function: str
    enabled: bool
    batch_size: int
    maximum_concurrency: int | None
    reports_item_failures: bool
    modified_seconds: float
    starting_position: str = "TRIM_HORIZON"
    retry_policy: RetryPolicy = field(default_factory=RetryPolicy)
    on_failure: str | None = None
    window_seconds: float = 0.0
    filters: tuple[str, ...] = ()

    @property
    def is_queue(self) -> bool:
        """Whether the source is an SQS queue."""
        return self.source_arn.split(":")[2] == "sqs"

    @property
    def is_table_stream(self) -> bool:
        """Whether the source is a DynamoDB stream."""
        return self.source_arn.split(":")[2] == "dynamodb"


def read_mapping(record: Record[str, Any]) -> Mapping:
    """One entry of `ListEventSourceMappings`."""
    source_arn = str(record["EventSourceArn"])
    function_arn = str(record["FunctionArn"])
    is_queue = source_arn.split(":")[2] == "sqs"
    batch_size = int(record.get("BatchSize") or (_DEFAULT_SQS_BATCH if is_queue else _DEFAULT_STREAM_BATCH))
    maximum = (record.get("ScalingConfig") or {}).get("MaximumConcurrency")
    on_failure = ((record.get("DestinationConfig") or {}).get("OnFailure") or {}).get("Destination")
    return Mapping(
        uuid=str(record["UUID"]),
        source_arn=source_arn,
        function_arn=function_arn,
        function=function_arn.split(":")[6],
        enabled=record.get("State") not in ("Disabled", "Disabling", "Deleting"),
        batch_size=min(batch_size, _LARGEST_RECEIVE) if is_queue else batch_size,
        maximum_concurrency=None if maximum is None else int(maximum),
        reports_item_failures=REPORT_ITEM_FAILURES in (record.get("FunctionResponseTypes") or ()),
        modified_seconds=_epoch_seconds(record.get("LastModified", 0)),
        starting_position=str(record.get("StartingPosition", "TRIM_HORIZON")),
        retry_policy=RetryPolicy(
            maximum_retry_attempts=int(record.get("MaximumRetryAttempts", UNLIMITED)),
            maximum_record_age_seconds=int(record.get("MaximumRecordAgeInSeconds", UNLIMITED)),
            bisect_on_error=bool(record.get("BisectBatchOnFunctionError", False)),
        ),
        on_failure=None if on_failure is None else str(on_failure),
        window_seconds=float(record.get("MaximumBatchingWindowInSeconds") or 0),
        filters=tuple(str(each["Pattern"]) for each in (record.get("FilterCriteria") or {}).get("Filters") or ()),
    )


def _epoch_seconds(value: Any) -> float:
    return value.timestamp() if isinstance(value, datetime) else float(value)
