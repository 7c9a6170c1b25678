"""Dashboards that draw what is there and stay free; saved queries of logs that there are; and what it all costs."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from capacity import prices
from flotilla.runtime.metrics import NAMESPACE
from stacks.idle_inventory import idle_of
from tests.cloudwatch.deployed import alarms_of, composites_of
from tests.infra.test_alarms import FLEET, written
from tests.synthesis import REPOSITORY, Templates

FREE_DASHBOARDS = 3
FREE_METRICS = 50
"""An account has so many dashboards for nothing, each with so many metrics."""

RUNBOOKS = REPOSITORY / "docs" / "operations"


@pytest.fixture(scope="module")
def dashboards(templates: Templates) -> dict[str, dict[str, Any]]:
    found = [each.properties for each in templates.resources("AWS::CloudWatch::Dashboard")]
    return {each["DashboardName"]: json.loads(each["DashboardBody"]) for each in found}


def metrics_of(body: dict[str, Any]) -> list[list[Any]]:
    """Rows of metrics: namespace, name, dimensions and options, or options alone, with an expression."""
    return [row for widget in body["widgets"] for row in widget["properties"].get("metrics", [])]


def plain(body: dict[str, Any]) -> set[tuple[str, ...]]:
    """Metrics by namespace, name and dimensions."""
    return {tuple(each for each in row if isinstance(each, str)) for row in metrics_of(body)} - {()}


def searches(body: dict[str, Any]) -> list[str]:
    rows = [row[0]["expression"] for row in metrics_of(body) if isinstance(row[0], dict)]
    return [each for each in rows if "SEARCH(" in each]


def test_there_are_as_many_as_cost_nothing(dashboards: dict[str, dict[str, Any]]) -> None:
    assert set(dashboards) == {"flotilla", "flotilla-lanes-and-agents", "flotilla-dependencies-and-cost"}
    assert len(dashboards) <= FREE_DASHBOARDS
    for name, body in dashboards.items():
        assert len(plain(body)) <= FREE_METRICS, name


def test_all_that_is_drawn_of_our_own_is_written(dashboards: dict[str, dict[str, Any]]) -> None:
    for body in dashboards.values():
        ours = {row[1] for row in plain(body) if row[0] == NAMESPACE}
        found = {name for text in searches(body) for name in re.findall(r'MetricName="(\w+)"', text)}
        assert ours | found <= written()


def test_all_that_is_drawn_of_aws_is_there(dashboards: dict[str, dict[str, Any]], templates: Templates) -> None:
    for kind, key in (
        ("AWS::SQS::Queue", "QueueName"),
        ("AWS::Lambda::Function", "FunctionName"),
        ("AWS::DynamoDB::Table", "TableName"),
    ):
        there = {each.properties[key] for each in templates.resources(kind)}
        drawn = {row[3] for body in dashboards.values() for row in plain(body) if row[2] == key}
        assert drawn
        assert drawn <= there


def test_the_overview_shows_every_alarm(dashboards: dict[str, dict[str, Any]], templates: Templates) -> None:
    (status,) = [each for each in dashboards["flotilla"]["widgets"] if each["type"] == "alarm"]
    shown = {arn.rsplit(":", 1)[1] for arn in status["properties"]["alarms"]}
    assert shown == {*alarms_of(templates), *composites_of(templates)}


def test_each_lane_has_a_section(dashboards: dict[str, dict[str, Any]]) -> None:
    titles = json.dumps([each for each in dashboards["flotilla-lanes-and-agents"]["widgets"] if each["type"] == "text"])
    for section in (*(f"Lane {lane}" for lane in FLEET.lanes), "Agents"):
        assert section in titles


def test_each_search_is_of_the_fleet_and_one_dimension(dashboards: dict[str, dict[str, Any]]) -> None:
    by_metric = [text for body in dashboards.values() for text in searches(body) if "MetricName" in text]
    assert by_metric
    for text in by_metric:
        assert re.search(r"\{Flotilla,Fleet,[A-Z][a-z]+\} MetricName=\"\w+\" Fleet=\"flotilla\"", text), text


def test_saved_queries_are_of_logs_that_are_there_and_the_runbooks_name_them(templates: Templates) -> None:
    groups = {each.properties["LogGroupName"] for each in templates.resources("AWS::Logs::LogGroup")}
    pages = "".join(page.read_text("utf-8") for page in RUNBOOKS.glob("*.md"))
    for query in templates.resources("AWS::Logs::QueryDefinition"):
        assert set(query.properties["LogGroupNames"]) <= groups
        assert query.properties["QueryString"]
        fleet, _, name = query.properties["Name"].partition("/")
        assert fleet == "flotilla"
        assert f"`{name}`" in pages


def test_the_page_says_what_watching_costs(templates: Templates) -> None:
    alarms, composites = alarms_of(templates), composites_of(templates)
    metrics = sum(len(alarm.inputs) for alarm in alarms.values())
    page = (RUNBOOKS / "alarms.md").read_text("utf-8")
    of_alarms, of_composites = metrics * prices.ALARM_METRIC_MONTHS, len(composites) * prices.COMPOSITE_ALARM_MONTHS
    assert f"| {len(alarms)} alarms on {metrics} metrics | at $0.10 a metric | ${of_alarms:.2f} |" in page
    assert f"| {len(composites)} composite alarms | at $0.50 | ${of_composites:.2f} |" in page
    lane = {name: alarm for name, alarm in alarms.items() if name.endswith("-batch")}
    each = (
        sum(len(alarm.inputs) for alarm in lane.values()) * prices.ALARM_METRIC_MONTHS + prices.COMPOSITE_ALARM_MONTHS
    )
    assert f"A lane more is ${each:.2f} " in page
    idle = idle_of(FLEET)
    assert (idle.alarms, idle.alarm_metrics, idle.composite_alarms) == (len(alarms), metrics, len(composites))
