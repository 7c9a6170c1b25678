"""Alarms on what protects the fleet: on metrics that are really written, told to a topic, with a page for each."""

from __future__ import annotations

import pytest

import stacks  # noqa: F401  says which Node the CDK library runs, before it is imported

# isort: split
from aws_cdk.assertions import Match, Template

from flotilla.runtime.metrics import NAMESPACE
from stacks.alarms_stack import RUNBOOK, SYMPTOMS, Symptom
from tests.synthesis import REPOSITORY, Templates


@pytest.fixture(scope="module")
def alarms(templates: Templates) -> Template:
    return Template.from_json(templates["flotilla-alarms"])


@pytest.mark.parametrize("symptom", SYMPTOMS, ids=lambda symptom: symptom.name)
def test_an_alarm_follows_the_metric_of_the_whole_fleet(alarms: Template, symptom: Symptom) -> None:
    alarms.has_resource_properties(
        "AWS::CloudWatch::Alarm",
        {
            "AlarmName": f"flotilla-{symptom.name}",
            "Namespace": NAMESPACE,
            "MetricName": symptom.metric,
            "Dimensions": [{"Name": "Fleet", "Value": "flotilla"}],
            "Statistic": "Sum",
            "Period": symptom.period_minutes * 60,
            "EvaluationPeriods": symptom.of,
            "DatapointsToAlarm": symptom.periods,
            "TreatMissingData": "notBreaching",
        },
    )


def test_the_topic_is_told_when_an_alarm_is_raised_and_when_it_is_over(alarms: Template) -> None:
    topic = [{"Ref": Match.string_like_regexp("^Topic")}]
    alarms.all_resources_properties("AWS::CloudWatch::Alarm", {"AlarmActions": topic, "OKActions": topic})


@pytest.mark.parametrize("symptom", SYMPTOMS, ids=lambda symptom: symptom.name)
def test_the_page_has_a_section_for_each_alarm(alarms: Template, symptom: Symptom) -> None:
    alarms.has_resource_properties(
        "AWS::CloudWatch::Alarm",
        {"AlarmDescription": Match.string_like_regexp(f"{RUNBOOK}#{symptom.name}$")},
    )
    titles = [line[3:].strip() for line in (REPOSITORY / RUNBOOK).read_text("utf-8").splitlines() if line[:3] == "## "]
    assert symptom.name in [title.lower().replace(" ", "-") for title in titles]


@pytest.mark.parametrize("symptom", SYMPTOMS, ids=lambda symptom: symptom.name)
def test_the_metric_is_one_that_the_functions_count(symptom: Symptom) -> None:
    library = REPOSITORY / "layers" / "flotilla" / "python" / "flotilla"
    assert any(f'count("{symptom.metric}"' in path.read_text("utf-8") for path in library.rglob("*.py"))
