"""Metrics in CloudWatch's embedded format: as few lines as can be, each within what the format takes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from flotilla.runtime.metrics import EmbeddedMetrics
from tests.fakes import ManualClock


class Log:
    """Metrics and the lines they wrote."""

    def __init__(self, rest_ms: int = 0) -> None:
        self._lines: list[str] = []
        self.clock = ManualClock()
        self.metrics = EmbeddedMetrics("fleet-1", self.clock, self._lines.append, rest_ms)

    def flushed(self) -> list[dict[str, Any]]:
        self._lines.clear()
        self.metrics.flush()
        return [json.loads(line) for line in self._lines]


def told(lines: list[dict[str, Any]]) -> list[tuple[str, str, tuple[tuple[str, str], ...], Any]]:
    """What CloudWatch makes of lines: name, unit, dimensions and value of each metric."""
    return sorted(
        (metric["Name"], metric["Unit"], tuple((each, line[each]) for each in dimensions), line[metric["Name"]])
        for line in lines
        for directive in line["_aws"]["CloudWatchMetrics"]
        for dimensions in directive["Dimensions"]
        for metric in directive["Metrics"]
    )


def test_counts_of_one_set_of_dimensions_are_summed() -> None:
    log = Log()
    for _ in range(3):
        log.metrics.count("CallsRefused", circuit="integration#crm")
    log.metrics.count("CallsAllowed", 2, circuit="integration#crm")
    (line,) = log.flushed()
    assert (line["CallsRefused"], line["CallsAllowed"], line["Circuit"]) == (3, 2, "integration#crm")
    assert line["_aws"]["Timestamp"] == log.clock.now_ms()


def test_a_metric_is_kept_for_the_fleet_and_for_each_dimension_by_itself() -> None:
    log = Log()
    log.metrics.count("TasksSucceeded", lane="standard", agent="notice", **{"class": "gold"})
    assert told(log.flushed()) == [
        ("TasksSucceeded", "Count", (("Fleet", "fleet-1"),), 1),
        ("TasksSucceeded", "Count", (("Fleet", "fleet-1"), ("Agent", "notice")), 1),
        ("TasksSucceeded", "Count", (("Fleet", "fleet-1"), ("Class", "gold")), 1),
        ("TasksSucceeded", "Count", (("Fleet", "fleet-1"), ("Lane", "standard")), 1),
    ]


def test_metrics_of_different_dimensions_share_a_line() -> None:
    log = Log()
    log.metrics.count("TasksSucceeded", lane="standard", agent="notice")
    log.metrics.measure("QueueDelay", 20, lane="standard")
    log.metrics.measure("PeakMemory", 90.5, "Megabytes", lane="standard")
    log.metrics.count("ModelCalls", model="haiku")
    log.metrics.count("CallbacksTooLate")
    (line,) = log.flushed()
    assert told([line]) == [
        ("CallbacksTooLate", "Count", (("Fleet", "fleet-1"),), 1),
        ("ModelCalls", "Count", (("Fleet", "fleet-1"),), 1),
        ("ModelCalls", "Count", (("Fleet", "fleet-1"), ("Model", "haiku")), 1),
        ("PeakMemory", "Megabytes", (("Fleet", "fleet-1"),), 90.5),
        ("PeakMemory", "Megabytes", (("Fleet", "fleet-1"), ("Lane", "standard")), 90.5),
        ("QueueDelay", "Milliseconds", (("Fleet", "fleet-1"),), 20),
        ("QueueDelay", "Milliseconds", (("Fleet", "fleet-1"), ("Lane", "standard")), 20),
        ("TasksSucceeded", "Count", (("Fleet", "fleet-1"),), 1),
        ("TasksSucceeded", "Count", (("Fleet", "fleet-1"), ("Agent", "notice")), 1),
        ("TasksSucceeded", "Count", (("Fleet", "fleet-1"), ("Lane", "standard")), 1),
    ]


def test_dimensions_that_contradict_each_other_are_lines_of_their_own() -> None:
    log = Log()
    log.metrics.count("CallsRefused", circuit="integration#crm")
    log.metrics.count("CallsRefused", circuit="integration#erp")
    assert sorted(line["Circuit"] for line in log.flushed()) == ["integration#crm", "integration#erp"]


def test_values_are_told_each_a_hundred_in_a_line() -> None:
    log = Log()
    for milliseconds in range(150):
        log.metrics.measure("QueueDelay", milliseconds, lane="standard")
    lines = log.flushed()
    assert [line["QueueDelay"] for line in lines] == [list(range(100)), list(range(100, 150))]


def test_what_was_written_is_not_written_again() -> None:
    log = Log()
    log.metrics.count("CallsRefused")
    assert len(log.flushed()) == 1
    assert log.flushed() == []


def test_what_is_gathered_while_it_rests_is_written_after_it() -> None:
    log = Log(rest_ms=10_000)
    log.metrics.count("TasksRefused")
    assert [line["TasksRefused"] for line in log.flushed()] == [1]
    log.metrics.count("TasksRefused")
    log.clock.advance(9.999)
    log.metrics.count("TasksRefused")
    assert log.flushed() == []
    log.clock.advance(0.001)
    assert [line["TasksRefused"] for line in log.flushed()] == [2]


def test_a_dimension_of_many_values_is_left_out_beyond_the_first() -> None:
    log = Log()
    for number in range(1000):
        log.metrics.count("CallsRefused", circuit=f"integration#{number}")
    lines = log.flushed()
    assert len(lines) == 201
    assert sum(line["CallsRefused"] for line in lines) == 1000
    assert max(line["CallsRefused"] for line in lines if "Circuit" not in line) == 800


def test_an_unknown_dimension_is_left_out() -> None:
    log = Log()
    log.metrics.count("TasksSucceeded", lane="standard", task_id="tsk_1", tenant="acme")
    (line,) = log.flushed()
    assert "tsk_1" not in str(line) and "acme" not in str(line)
    assert line["Lane"] == "standard"


def test_every_line_is_within_what_the_format_takes() -> None:
    log = Log()
    for number in range(150):
        log.metrics.count(f"Metric{number}", lane="standard")
    for agent in range(300):
        for milliseconds in range(120):
            log.metrics.measure("AttemptDuration", milliseconds + 0.123456789, agent=f"agent-{agent}")
    for line in log.flushed():
        assert len(json.dumps(line)) < 1024 * 1024
        for directive in line["_aws"]["CloudWatchMetrics"]:
            assert len(directive["Metrics"]) <= 100
            assert all(len(dimensions) <= 30 for dimensions in directive["Dimensions"])
            for metric in directive["Metrics"]:
                value = line[metric["Name"]]
                assert not isinstance(value, list) or len(value) <= 100


@pytest.mark.parametrize(("level", "told_as"), [("INFO", None), ("WARN", "ERROR"), ("ERROR", "ERROR")])
def test_lines_pass_the_filter_of_a_fleet_that_logs_only_warnings(
    level: str, told_as: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_LAMBDA_LOG_LEVEL", level)
    log = Log()
    log.metrics.count("CallsRefused")
    (line,) = log.flushed()
    assert line.get("level") == told_as
