"""Metrics in CloudWatch's embedded format: one line for each set of dimensions, whatever was counted."""

from __future__ import annotations

import json
from typing import Any

from flotilla.runtime.metrics import EmbeddedMetrics
from tests.fakes import ManualClock


class Log:
    """Metrics and the lines they wrote."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self.clock = ManualClock()
        self.metrics = EmbeddedMetrics("fleet-1", self.clock, self._lines.append)

    def flushed(self) -> list[dict[str, Any]]:
        self._lines.clear()
        self.metrics.flush()
        return [json.loads(line) for line in self._lines]


def test_counts_of_one_set_of_dimensions_are_summed_into_one_line() -> None:
    log = Log()
    for _ in range(3):
        log.metrics.count("CallsRefused", circuit="integration#crm")
    log.metrics.count("CallsAllowed", 2, circuit="integration#crm")
    (line,) = log.flushed()
    assert (line["CallsRefused"], line["CallsAllowed"], line["Circuit"]) == (3, 2, "integration#crm")


def test_a_metric_is_kept_for_the_fleet_and_for_its_own_dimensions() -> None:
    log = Log()
    log.metrics.count("ModelFailovers", route="fast", served="haiku")
    (line,) = log.flushed()
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "Flotilla"
    assert directive["Dimensions"] == [["Fleet"], ["Fleet", "Route", "Served"]]
    assert directive["Metrics"] == [{"Name": "ModelFailovers", "Unit": "Count"}]
    assert line["_aws"]["Timestamp"] == log.clock.now_ms()
    assert {name: line[name] for name in ("Fleet", "Route", "Served")} == {
        "Fleet": "fleet-1",
        "Route": "fast",
        "Served": "haiku",
    }


def test_other_dimensions_are_another_line() -> None:
    log = Log()
    log.metrics.count("CallsRefused", circuit="integration#crm")
    log.metrics.count("CallsRefused", circuit="integration#erp")
    assert sorted(line["Circuit"] for line in log.flushed()) == ["integration#crm", "integration#erp"]


def test_durations_are_told_each_as_many_as_a_line_takes() -> None:
    log = Log()
    for milliseconds in range(150):
        log.metrics.measure("CallDuration", milliseconds)
    (line,) = log.flushed()
    assert line["CallDuration"] == list(range(100))
    assert line["_aws"]["CloudWatchMetrics"][0]["Metrics"] == [{"Name": "CallDuration", "Unit": "Milliseconds"}]


def test_what_was_written_is_not_written_again() -> None:
    log = Log()
    log.metrics.count("CallsRefused")
    assert len(log.flushed()) == 1
    assert log.flushed() == []


def test_dimensions_of_too_many_values_are_left_out() -> None:
    log = Log()
    for number in range(1000):
        log.metrics.count("CallsRefused", circuit=f"integration#{number}")
    log.metrics.count("CallsRefused", circuit="integration#0")
    lines = log.flushed()
    assert len(lines) == 500
    assert lines[0]["CallsRefused"] == 2
