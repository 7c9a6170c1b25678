"""What CloudWatch has measured of the lanes: asked for in one call, and nothing made up where it says nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.stub import Stubber

from flotilla.clock import SystemClock
from flotilla.cloudwatch.lane_meter import CloudWatchLaneMeter, Measured
from flotilla.models import LaneReading
from tests.contracts.lane_status import LaneMeterContract, Measure
from tests.fakes import ManualClock, run_on_thread
from tests.integration.adapters.aws_failures import ERRORS, answering_with, unreachable
from tests.integration.adapters.conftest import ONCE
from tests.synthesis import REGION

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient

LANES = {
    "critical": Measured("fleet-critical.fifo", "fleet-worker-critical"),
    "batch": Measured("fleet-batch.fifo", "fleet-worker-batch"),
}


@pytest.fixture
def cloudwatch() -> CloudWatchClient:
    return boto3.client("cloudwatch", REGION, aws_access_key_id="testing", aws_secret_access_key="testing", config=ONCE)


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


_NUMBERS = count()


class TestCloudWatchLaneMeter(LaneMeterContract):
    """The contract, on metrics as SQS and Lambda publish them."""

    @pytest.fixture
    def lanes(self) -> dict[str, Measured]:
        # Metrics cannot be deleted: each test has its own.
        number = next(_NUMBERS)
        return {name: Measured(f"fleet{number}-{name}.fifo", f"fleet{number}-{name}") for name in ("standard", "batch")}

    @pytest.fixture
    def metrics(self, aws: boto3.Session) -> CloudWatchClient:
        return aws.client("cloudwatch", config=ONCE)

    @pytest.fixture
    def meter(self, metrics: CloudWatchClient, lanes: dict[str, Measured]) -> CloudWatchLaneMeter:
        return CloudWatchLaneMeter(lambda: metrics, lanes, SystemClock(), run_on_thread)

    @pytest.fixture
    def measure(self, metrics: CloudWatchClient, lanes: dict[str, Measured]) -> Measure:
        def measure(lane: str, reading: LaneReading, minutes_ago: int) -> None:
            at = datetime.fromtimestamp(SystemClock().now_ms() / 1000 - 60 * minutes_ago, UTC)
            found = [
                ("AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName", lanes[lane].queue, reading.oldest_seconds),
                ("AWS/Lambda", "ConcurrentExecutions", "FunctionName", lanes[lane].function, reading.concurrency),
            ]
            for namespace, metric, dimension, name, value in found:
                if value is not None:
                    metrics.put_metric_data(
                        Namespace=namespace,
                        MetricData=[
                            {
                                "MetricName": metric,
                                "Dimensions": [{"Name": dimension, "Value": name}],
                                "Timestamp": at,
                                "Value": value,
                            }
                        ],
                    )

        return measure


def latest(meter: CloudWatchLaneMeter) -> dict[str, LaneReading]:
    return dict(asyncio.run(meter.latest()))


def measured(**values: list[float]) -> dict[str, Any]:
    """CloudWatch's answer, the newest values first; what is not named has none."""
    times = [datetime(2023, 11, 14, 22, minute, tzinfo=UTC) for minute in (12, 11, 10)]
    results = []
    for each in ("oldest0", "running0", "oldest1", "running1"):
        found = values.get(each, [])
        results.append({"Id": each, "Values": found, "Timestamps": times[: len(found)]})
    return {"MetricDataResults": results}


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
