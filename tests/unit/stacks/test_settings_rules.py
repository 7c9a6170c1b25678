"""Agents fit the lanes they run on."""

from __future__ import annotations

from typing import Any

import pytest

from stacks.config import parse
from stacks.settings_rules import agent_problems

FLEET = parse("[lanes.critical]\n[lanes.standard]\nmax_receive_count = 30\n[lanes.batch]\n")


def manifest(**agent: Any) -> dict[str, Any]:
    declared = {"lane": None, "timeout_seconds": 60.0, "max_attempts": 3, "integrations": [], "routes": []}
    return {"agents": {"a.b": declared | agent}}


@pytest.mark.parametrize(
    ("agent", "key", "said"),
    [
        ({"lane": "night"}, "lane", "no lane is named 'night'"),
        ({"timeout_seconds": 177.1}, "timeout_seconds", "must be at most 177"),
        ({"lane": "critical", "timeout_seconds": 120.0}, "timeout_seconds", "must be at most 117"),
        ({"max_attempts": 21}, "max_attempts", "must be at most 20"),
    ],
)
def test_an_agent_that_does_not_fit_its_lane_is_a_problem(agent: dict[str, Any], key: str, said: str) -> None:
    (problem,) = agent_problems(FLEET, manifest(**agent))
    assert problem.path == ("agents", "a.b", key)
    assert said in problem.message


@pytest.mark.parametrize(
    "agent", [{}, {"timeout_seconds": 177.0}, {"lane": "batch", "timeout_seconds": 297.0}, {"max_attempts": 20}]
)
def test_an_agent_that_fits_is_none(agent: dict[str, Any]) -> None:
    assert list(agent_problems(FLEET, manifest(**agent))) == []
