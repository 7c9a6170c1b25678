"""What CloudWatch has measured of the lanes: asked for in one call, and nothing made up where it says nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from botocore.stub import Stubber

from flotilla.cloudwatch.lane_meter import CloudWatchLaneMeter, Measured
from flotilla.models import LaneReading
from tests.fakes import ManualClock, run_on_thread
from tests.integration.adapters.aws_failures import ERRORS, answering_with, unreachable
from tests.synthesis import REGION

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient

LANES = {
    "critical": Measured("fleet-critical.fifo", "fleet-worker-critical"),
    "batch": Measured("fleet-batch.fifo", "fleet-worker-batch"),
}


@pytest.fixture
def cloudwatch() -> CloudWatchClient:
    once = Config(retries={"total_max_attempts": 1, "mode": "standard"})
    return boto3.client("cloudwatch", REGION, aws_access_key_id="testing", aws_secret_access_key="testing", config=once)


@pytest.fixture
def stub(cloudwatch: CloudWatchClient) -> Iterator[Stubber]:
    with Stubber(cloudwatch) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1_700_000_000_000)


@pytest.fixture
def meter(cloudwatch: CloudWatchClient, clock: ManualClock) -> CloudWatchLaneMeter:
    return CloudWatchLaneMeter(lambda: cloudwatch, LANES, clock, run_on_thread)


def latest(meter: CloudWatchLaneMeter) -> dict[str, LaneReading]:
    return dict(asyncio.run(meter.latest()))


def measured(**values: list[float]) -> dict[str, Any]:
    """CloudWatch's answer; what is not named has no values."""
    ids = ("oldest0", "running0", "oldest1", "running1")
    return {"MetricDataResults": [{"Id": each, "Values": values.get(each, [])} for each in ids]}


def query(query_id: str, namespace: str, metric: str, dimension: str, value: str) -> dict[str, Any]:
    found = {"Namespace": namespace, "MetricName": metric, "Dimensions": [{"Name": dimension, "Value": value}]}
    return {"Id": query_id, "MetricStat": {"Metric": found, "Period": 60, "Stat": "Maximum"}}


def test_all_lanes_are_one_call_for_the_last_minutes(meter: CloudWatchLaneMeter, stub: Stubber) -> None:
    expected = {
        "MetricDataQueries": [
            query("oldest0", "AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName", "fleet-critical.fifo"),
            query("running0", "AWS/Lambda", "ConcurrentExecutions", "FunctionName", "fleet-worker-critical"),
            query("oldest1", "AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName", "fleet-batch.fifo"),
            query("running1", "AWS/Lambda", "ConcurrentExecutions", "FunctionName", "fleet-worker-batch"),
        ],
        "StartTime": "2023-11-14T22:08:20.000Z",
        "EndTime": "2023-11-14T22:13:20.000Z",
        "ScanBy": "TimestampDescending",
    }
    stub.add_response("get_metric_data", measured(), expected)
    latest(meter)


def test_the_newest_value_of_each_counts_and_what_has_none_is_not_known(
    meter: CloudWatchLaneMeter, stub: Stubber
) -> None:
    stub.add_response("get_metric_data", measured(oldest0=[45.0, 300.0], running0=[3.0, 1.0], oldest1=[0.0]))
    assert latest(meter) == {"critical": LaneReading(45, 3), "batch": LaneReading(0, None)}


def test_who_looks_again_and_again_is_told_what_is_known_for_half_a_minute(
    meter: CloudWatchLaneMeter, stub: Stubber, clock: ManualClock
) -> None:
    stub.add_response("get_metric_data", measured(running0=[1.0]))
    stub.add_response("get_metric_data", measured(running0=[2.0]))
    assert [latest(meter)["critical"].concurrency for _ in range(5)] == [1] * 5
    clock.advance(30)
    assert latest(meter)["critical"].concurrency == 2


def test_where_cloudwatch_does_not_answer_nothing_is_known(
    meter: CloudWatchLaneMeter, cloudwatch: CloudWatchClient, clock: ManualClock
) -> None:
    for code in ERRORS:
        with answering_with(cloudwatch, "get_metric_data", code):
            assert latest(meter) == {}
        clock.advance(30)
    with unreachable(cloudwatch, "GetMetricData"):
        assert latest(meter) == {}


def test_no_client_is_made_before_somebody_looks(clock: ManualClock) -> None:
    def unwanted() -> CloudWatchClient:
        raise AssertionError("most processes never look")

    CloudWatchLaneMeter(unwanted, LANES, clock, run_on_thread)
