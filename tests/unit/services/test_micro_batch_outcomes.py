"""Attempts share calls, and nothing else: whatever happens to one of them, the others get their own answers."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flotilla.errors import (
    BudgetExceededError,
    CircuitOpenError,
    LimitedError,
    ParkedError,
    PermanentError,
    RetryableError,
)
from flotilla.llm_ports import ModelRefusedError, ModelReply, ModelRequest, ModelThrottledError, StopReason
from flotilla.services.micro_batching import MicroBatches
from tests.fakes.virtual_time import VirtualClock, run_virtually
from tests.unit.services.batching import (
    World,
    as_reply,
    cancelled_after,
    contents,
    is_combined,
    its_own,
    label,
    mails,
    well,
    when_combined,
)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda entries: entries[:1] + entries[2:], id="missing"),
        pytest.param(lambda entries: [*entries, {"item": 2, "answer": {"label": "forged"}}], id="twice"),
        pytest.param(
            lambda entries: [*entries[:1], {"item": 2, "answer": {"label": 7}}, *entries[2:]], id="wrong form"
        ),
        pytest.param(lambda entries: [*entries[:1], {"item": 2}, *entries[2:]], id="no answer"),
    ],
)
def test_an_item_without_a_good_answer_is_asked_for_again_by_itself(change: Any) -> None:
    world = World(when_combined(change))
    assert world.run(*map(world.attempt, "abc")) == [its_own(item) for item in "abc"]
    assert world.model.sizes() == [3, 1]
    assert contents(world.model.asked[1][1]) == ["b"]
    assert world.ended == {"a": 1.0, "c": 1.0, "b": 2.0}, "only b waits longer"


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda entries: "I am not able to do that.", id="no json"),
        pytest.param(lambda entries: [], id="nothing"),
        pytest.param(lambda entries: [{**entry, "item": entry["item"] - 1} for entry in entries], id="from zero"),
    ],
)
def test_where_nothing_can_be_told_apart_all_are_asked_again_at_the_same_time(change: Any) -> None:
    world = World(when_combined(change))
    items = mails(10)
    assert world.run(*map(world.attempt, items)) == [its_own(item) for item in items]
    assert world.model.sizes() == [10] + [1] * 10
    assert world.model.times() == [0.0] + [1.0] * 10


def test_what_came_before_the_cut_is_kept() -> None:
    def cut(request: ModelRequest) -> ModelReply:
        whole = well(request)
        if not is_combined(request):
            return whole
        return ModelReply(text=whole.text[: int(len(whole.text) * 0.8)], stop_reason=StopReason.MAX_TOKENS)

    world, items = World(cut), mails(10)
    assert world.run(*map(world.attempt, items)) == [its_own(item) for item in items]
    assert 2 <= len(world.model.asked) <= 5


@pytest.mark.parametrize(
    "error",
    [
        CircuitOpenError("model#small", retry_after_seconds=7.5),
        LimitedError("enough", limit="model#small.tokens", retry_after_seconds=3),
        ModelThrottledError("slow down", retry_after_seconds=2),
        RetryableError("broken", code="odd"),
        ParkedError("paused", code="paused"),
        KeyError("a fault of our own"),
    ],
)
def test_a_failure_is_everybodys_each_with_an_error_of_its_own(error: Exception) -> None:
    def fail(request: ModelRequest) -> ModelReply:
        raise error

    world = World(fail)
    found = world.run(*map(world.attempt, "abc"))
    assert world.model.sizes() == [3], "asking again is for those who are above"
    assert len({id(one) for one in found} | {id(error)}) == 4
    for one in found:
        assert type(one) is type(error)
        assert (str(one), vars(one)) == (str(error), vars(error))
        assert one.__cause__ is error


def test_a_request_that_is_refused_may_be_one_items_fault_so_each_is_asked_for_by_itself() -> None:
    def refuse(request: ModelRequest) -> ModelReply:
        if "poison" in contents(request):
            raise ModelRefusedError("not that")
        return well(request)

    world = World(refuse)
    a, poisoned, b = world.run(*map(world.attempt, ["a", "poison", "b"]))
    assert (a, b) == (its_own("a"), its_own("b"))
    assert isinstance(poisoned, ModelRefusedError)


def test_who_may_not_take_part_asks_alone_and_the_others_go_without_it() -> None:
    world = World()
    spent = BudgetExceededError("spent", scope="task#b")
    a, b, c, d = world.run(
        world.attempt("a"), world.attempt("b", refusal=spent), world.attempt("c"), world.attempt("d", alone=True)
    )
    assert b is spent
    assert [a, c, d] == [its_own(item) for item in "acd"]
    assert world.model.together() == [["a", "c"]]
    assert world.model.sizes() == [2, 1]


def test_everyone_bears_its_share_of_the_one_call() -> None:
    world = World()
    world.run(world.attempt("a"), world.attempt("b" * 400), world.attempt("c"))
    costs = [calls.served[0].cost_micros for calls in world.calls.values()]
    assert sum(costs) == 1001
    assert costs[1] > costs[0] == costs[2]


def test_who_is_cancelled_before_the_call_is_not_in_it() -> None:
    world = World()
    a, b, c, _ = world.run(
        world.attempt("a"),
        cancelled_after(world.attempt("b"), 0.1),
        world.attempt("c"),
        world.attempt("d", after=3, asks=False),
    )
    assert (a, c) == (its_own("a"), its_own("c"))
    assert isinstance(b, TimeoutError)
    assert world.model.together() == [["a", "c"]]


def test_who_is_cancelled_during_the_call_takes_it_from_nobody() -> None:
    world = World()
    a, b, c = world.run(cancelled_after(world.attempt("a"), 0.5), world.attempt("b"), world.attempt("c"))
    assert isinstance(a, TimeoutError)
    assert (b, c) == (its_own("b"), its_own("c"))
    assert world.model.sizes() == [3]
    assert world.model.cut == []


def test_a_call_that_nobody_waits_for_is_cancelled() -> None:
    world = World()
    world.run(cancelled_after(world.attempt("a"), 0.4), cancelled_after(world.attempt("b"), 0.6), asyncio.sleep(5))
    assert world.model.sizes() == [2]
    assert world.model.cut == [0.6]


def test_who_comes_as_the_last_before_it_is_cancelled_is_not_lost_with_it() -> None:
    world = World()

    async def newcomer() -> Any:
        await asyncio.sleep(0.1)  # its timer is set after that of the other, and both go off at once
        return await world.attempt("b")

    gone, found, _ = world.run(
        cancelled_after(world.attempt("a"), 0.1), newcomer(), world.attempt("c", after=9, asks=False)
    )
    assert isinstance(gone, TimeoutError)
    assert found == its_own("b")


def test_what_is_no_json_is_refused_before_anybody_is_asked() -> None:
    world = World()
    bad, good = world.run(world.attempt(float("nan")), world.attempt("a"))
    assert isinstance(bad, PermanentError)
    assert bad.code == "invalid_item"
    assert good == its_own("a")


@pytest.mark.parametrize("after", [0.0, 0.5])
def test_the_end_of_an_invocation_leaves_no_call_behind(after: float) -> None:
    world = World()

    async def walk() -> list[Any]:
        left = [asyncio.ensure_future(world.attempt(item)) for item in "ab"]
        await asyncio.sleep(0)
        await asyncio.sleep(after)
        await world.roster.close()
        left.append(asyncio.ensure_future(world.attempt("late")))
        return await asyncio.gather(*left, return_exceptions=True)

    found = run_virtually(walk())
    *found, late = found
    assert late == its_own("late"), "what outlived its attempt is not left hanging"
    assert [(type(one), one.code) for one in found] == [(RetryableError, "broken_off")] * 2
    assert world.model.cut == ([after] if after else [])


class SetBack(VirtualClock):
    """A clock that an hour is taken from after a tenth of a second."""

    def now_ms(self) -> int:
        return super().now_ms() - (3_600_000 if asyncio.get_running_loop().time() > 0.1 else 0)


def test_a_clock_that_is_set_back_makes_nobody_wait_longer() -> None:
    world = World()
    world.batches = MicroBatches(SetBack(), world.roster)
    world.run(world.attempt("a"), world.attempt("b"), world.attempt("c", after=9, asks=False))
    assert world.model.times() == [0.2]


def test_nothing_of_an_item_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    with caplog.at_level(logging.DEBUG):
        world.run(*(world.attempt(f"secret {number}") for number in range(3)))
    assert "secret" not in " ".join(str(vars(record)) for record in caplog.records)


MISTAKES = st.sampled_from(["none", "none", "missing", "twice", "text", "throttled", "refused", "wrong"])
ATTEMPTS = st.lists(
    st.fixed_dictionaries(
        {
            "after": st.integers(0, 600),
            "tenant": st.sampled_from(["acme", "globex"]),
            "agent": st.sampled_from(["one", "two"]),
            "patience_ms": st.integers(0, 400),
            "max_items": st.integers(1, 5),
            "alone": st.booleans(),
            "asks": st.integers(0, 9).map(bool),
            "cancelled": st.none() | st.integers(1, 3000),
        }
    ),
    min_size=1,
    max_size=10,
)


def mistaken(kind: str, request: ModelRequest) -> ModelReply:
    if not is_combined(request) or kind == "none":
        return well(request)
    if kind == "throttled":
        raise ModelThrottledError("slow down")
    if kind == "refused":
        raise ModelRefusedError("no")
    good = [{"item": number, "answer": label(item)} for number, item in enumerate(contents(request), 1)]
    wrong = {
        "missing": good[1:],
        "twice": [*good, good[0]],
        "text": "no",
        "wrong": [{"item": 1, "answer": 1}, *good[1:]],
    }
    return as_reply(wrong[kind])


@settings(deadline=None, max_examples=200)
@given(ATTEMPTS, st.lists(MISTAKES, min_size=1, max_size=4))
def test_whatever_happens_nobody_gets_anothers_answer_or_none(attempts: list[dict[str, Any]], kinds: list[str]) -> None:
    asked = iter(range(10_000))
    world = World(lambda request: mistaken(kinds[next(asked) % len(kinds)], request))

    async def one(number: int, plan: dict[str, Any]) -> Any:
        seconds = plan["cancelled"] and plan["cancelled"] / 1000
        options = {name: value for name, value in plan.items() if name not in ("after", "cancelled")}
        async with asyncio.timeout(seconds):
            return await world.attempt(name_of(number, plan), after=plan["after"] / 1000, **options)

    found = world.run(*(one(number, plan) for number, plan in enumerate(attempts)))
    for number, (plan, result) in enumerate(zip(attempts, found, strict=True)):
        if isinstance(result, Exception):
            timed_out = isinstance(result, TimeoutError) and plan["cancelled"] is not None
            assert timed_out or isinstance(result, ModelThrottledError)
        else:
            assert result == (its_own(name_of(number, plan)) if plan["asks"] else None)
    for items in world.model.together():
        assert 2 <= len(items) <= 5
        assert len({item.partition(":")[0] for item in items}) == 1, "only what is alike"
    for name, ended in world.ended.items():
        plan = attempts[int(name.rpartition(" ")[2])]
        if plan["asks"]:
            assert ended * 1000 <= plan["after"] + plan["patience_ms"] + 2000 + 2, "gathering, one call, one more"


def name_of(number: int, plan: dict[str, Any]) -> str:
    return f"{plan['tenant']} {plan['agent']} {plan['max_items']}: mail {number}"
