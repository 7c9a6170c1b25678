"""`GET /v1/usage`: who used what, the dearest first."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import pytest

from flotilla.llm.declaration import Price
from flotilla.services.usage import UsageService
from flotilla.services.usage_elsewhere import ModelPrice
from functions.api.application import Application
from functions.api.gateway import Request
from functions.api.routing import Route, Router
from functions.api.usage import UsageRoutes
from tests.fakes import ManualClock
from tests.fakes.usage import MemoryFinishedLogs, MemoryUsageHours
from tests.gateway_events import Answer, http_event, identity
from tests.logs import START_MS
from tests.unit.services.test_usage_folding import CALLED, PRICES, succeeded

CHEAP = ModelPrice("small", Price(input=1_000_000, output=5_000_000, cached_input=100_000))
HOUR = "2023-11-14T22:00:00Z"
KEYS = "archive/2023/11/14/22/{}.jsonl.gz"


@dataclass
class UsageApi:
    """The route, over an archive in memory."""

    clock: ManualClock = field(default_factory=lambda: ManualClock(START_MS + 60_000))
    logs: MemoryFinishedLogs = field(default_factory=MemoryFinishedLogs)
    hours: MemoryUsageHours = field(default_factory=MemoryUsageHours)

    def __post_init__(self) -> None:
        service = UsageService(logs=self.logs, hours=self.hours, prices=PRICES, clock=self.clock, most_live_objects=9)
        routes = UsageRoutes(service, lambda route, model: CHEAP if "small" in (route, model) else None, self.clock)
        router = Router([Route("GET", "/v1/usage", "operate", routes.show)])
        self._application = Application(lambda: router, self.clock)

    def get(self, query: str = "", scopes: str = "operate") -> Answer:
        event = http_event("GET", "/v1/usage", query=dict(parse_qsl(query)), authorizer=identity(scopes=scopes))
        request = Request.from_event(event, ends_ms=self.clock.now_ms() + 25_000)
        return Answer.of(asyncio.run(self._application.answer(request)).to_gateway(with_body=True))

    def used(self, query: str = "") -> dict[str, Any]:
        answer = self.get(query)
        assert answer.status == 200, answer.json()
        found: dict[str, Any] = answer.json()
        return found


@pytest.fixture
def api() -> UsageApi:
    return UsageApi()


def lay(api: UsageApi, **agents: int) -> None:
    """Archive so many tasks of each agent."""
    for agent, count in agents.items():
        logs = [succeeded(f"{agent}-{number}", CALLED, agent=agent, tenant=f"of-{agent}") for number in range(count)]
        api.logs.objects[KEYS.format(agent)] = logs


def test_the_last_day_is_told_by_agent_the_dearest_first(api: UsageApi) -> None:
    lay(api, rare=1, often=3)
    answer = api.used()
    assert [item["agent"] for item in answer["items"]] == ["often", "rare"]
    assert answer["items"][0] == {
        "agent": "often",
        "tasks": 3,
        "succeeded": 3,
        "dead_lettered": 0,
        "cancelled": 0,
        "expired": 0,
        "cached": 0,
        "attempts": 3,
        "cost_usd": round(3 * (0.000321 + 0.00000018 + 0.000002525), 9),
        "model_usd": 0.000963,
        "compute_usd": 0.00000054,
        "requests_usd": 0.000007575,
        "billed_ms": 36,
        "duration_ms": 120,
        "cpu_ms": 10.5,
        "model_calls": 6,
        "input_tokens": 300,
        "output_tokens": 90,
        "cached_input_tokens": 24,
    }
    assert answer["total"]["tasks"] == 4
    assert answer["pareto"] == {"task_share": 0.1, "cost_share": 0.1, "half_of_cost_by": 0.5}
    assert (answer["since"], answer["until"]) == ("2023-11-13T22:00:00.000Z", "2023-11-14T23:00:00.000Z")
    assert (answer["complete"], answer["next_cursor"]) == (True, None)


@pytest.mark.parametrize(
    ("group", "names"), [("tenant", {"of-a", "of-b"}), ("model", {"nova", "opus"}), ("lane", {"standard"})]
)
def test_it_is_told_by_tenant_model_and_lane_too(api: UsageApi, group: str, names: set[str]) -> None:
    lay(api, a=1, b=2)
    answer = api.used(f"group_by={group}")
    assert {item[group] for item in answer["items"]} == names
    assert sum(item["model_usd"] for item in answer["items"]) == pytest.approx(answer["total"]["model_usd"])


def test_a_lane_says_with_how_much_memory_its_attempts_ran_and_what_they_needed(api: UsageApi) -> None:
    lay(api, a=2)
    (lane,) = api.used("group_by=lane")["items"]
    assert lane["memory"] == [
        {
            "memory_mb": 1024,
            "attempts": 2,
            "billed_ms": 24,
            "duration_ms": 80,
            "cpu_ms": 7.0,
            "compute_usd": 0.00000036,
            "peak_memory_mb": 120,
        }
    ]


def test_with_another_model_the_same_tokens_have_its_price(api: UsageApi) -> None:
    lay(api, a=1)
    for query in ("as_route=small", "as_model=small"):
        answer = api.used(query)
        # 92 tokens at 1 dollar a million, 8 that were cached at a tenth of it, 30 answered at 5 dollars.
        assert answer["total"]["as_if_model_usd"] == pytest.approx(0.0002428)
        assert answer["items"][0]["as_if_model_usd"] == answer["total"]["as_if_model_usd"]
        assert answer["as_if"]["model"] == "small"
    assert "as_if" not in api.used()


def test_a_long_list_is_told_in_pages_of_the_same_hours(api: UsageApi) -> None:
    lay(api, a=3, b=2, c=1)
    first = api.used("limit=2")
    api.clock.advance(7200)
    second = api.used(f"limit=2&cursor={first['next_cursor']}")
    assert [item["agent"] for item in [*first["items"], *second["items"]]] == ["a", "b", "c"]
    assert second["next_cursor"] is None
    assert (second["since"], second["until"]) == (first["since"], first["until"])


def test_where_not_all_could_be_read_it_says_so(api: UsageApi) -> None:
    lay(api, **{f"agent-{number}": 1 for number in range(10)})
    answer = api.used()
    assert (answer["complete"], answer["total"]["tasks"]) == (False, 9)


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("group_by=session", "?group_by"),
        ("since=yesterday", "?since"),
        (f"since={HOUR}&until={HOUR}", "?since"),
        ("since=2023-11-14T23:00:00Z&until=2023-11-14T22:00:00Z", "?since"),
        ("since=2023-01-01T00:00:00Z", "?since"),
        ("as_route=large", "?as_route"),
        ("as_model=large", "?as_model"),
        ("as_route=small&as_model=small", "?as_model"),
        ("limit=101", "?limit"),
        ("cursor=abc", "?cursor"),
        ("cursor=WyJtb2RlbCIsMCwxLDBd", "?cursor"),
        ("cursor=WyJhZ2VudCIsLTEsMSwwXQ", "?cursor"),
    ],
)
def test_what_makes_no_question_is_refused_and_named(api: UsageApi, query: str, named: str) -> None:
    answer = api.get(query)
    assert answer.status == 422
    assert [error["path"] for error in answer.json()["errors"]] == [named]


def test_it_takes_the_scope_operate(api: UsageApi) -> None:
    assert api.get(scopes="tasks:read tasks:write").status == 403


def test_the_longest_span_is_a_month(api: UsageApi) -> None:
    assert api.used("since=2023-10-14T23:00:00Z")["total"]["tasks"] == 0
