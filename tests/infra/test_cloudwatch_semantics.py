"""The evaluator of alarms agrees with CloudWatch's documentation, example by example."""

from __future__ import annotations

import pytest

from tests.cloudwatch.alarm_rule import UnknownRuleError, alarms_in, holds
from tests.cloudwatch.alarm_state import Point, State, state
from tests.cloudwatch.metric_math import Expression, UnknownMathError
from tests.cloudwatch.recorded import Recording, Series, percentile

TREATMENTS = ("missing", "ignore", "breaching", "notBreaching")

KEPT = "retained"
"""Whatever state it was in."""

# "Configuring how CloudWatch alarms treat missing data": 0 is good, X is breaching, - is missing; the newest last.
THREE_OF_THREE = {
    "0 - X - X": ("OK", "OK", "OK", "OK"),
    "0 - - - -": ("OK", "OK", "OK", "OK"),
    "- - - - -": ("INSUFFICIENT_DATA", KEPT, "ALARM", "OK"),
    "0 X X - X": ("ALARM", "ALARM", "ALARM", "ALARM"),
    "- - X - -": ("ALARM", KEPT, "ALARM", "OK"),
}
TWO_OF_THREE = {
    "0 - X - X": ("ALARM", "ALARM", "ALARM", "ALARM"),
    "0 0 X 0 X": ("ALARM", "ALARM", "ALARM", "ALARM"),
    "0 - X - -": ("OK", "OK", "ALARM", "OK"),
    "- - - - 0": ("OK", "OK", "ALARM", "OK"),
    "- - - X -": ("ALARM", KEPT, "ALARM", "OK"),
}
# "Avoiding premature transitions to alarm state".
NOT_YET = {
    "- - - - X": ("OK", "OK"),
    "- - - X -": ("OK", "OK"),
}


def read(points: str) -> list[Point]:
    return [{"0": False, "X": True, "-": None}[each] for each in points.split()]


@pytest.mark.parametrize("now", ["OK", "ALARM"])
@pytest.mark.parametrize(("bad", "table"), [(3, THREE_OF_THREE), (2, TWO_OF_THREE)], ids=["3 of 3", "2 of 3"])
def test_missing_data_are_treated_as_in_the_documented_tables(
    bad: int, table: dict[str, tuple[str, ...]], now: State
) -> None:
    for points, documented in table.items():
        for missing, expected in zip(TREATMENTS, documented, strict=True):
            came = state(read(points), bad=bad, periods=3, missing=missing, now=now)
            assert came == (now if expected == KEPT else expected), (points, missing)


@pytest.mark.parametrize("points", NOT_YET)
def test_a_lone_breaching_point_does_not_raise_a_three_of_three_too_early(points: str) -> None:
    for missing, expected in zip(("missing", "ignore"), NOT_YET[points], strict=True):
        assert state(read(points), bad=3, periods=3, missing=missing, now="OK") == expected


def test_statistics_are_taken_of_the_values_of_a_period() -> None:
    series = Series("N", "m", frozenset())
    recording = Recording()
    recording.put(series, 0, 1, 2)
    recording.put(series, 1, 3, 6)
    of_both = {
        name: recording.statistic(series, name, 120, 2)
        for name in ("Sum", "Maximum", "Minimum", "Average", "SampleCount", "p50")
    }
    assert of_both == {"Sum": 12, "Maximum": 6, "Minimum": 1, "Average": 3, "SampleCount": 4, "p50": 2.5}
    assert recording.statistic(series, "Sum", 60, 2) == 9
    assert recording.statistic(series, "Sum", 60, 3) is None
    with pytest.raises(NotImplementedError):
        recording.statistic(series, "IQM", 60, 2)


def test_a_percentile_of_many_values_is_one_of_them_or_between_two() -> None:
    values = [float(value) for value in range(1, 101)]
    assert percentile(values, 0) == 1
    assert percentile(values, 100) == 100
    assert percentile(values, 99) == pytest.approx(99.01)
    assert percentile([7.0], 95) == 7


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2 + 3 * 4", 14),
        ("(2 + 3) * 4", 20),
        ("a > 1 AND b > 1", 0),
        ("a > 1 OR b > 1", 1),
        ("IF(a >= 2 AND a * 2 > b, 1, 0)", 1),
        ("SUM([a, none])", 2),
        ("MAX([a, b, 9])", 9),
        ("FILL(none, 5)", 5),
        ("none * 2", None),
        ("a / b", None),
        ("a - 1", 1),
    ],
)
def test_metric_math(text: str, value: float | None) -> None:
    assert Expression(text).at({"a": 2, "b": 0, "none": None}) == value


def test_what_a_comparison_makes_of_a_missing_value_can_be_chosen() -> None:
    assert Expression("none < 1", absent_is_zero=True).at({"none": None}) == 1
    assert Expression("none < 1", absent_is_zero=False).at({"none": None}) is None


@pytest.mark.parametrize("text", ["ANOMALY_DETECTION_BAND(a)", "a >", "IF(a, 1)", "a b", "b ? 1", "(a", "unknown"])
def test_math_that_is_not_understood_is_an_error(text: str) -> None:
    with pytest.raises(UnknownMathError):
        Expression(text).at({"a": 1, "b": 1})


def test_a_rule_is_true_or_not() -> None:
    states = {"a": "ALARM", "b": "OK", "c": "INSUFFICIENT_DATA"}
    for rule, expected in {
        'ALARM("a")': True,
        '(ALARM("a") AND ALARM("b"))': False,
        '(ALARM("a") AND NOT ALARM("b")) OR ALARM("c")': True,
        'NOT (OK("b") OR ALARM("a"))': False,
        'INSUFFICIENT_DATA("c") AND OK("b")': True,
    }.items():
        assert holds(rule, states.__getitem__) is expected, rule
    assert alarms_in('(ALARM("a") AND NOT ALARM("b"))') == {"a", "b"}


@pytest.mark.parametrize("rule", ['ALERT("a")', '(ALARM("a")', 'ALARM("a") ALARM("b")', 'ALARM("a") + OK("a")', ""])
def test_a_rule_that_is_not_understood_is_an_error(rule: str) -> None:
    with pytest.raises(UnknownRuleError):
        holds(rule, lambda _name: "ALARM")
