"""Which models are asked in which order, what a call may cost, and what it comes to when none answers."""

from __future__ import annotations

import pytest

from flotilla.errors import CircuitOpenError, FlotillaError, LimitedError, ParkedError, PermanentError, RetryableError
from flotilla.llm.declaration import Model, Price, routes_in
from flotilla.llm.routes import (
    Miss,
    cheapest_first,
    cost_micros,
    counted,
    eligible,
    estimated_input_tokens,
    larger,
    most_cost_micros,
    most_input_tokens,
    none_served,
    worth_another_round,
)
from flotilla.llm_ports import (
    Message,
    ModelMisconfiguredError,
    ModelReply,
    ModelRequest,
    ModelThrottledError,
    ModelUnavailableError,
    OutputSchema,
    Role,
    Tool,
    ToolCall,
    ToolResult,
)
from tests.unit.llm.declarations import routes

ROUTES = routes()
OPEN = CircuitOpenError("model#a", retry_after_seconds=7)
LIMITED = LimitedError("full", limit="model#b.tokens", retry_after_seconds=3)


def names(models: list[Model]) -> list[str]:
    return [model.name for model in models]


@pytest.mark.parametrize(
    ("route", "quality", "expected"),
    [
        ("best", None, ["large", "medium", "small"]),
        ("best", "medium", ["large", "medium"]),
        ("best", "high", ["large"]),
        ("good", None, ["medium", "large"]),
        ("good", "low", ["medium", "large"]),
        ("alone", "high", []),
    ],
)
def test_models_that_are_good_enough_keep_their_order(route: str, quality: str | None, expected: list[str]) -> None:
    assert names(eligible(ROUTES[route], quality)) == expected


def test_a_quality_that_there_is_not_is_the_callers_mistake() -> None:
    with pytest.raises(PermanentError):
        eligible(ROUTES["best"], "splendid")


def test_the_cheapest_is_the_one_with_which_the_call_costs_least() -> None:
    assert names(cheapest_first(ROUTES["best"].models, 100, 100)) == ["small", "medium", "large"]
    assert names(cheapest_first(ROUTES["best"].models, 0, 0)) == ["large", "medium", "small"], "else as they are"


def test_only_a_model_that_surely_takes_more_is_larger() -> None:
    large, medium, small = ROUTES["best"].models
    assert larger([medium, small], large) == [medium]
    assert larger([large, small], medium) == []
    assert larger([large, medium], small) == [], "nobody said how much it takes"


def test_costs_are_rounded_up_and_cached_tokens_are_cheaper() -> None:
    price = Price(input=1_000_000, output=5_000_000, cached_input=100_000)
    assert most_cost_micros(price, 10, 3) == 25
    assert cost_micros(price, ModelReply(text="", input_tokens=10, output_tokens=3)) == 25
    assert cost_micros(price, ModelReply(text="", input_tokens=10, output_tokens=3, cached_input_tokens=10)) == 16
    assert cost_micros(price, ModelReply(text="", input_tokens=10, cached_input_tokens=99)) == 1
    assert cost_micros(Price(1, 1, 1), ModelReply(text="", input_tokens=1)) == 1
    assert cost_micros(Price(0, 0, 0), ModelReply(text="", input_tokens=1)) == 0


def test_all_that_is_sent_counts_in_an_estimate() -> None:
    bare = ModelRequest(messages=[Message(Role.USER, "x" * 300)])
    assert 100 <= estimated_input_tokens(bare) <= 150
    more = ModelRequest(
        messages=[
            Message(Role.USER, "x" * 300),
            Message(Role.ASSISTANT, tool_calls=[ToolCall("1", "look", {"at": "y" * 300})]),
            Message(Role.USER, tool_results=[ToolResult("1", {"found": "z" * 300}), ToolResult("2", "u" * 300)]),
        ],
        system="s" * 300,
        tools=[Tool("look", "d" * 300, {"type": "object"})],
        output=OutputSchema("answer", {"description": "o" * 300}),
    )
    assert estimated_input_tokens(more) >= 700
    assert most_input_tokens(more) >= 1800 + 1024, "what providers say of tools and forms included"


@pytest.mark.parametrize("text", ["x" * 300, "🎉" * 75, "é" * 150, "a b " * 75])
def test_money_is_reserved_for_as_many_tokens_as_a_text_can_have(text: str) -> None:
    assert most_input_tokens(ModelRequest(messages=[Message(Role.USER, text)])) >= len(text.encode())


def test_an_answer_whose_provider_counts_is_counted_as_it_says() -> None:
    reply = ModelReply(text="x" * 300, output_tokens=5)
    assert counted(reply, 10) is reply
    assert counted(ModelReply(text="x" * 300), 10).output_tokens == 100


def test_what_held_all_models_back_is_waited_for_until_the_first_may_be_asked() -> None:
    error = none_served("fast", [Miss("a", OPEN), Miss("b", LIMITED)], others_do_better=False)
    assert isinstance(error, LimitedError)
    assert (error.limit, error.retry_after_seconds) == ("model#b.tokens", 3)
    misses = [Miss("a", OPEN), Miss("b", ModelMisconfiguredError("no access"))]
    error = none_served("fast", misses, others_do_better=False)
    assert isinstance(error, ParkedError)
    assert (error.code, error.retry_after_seconds) == ("circuit_open", 7)


@pytest.mark.parametrize("error", [ModelThrottledError("slower"), ModelMisconfiguredError("no access")])
def test_what_nobody_answered_for_is_nobodys_fault(error: FlotillaError) -> None:
    found = none_served("fast", [Miss("a", error)], others_do_better=True)
    assert isinstance(found, ParkedError)
    assert found.code == error.code
    assert found.retry_after_seconds > 1


def test_one_model_that_failed_while_it_served_others_is_enough_to_count_against_the_attempt() -> None:
    misses = [Miss("a", OPEN), Miss("b", ModelUnavailableError("broke", code="model_failed"))]
    error = none_served("fast", misses, others_do_better=True)
    assert isinstance(error, RetryableError)
    assert error.code == "model_failed"
    assert "b: broke" in error.message


def test_where_nobody_is_served_a_task_waits_longer_each_time() -> None:
    misses = [Miss("a", ModelUnavailableError("broke", code="model_failed"))]
    errors = [none_served("fast", misses, others_do_better=False, waits=waits) for waits in range(9)]
    assert {type(error) for error in errors} == {ParkedError}
    waits = [error.retry_after_seconds for error in errors if isinstance(error, ParkedError)]
    assert waits[:3] == [10, 20, 40]
    assert waits[-1] == 300


def test_a_model_that_had_next_to_no_time_says_nothing_of_itself() -> None:
    hurried = Miss("a", ModelUnavailableError("late", code="model_timeout"), hurried=True)
    assert isinstance(none_served("fast", [hurried], others_do_better=False), RetryableError)


def test_another_round_is_worth_it_where_a_model_failed() -> None:
    assert worth_another_round([Miss("a", OPEN), Miss("b", ModelUnavailableError("broke"))])
    assert not worth_another_round([Miss("a", OPEN), Miss("b", LIMITED)])


def test_models_that_no_route_has_are_not_read() -> None:
    assert routes_in('{"models": {"unused": {}}, "routes": {}}') == {}
