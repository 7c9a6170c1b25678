"""Between what lanes are scaled, as `fleet.toml` says it."""

from __future__ import annotations

import pytest

from stacks.config import ConfigError, parse
from stacks.settings_rules import lane_pool


def message_of(text: str) -> str:
    with pytest.raises(ConfigError) as error:
        parse(text)
    return str(error.value)


def test_a_lane_has_at_least_two_and_borrows_nothing_unless_it_says_so() -> None:
    lane = parse("[lanes.standard]\nmaximum_concurrency = 40\n").lanes["standard"]
    assert (lane.minimum_concurrency, lane.maximum_concurrency, lane.borrow_up_to) == (2, 40, 40)
    assert (lane.provisioned_concurrency, lane.objective_seconds) == (0, 300)


def test_what_is_kept_warm_may_be_used_at_all_times() -> None:
    lane = parse("[lanes.standard]\nprovisioned_concurrency = 8\n").lanes["standard"]
    assert (lane.provisioned_concurrency, lane.minimum_concurrency) == (8, 8)


def test_the_pool_is_what_no_other_function_has_and_lambda_does_not_keep() -> None:
    small, large = parse("[runtime]\naccount_concurrency = 800\n"), parse("[runtime]\naccount_concurrency = 2000\n")
    assert lane_pool(large) - lane_pool(small) == 1200
    assert 0 < lane_pool(small) < 700
    assert lane_pool(parse("[delays]\nmaximum_concurrency = 6\n")) == lane_pool(parse("")) - 5


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "[lanes.standard]\nmaximum_concurrency = 20\nminimum_concurrency = 30\n",
            "line 3: lanes.standard.minimum_concurrency: must be at most maximum_concurrency (20), not 30",
        ),
        (
            "[lanes.standard]\nmaximum_concurrency = 20\nborrow_up_to = 10\n",
            "line 3: lanes.standard.borrow_up_to: must be at least maximum_concurrency (20), not 10",
        ),
        (
            "[runtime]\naccount_concurrency = 400\n[lanes.standard]\nmaximum_concurrency = 20\nborrow_up_to = 390\n",
            "line 5: lanes.standard.borrow_up_to: must be at most 2",
        ),
        (
            "[lanes.standard]\nminimum_concurrency = 4\nprovisioned_concurrency = 5\n",
            "line 3: lanes.standard.provisioned_concurrency: must be at most minimum_concurrency (4), not 5",
        ),
        (
            "[lanes.standard]\nminimum_concurrency = 1\n",
            "line 2: lanes.standard.minimum_concurrency: 1 is not allowed; allowed: a whole number from 2 to 1000",
        ),
        (
            "[scaler]\nsettle_seconds = 60\n",
            "line 2: scaler.settle_seconds: must be less than the 60 seconds between two looks",
        ),
        (
            "[scaler]\nevery_minutes = 0\n",
            "line 2: scaler.every_minutes: 0 is not allowed; allowed: a whole number from 1 to 60",
        ),
        (
            "[scaler]\nmin_minutes = 0\n",
            "line 2: scaler.min_minutes: unknown key",
        ),
        (
            "[lanes.standard]\nmaximum_concurrency = 500\n[lanes.critical]\nmaximum_concurrency = 500\n",
            "concurrent executions (the lanes 1000",
        ),
    ],
)
def test_a_mistake_is_named_with_what_is_allowed(text: str, expected: str) -> None:
    assert expected in message_of(text)


def test_on_the_engine_the_scaler_rests_and_lanes_keep_what_a_laptop_can_carry() -> None:
    text = "[lanes.standard]\nminimum_concurrency = 20\nborrow_up_to = 300\nprovisioned_concurrency = 10\n"
    fleet = parse(text, local=True)
    lane = fleet.lanes["standard"]
    assert not fleet.scaler.enabled
    assert (lane.minimum_concurrency, lane.maximum_concurrency, lane.borrow_up_to) == (2, 3, 3)
    assert (lane.reserved_concurrency, lane.provisioned_concurrency) == (3, 0)
    assert parse(text + "[local.scaler]\nenabled = true\n", local=True).scaler.enabled
