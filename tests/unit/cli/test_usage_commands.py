"""The commands that say what tasks cost and what memory they need."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.unit.cli.fake_api import FakeApi
from tests.unit.cli.test_operating_commands import typed

SUMS = {
    "tasks": 10,
    "succeeded": 9,
    "dead_lettered": 1,
    "cancelled": 0,
    "expired": 0,
    "cached": 0,
    "attempts": 11,
    "cost_usd": 12.345678901,
    "model_usd": 12.3,
    "compute_usd": 0.0000033,
    "requests_usd": 0.000025,
    "billed_ms": 5000,
    "duration_ms": 9000,
    "cpu_ms": 310.5,
    "model_calls": 10,
    "input_tokens": 12_000,
    "output_tokens": 3_000,
    "cached_input_tokens": 0,
}
USE = {
    "memory_mb": 1024,
    "attempts": 10_000,
    "billed_ms": 8_000_000,
    "duration_ms": 9_000_000,
    "cpu_ms": 80_000,
    "compute_usd": 0.1,
    "peak_memory_mb": 150,
}


def usage(*items: dict[str, Any], next_cursor: str | None = None, **members: Any) -> httpx.Response:
    answer = {
        "items": items,
        "next_cursor": next_cursor,
        "total": SUMS,
        "pareto": {"task_share": 0.1, "cost_share": 0.64, "half_of_cost_by": 0.071},
        "since": "2026-11-14T22:00:00.000Z",
        "until": "2026-11-15T22:00:00.000Z",
        "complete": True,
    }
    return httpx.Response(200, json=answer | members)


def test_usage_is_a_table_with_a_total_and_says_who_made_the_cost(capsys: pytest.CaptureFixture[str]) -> None:
    api = FakeApi(usage(SUMS | {"agent": "document.analyze"}))
    assert typed(api, "usage") == 0
    shown = capsys.readouterr().out
    assert "document.analyze" in shown
    assert "total" in shown
    assert "$12.35" in shown
    assert "10% of the tasks made 64% of the cost; half of it was made by 7.1% of them." in shown
    assert api.calls == ["GET /v1/usage?group_by=agent"]
    assert dict(api.requests[0].url.params) == {"group_by": "agent"}
    assert api.requests[0].headers["authorization"] == "Bearer flt_operator"


def test_all_pages_are_asked_for_and_told_as_one_answer(capsys: pytest.CaptureFixture[str]) -> None:
    api = FakeApi(usage(SUMS | {"tenant": "a"}, next_cursor="more"), usage(SUMS | {"tenant": "b"}))
    assert typed(api, "usage", "--by", "tenant", "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert [item["tenant"] for item in answer["items"]] == ["a", "b"]
    assert answer["total"] == SUMS
    assert [dict(request.url.params) for request in api.requests] == [
        {"group_by": "tenant"},
        {"group_by": "tenant", "cursor": "more"},
    ]


def test_with_another_route_both_costs_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    whole = SUMS | {"as_if_model_usd": 45.6}
    api = FakeApi(usage(whole | {"agent": "a"}, total=whole, as_if={"route": "best", "model": "opus"}))
    assert typed(api, "usage", "--as-route", "best", "--since", "2026-11-14T22:00:00Z") == 0
    shown = capsys.readouterr().out
    assert "The same tokens with opus: $45.60 instead of $12.30." in shown
    wanted = {"group_by": "agent", "since": "2026-11-14T22:00:00Z", "as_route": "best"}
    assert dict(api.requests[0].url.params) == wanted


def test_a_span_is_so_many_hours_or_days_ago() -> None:
    api = FakeApi(usage(), usage())
    assert typed(api, "usage", "--since", "36h", "--json") == 0
    assert typed(api, "usage", "--since", "7d", "--json") == 0
    first, second = (request.url.params["since"] for request in api.requests)
    assert first > second
    assert len(first) == len("2026-11-14T22:00:00Z")


def test_what_is_no_time_is_told_before_anything_is_asked(capsys: pytest.CaptureFixture[str]) -> None:
    api = FakeApi()
    assert typed(api, "usage", "--since", "lately") == 2
    assert "'lately' is no time" in capsys.readouterr().err
    assert api.calls == []


def test_what_is_not_whole_is_said_to_be_so(capsys: pytest.CaptureFixture[str]) -> None:
    api = FakeApi(usage(complete=False, pareto={"task_share": 0.1, "cost_share": None, "half_of_cost_by": None}))
    assert typed(api, "usage") == 0
    shown = capsys.readouterr().out
    assert "not whole" in shown
    assert "of the cost" not in shown


def test_a_profile_recommends_memory_and_says_what_it_saves(capsys: pytest.CaptureFixture[str]) -> None:
    api = FakeApi(usage({"lane": "standard", "memory": [USE]}, {"lane": "batch", "memory": [USE | {"attempts": 5}]}))
    assert typed(api, "profile", "--json") == 0
    standard, batch = json.loads(capsys.readouterr().out)["items"]
    assert (standard["recommended_mb"], standard["why"]) == (256, "cheaper")
    # Three quarters of ten cents, a day: some $2.2 a month, and $7.2 for a million attempts.
    assert standard["saves_usd_a_month"] == pytest.approx(0.1 * 0.74 * 730 / 24, rel=0.03)
    assert standard["saves_usd_a_million"] == pytest.approx(7.4, rel=0.03)
    assert (batch["recommended_mb"], batch["why"]) == (1024, "too_little_data")
    assert dict(api.requests[0].url.params)["group_by"] == "lane"


def test_a_profile_is_a_table_that_says_how_it_was_reckoned(capsys: pytest.CaptureFixture[str]) -> None:
    api = FakeApi(usage({"lane": "standard", "memory": [USE | {"peak_memory_mb": None}]}, {"lane": "b", "memory": []}))
    assert typed(api, "profile", "--margin", "1.5", "--since", "24h") == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "too little data" in shown
    assert "Never below 1.5 times the peak" in shown
