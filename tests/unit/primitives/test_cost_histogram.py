"""The spread of costs: what is added up is exact, and the dearest tasks' share nearly so."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flotilla.primitives.cost_histogram import CostHistogram

COSTS = st.lists(st.integers(0, 10**13), min_size=1, max_size=200)


def spread(costs: list[int]) -> CostHistogram:
    histogram = CostHistogram()
    for nanos in costs:
        histogram.add(nanos)
    return histogram


@given(COSTS, COSTS)
def test_what_is_merged_is_as_if_it_had_been_counted_together(some: list[int], others: list[int]) -> None:
    merged = spread(some)
    merged.merge(CostHistogram.from_json(spread(others).to_json()))
    assert merged == spread([*some, *others])
    assert (merged.tasks, merged.nanos) == (len(some) + len(others), sum(some) + sum(others))


@given(COSTS)
def test_the_share_of_the_dearest_tenth_is_nearly_that_of_the_sorted_tasks(costs: list[int]) -> None:
    found, whole = spread(costs).share_of_dearest(0.1), sum(costs)
    if not whole:
        assert found is None
        return
    ordered, tenth = sorted(costs, reverse=True), len(costs) / 10
    dearest = sum(ordered[: int(tenth)]) + (ordered[int(tenth)] if tenth % 1 else 0) * (tenth % 1)
    assert found == pytest.approx(dearest / whole, abs=0.05)


def test_one_task_of_ten_that_costs_what_the_others_do_together_makes_half_of_the_cost() -> None:
    histogram = spread([9_000_000, *[1_000_000] * 9])
    assert histogram.share_of_dearest(0.1) == pytest.approx(0.5)
    assert histogram.tasks_for(0.5) == pytest.approx(0.1)


def test_of_tasks_that_cost_alike_each_tenth_makes_a_tenth() -> None:
    histogram = spread([12_345] * 1000)
    assert histogram.share_of_dearest(0.1) == pytest.approx(0.1)
    assert histogram.tasks_for(0.5) == pytest.approx(0.5)


def test_where_nothing_costs_anything_there_are_no_shares() -> None:
    for histogram in (CostHistogram(), spread([0, 0])):
        assert (histogram.share_of_dearest(0.1), histogram.tasks_for(0.5)) == (None, None)
