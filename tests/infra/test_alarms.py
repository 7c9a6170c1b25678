"""Every alarm of the template, driven to ALARM and back by recorded series; on real metrics, with a page for each."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from flotilla.runtime.metrics import NAMESPACE
from stacks.config import load
from stacks.monitoring.engine_room_symptoms import TOLD_OTHERWISE
from stacks.monitoring.lane_symptoms import BUDGET, FAST, SLOW, Window
from stacks.monitoring.symptoms import Symptom, Together
from stacks.monitoring.watchlist import watchlist
from tests.cloudwatch.alarm_state import EXTRA_PERIODS
from tests.cloudwatch.deployed import Alarm, Composite, Run, alarms_of, composites_of
from tests.cloudwatch.recorded import MINUTE, Recording
from tests.cloudwatch.troubles import TROUBLES, good_day, idle_night, trouble, waiting_on_purpose
from tests.synthesis import ACCOUNT, REGION, REPOSITORY, Templates

FLEET = load(REPOSITORY / "fleet.toml", local=False)
WATCHED = watchlist(FLEET, api_id="api", machines=dict.fromkeys(FLEET.workflows, "arn"))
SINGLE = {f"flotilla-{each.key}": each for each in WATCHED if isinstance(each, Symptom)}
TOGETHER = {f"flotilla-{each.key}": each for each in WATCHED if isinstance(each, Together)}

DAY = 24 * 60


@pytest.fixture(scope="module")
def alarms(templates: Templates) -> dict[str, Alarm]:
    return alarms_of(templates)


@pytest.fixture(scope="module")
def composites(templates: Templates) -> dict[str, Composite]:
    return composites_of(templates)


def test_the_template_has_an_alarm_for_each_symptom_and_no_other(
    alarms: dict[str, Alarm], composites: dict[str, Composite]
) -> None:
    assert set(alarms) == set(SINGLE)
    assert set(composites) == set(TOGETHER)
    assert {each.name for each in SINGLE.values()} == set(TROUBLES)


@pytest.mark.parametrize("absent_is_zero", [True, False], ids=["absent is zero", "absent has no result"])
@pytest.mark.parametrize("name", SINGLE)
def test_trouble_raises_it_and_it_is_over_soon_after(alarms: dict[str, Alarm], name: str, absent_is_zero: bool) -> None:
    alarm, symptom = alarms[name], SINGLE[name]
    period = alarm.period_seconds // MINUTE
    begins = (alarm.periods + EXTRA_PERIODS) * period
    ends = begins + (symptom.bad + EXTRA_PERIODS) * period
    over = ends + (alarm.periods + EXTRA_PERIODS) * period
    recording = Recording()
    trouble(recording, {symptom.name: [alarm]}, range(over), range(begins, ends))
    run = Run(alarm, recording, absent_is_zero=absent_is_zero)
    assert run.at(begins) == "OK"
    assert {run.at(minute) for minute in range(begins, ends + 1, period)} == {"OK", "ALARM"}
    assert run.state == "ALARM"
    assert [run.at(minute) for minute in range(ends, over + 1, period)][-1] == "OK"


@pytest.mark.parametrize("name", [name for name, symptom in SINGLE.items() if symptom.bad > 1])
def test_one_bad_period_less_does_not_raise_it(alarms: dict[str, Alarm], name: str) -> None:
    alarm, symptom = alarms[name], SINGLE[name]
    period = alarm.period_seconds // MINUTE
    begins = (alarm.periods + EXTRA_PERIODS) * period
    over = begins + (symptom.bad + alarm.periods + EXTRA_PERIODS) * period
    recording = Recording()
    trouble(recording, {symptom.name: [alarm]}, range(over), range(begins, begins + (symptom.bad - 1) * period))
    run = Run(alarm, recording)
    assert {run.at(minute) for minute in range(begins, over, period)} == {"OK"}


GROUPS = [(name, group) for name, together in TOGETHER.items() for group in together.any_of]


@pytest.mark.parametrize(("name", "group"), GROUPS, ids=["-".join((name, *group)) for name, group in GROUPS])
def test_a_composite_is_raised_by_each_of_its_groups_and_over_with_it(
    alarms: dict[str, Alarm], composites: dict[str, Composite], name: str, group: tuple[str, ...]
) -> None:
    parts = [f"flotilla-{key}" for key in group]
    troubled = {SINGLE[each].name: [alarms[each]] for each in parts}
    period = max(alarms[each].period_seconds for each in parts) // MINUTE
    begins = max(alarms[each].periods + EXTRA_PERIODS for each in parts) * period
    ends = begins + max(SINGLE[each].bad + EXTRA_PERIODS for each in parts) * period
    over = ends + begins
    recording = Recording()
    trouble(recording, troubled, range(over), range(begins, ends))
    runs = {each: Run(alarms[each], recording) for each in parts}
    told = []
    for minute in range(begins, over + 1, period):
        states = dict.fromkeys(composites[name].children, "OK") | {each: run.at(minute) for each, run in runs.items()}
        told.append(composites[name].state(states))
    first, last = told.index("ALARM"), len(told) - 1 - told[::-1].index("ALARM")
    assert told[0] == told[-1] == "OK"
    # Raised once, and not again and again.
    assert set(told[first : last + 1]) == {"ALARM"}
    # By all of the group and by no less.
    for missing in parts:
        almost = dict.fromkeys(composites[name].children, "OK") | dict.fromkeys(parts, "ALARM") | {missing: "OK"}
        assert composites[name].state(almost) == "OK"


def test_a_short_window_ends_a_lateness_long_before_the_long_one_would(alarms: dict[str, Alarm]) -> None:
    long, short = alarms["flotilla-late-6h-critical"], alarms["flotilla-late-30m-critical"]
    recording = Recording()
    troubled = {"late-6h": [long], "late-30m": [short]}
    trouble(recording, troubled, range(900), range(400, 430))
    runs = Run(long, recording), Run(short, recording)
    raised = [minute for minute in range(400, 900) if [run.at(minute) for run in runs] == ["ALARM", "ALARM"]]
    assert 422 <= raised[0] <= 424
    assert raised[-1] <= 460
    assert runs[0].at(700) == "ALARM"


@pytest.mark.parametrize("day", [good_day, idle_night])
def test_nobody_is_told_of_anything_while_all_is_well(alarms: dict[str, Alarm], day: Callable[..., None]) -> None:
    recording = Recording()
    day(recording, alarms.values(), range(DAY))
    telling = [alarm for name, alarm in alarms.items() if SINGLE[name].told != "nobody" or "h-" in name]
    for alarm in telling:
        run = Run(alarm, recording)
        step = alarm.period_seconds // MINUTE
        begin = (alarm.periods + EXTRA_PERIODS) * step
        raised = [minute for minute in range(begin, DAY, step) if run.at(minute) != "OK"]
        assert raised == [], alarm.name


def test_a_task_that_waits_on_purpose_makes_no_lane_late(alarms: dict[str, Alarm]) -> None:
    windows = [alarm for name, alarm in alarms.items() if SINGLE[name].name in ("late-1h", "late-6h")]
    recording = Recording()
    waiting_on_purpose(recording, windows, range(DAY))
    assert {Run(alarm, recording).at(DAY) for alarm in windows} == {"OK"}


def test_an_idle_canary_is_only_missed_where_there_should_be_one(tmp_path: Path) -> None:
    settings = tmp_path / "fleet.toml"
    settings.write_text("[canary]\nevery_minutes = 0\n[scaler]\nenabled = false\n", "utf-8")
    fleet = load(settings, local=False)
    names = {each.name for each in watchlist(fleet, api_id="api", machines={})}
    assert not names & {"canary-missing", "canary-failing", "scaler-not-running"}


@pytest.mark.parametrize("window", [*FAST, *SLOW], ids=lambda window: window.name)
def test_a_window_is_as_bad_as_its_rate_of_the_budget(window: Window) -> None:
    spent = window.minutes * BUDGET * window.burn
    assert window.bad - 1 < spent <= window.bad


def test_no_alarm_looks_further_back_than_it_may(alarms: dict[str, Alarm]) -> None:
    for alarm in alarms.values():
        limit = DAY if alarm.period_seconds < 3600 else 7 * DAY
        assert alarm.periods * alarm.period_seconds // MINUTE <= limit
        assert len(alarm.inputs) <= 10


def test_only_the_composite_pages_and_all_else_informs(
    alarms: dict[str, Alarm], composites: dict[str, Composite]
) -> None:
    account = f"arn:aws:sns:{REGION}:{ACCOUNT}"
    for name, told in {**SINGLE, **TOGETHER}.items():
        properties = (alarms.get(name) or composites[name]).properties
        topic = "pages" if name == "flotilla-page" else "alarms"
        wanted = None if told.told == "nobody" else [f"{account}:flotilla-{topic}"]
        assert (properties.get("AlarmActions"), properties.get("OKActions")) == (wanted, wanted), name
    assert composites["flotilla-page"].children == {
        *(f"flotilla-late-{window}-{lane}" for window in ("1h", "5m") for lane in ("critical", "standard")),
        *(f"flotilla-{each}" for each in ("tasks-dying", "api-failing", "canary-failing", "broadcaster-lag")),
    }


def test_alarms_may_publish_to_their_topics(templates: Templates) -> None:
    for topic in ("alarms", "pages"):
        arn = templates.one("AWS::SNS::Topic", TopicName=f"flotilla-{topic}").reference
        (policy,) = [
            each for each in templates.resources("AWS::SNS::TopicPolicy") if each.properties["Topics"] == [arn]
        ]
        allowed = [each for each in policy.properties["PolicyDocument"]["Statement"] if each["Effect"] == "Allow"]
        assert [each["Principal"] for each in allowed] == [{"Service": "cloudwatch.amazonaws.com"}]


@pytest.mark.parametrize("name", [*SINGLE, *TOGETHER])
def test_each_says_what_it_means_and_leads_to_its_section(
    alarms: dict[str, Alarm], composites: dict[str, Composite], name: str
) -> None:
    properties = (alarms.get(name) or composites[name]).properties
    match = re.fullmatch(r"[^.]+\. What to do: (docs/operations/\S+\.md)#(\S+)", properties["AlarmDescription"])
    assert match is not None, properties["AlarmDescription"]
    assert match[2] in headings(match[1])
    assert len(properties["AlarmDescription"]) <= 1024


@cache
def headings(page: str) -> set[str]:
    lines = (REPOSITORY / page).read_text("utf-8").splitlines()
    titles = [line.lstrip("#").strip() for line in lines if re.match(r"#{1,4} ", line)]
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def test_each_metric_is_one_that_is_written(alarms: dict[str, Alarm]) -> None:
    read = {series for alarm in alarms.values() for series, _ in alarm.inputs.values()}
    ours = {series.metric for series in read if series.namespace == NAMESPACE}
    assert ours <= written()
    assert {series.dimensions for series in read if series.namespace == NAMESPACE} == {
        frozenset({("Fleet", "flotilla")})
    }


@cache
def written() -> set[str]:
    """Names of metrics in the code that runs on Lambda."""
    roots = [REPOSITORY / "layers" / "flotilla" / "python" / "flotilla", REPOSITORY / "functions"]
    texts = [path.read_text("utf-8") for root in roots for path in root.rglob("*.py")]
    return {name for text in texts for name in re.findall(r'"([A-Z][A-Za-z]+)"', text)}


def test_each_resource_is_one_that_is_there(alarms: dict[str, Alarm], templates: Templates) -> None:
    there = {
        "QueueName": _names(templates, "AWS::SQS::Queue", "QueueName"),
        "FunctionName": _names(templates, "AWS::Lambda::Function", "FunctionName"),
        "TableName": _names(templates, "AWS::DynamoDB::Table", "TableName"),
        "ApiId": {each.reference for each in templates.resources("AWS::ApiGatewayV2::Api")},
        "StateMachineArn": {each.arn for each in templates.resources("AWS::StepFunctions::StateMachine")},
        "Fleet": {"flotilla"},
    }
    for alarm in alarms.values():
        for series, _ in alarm.inputs.values():
            for name, value in series.dimensions:
                assert value in there[name], alarm.name


def _names(templates: Templates, kind: str, key: str) -> set[str]:
    return {each.properties[key] for each in templates.resources(kind)}


def test_each_function_that_fails_is_told_of(alarms: dict[str, Alarm], templates: Templates) -> None:
    for function in _names(templates, "AWS::Lambda::Function", "FunctionName"):
        package = function.removeprefix("flotilla-")
        assert f"flotilla-{TOLD_OTHERWISE.get(package, f'errors-{package}')}" in alarms, function


def test_each_queue_that_nothing_works_off_is_looked_at(alarms: dict[str, Alarm], templates: Templates) -> None:
    worked_off = {
        each.properties["EventSourceArn"].rsplit(":", 1)[1]
        for each in templates.resources("AWS::Lambda::EventSourceMapping")
        if ":sqs:" in each.properties["EventSourceArn"]
    }
    left = _names(templates, "AWS::SQS::Queue", "QueueName") - worked_off
    assert {f"flotilla-failures-kept-{name.removeprefix('flotilla-')}" for name in left} <= set(alarms)
