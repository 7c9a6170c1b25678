"""Event source mappings as the engine lists them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from local.event_sources.mappings import Mapping, read_mapping
from local.event_sources.stream_plan import RetryPolicy
from local.event_sources.stream_source import readable_shards

FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function:worker"
QUEUE = "arn:aws:sqs:us-east-1:000000000000:lane.fifo"
STREAM = "arn:aws:dynamodb:us-east-1:000000000000:table/t/stream/2026-01-01T00:00:00.000"


def read(**record: Any) -> Mapping:
    return read_mapping({"UUID": "u", "EventSourceArn": QUEUE, "FunctionArn": FUNCTION, "State": "Enabled", **record})


def test_a_lane_is_read_whole() -> None:
    mapping = read(
        BatchSize=10,
        ScalingConfig={"MaximumConcurrency": 3},
        FunctionResponseTypes=["ReportBatchItemFailures"],
        LastModified=datetime(2026, 1, 1, tzinfo=UTC),
    )
    assert (mapping.function, mapping.batch_size, mapping.maximum_concurrency) == ("worker", 10, 3)
    assert mapping.is_queue
    assert mapping.reports_item_failures
    assert mapping.modified_seconds == datetime(2026, 1, 1, tzinfo=UTC).timestamp()


def test_a_mapping_without_settings_has_lambdas_defaults() -> None:
    queue, stream = read(), read(EventSourceArn=STREAM)
    assert (queue.batch_size, queue.maximum_concurrency, queue.reports_item_failures) == (10, None, False)
    assert (stream.batch_size, stream.retry_policy) == (100, RetryPolicy(-1, -1, bisect_on_error=False))
    assert stream.is_table_stream


def test_a_qualified_function_keeps_its_qualifier_and_shares_its_functions_concurrency() -> None:
    mapping = read(FunctionArn=f"{FUNCTION}:live")
    assert (mapping.function, mapping.function_arn) == ("worker", f"{FUNCTION}:live")


def test_one_receive_takes_ten_messages_at_most() -> None:
    assert read(BatchSize=1000).batch_size == 10


@pytest.mark.parametrize(
    ("state", "served"),
    [("Enabled", True), ("Creating", True), ("Updating", True), ("Disabled", False), ("Disabling", False)],
)
def test_a_mapping_is_served_until_an_operator_disables_it(state: str, served: bool) -> None:
    assert read(State=state).enabled is served


def test_a_streams_failure_settings_are_read() -> None:
    mapping = read(
        EventSourceArn=STREAM,
        MaximumRetryAttempts=0,
        MaximumRecordAgeInSeconds=60,
        BisectBatchOnFunctionError=True,
        DestinationConfig={"OnFailure": {"Destination": QUEUE}},
        StartingPosition="LATEST",
    )
    assert mapping.retry_policy == RetryPolicy(0, 60, bisect_on_error=True)
    assert (mapping.on_failure, mapping.starting_position) == (QUEUE, "LATEST")


def test_a_streams_window_and_filter_are_read() -> None:
    mapping = read(
        EventSourceArn=STREAM,
        MaximumBatchingWindowInSeconds=5,
        FilterCriteria={"Filters": [{"Pattern": "{}"}, {"Pattern": "[]"}]},
    )
    assert (mapping.window_seconds, mapping.filters) == (5.0, ("{}", "[]"))
    assert (read().window_seconds, read().filters) == (0.0, ())


def test_a_shard_waits_for_its_parent() -> None:
    shards = [{"ShardId": "child", "ParentShardId": "parent"}, {"ShardId": "parent", "ParentShardId": "trimmed"}]
    assert readable_shards(shards, set()) == ["parent"]
    assert readable_shards(shards, {"parent"}) == ["child"]
    assert readable_shards(shards, {"parent", "child"}) == []
