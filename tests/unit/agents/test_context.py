"""What an agent is handed: steps that run once, keys that stay, and logs that say whose they are."""

from __future__ import annotations

import asyncio
import dataclasses
import enum
import functools
import logging
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, computed_field

from flotilla.agents.context import Context, SyncContext
from flotilla.errors import AttemptRevokedError, PermanentError
from tests.unit.agents.contexts import LEASE_SECONDS, StepsOfATask


@pytest.fixture
def task() -> StepsOfATask:
    return StepsOfATask()


class Calls(list[Any]):
    """Counts what really ran."""

    def answering(self, value: Any) -> Callable[..., Any]:
        def function(*args: Any) -> Any:
            self.append(args or value)
            return value

        return function


@pytest.fixture
def calls() -> Calls:
    return Calls()


def test_a_step_runs_once_and_is_replayed_in_every_later_attempt(task: StepsOfATask, calls: Calls) -> None:
    async def agent(ctx: Context) -> Any:
        return await ctx.step("fetch", calls.answering("page"), "url")

    assert [task.attempt(agent) for _ in range(3)] == ["page"] * 3
    assert calls == [("url",)]
    assert task.kinds().count("step_recorded") == 1


def test_a_name_used_again_is_its_next_occurrence(task: StepsOfATask, calls: Calls) -> None:
    async def agent(ctx: Context) -> Any:
        return [await ctx.step("add", calls.answering(number), number) for number in range(3)]

    assert task.attempt(agent) == task.attempt(agent) == [0, 1, 2]
    assert calls == [(0,), (1,), (2,)]


def test_same_named_steps_at_once_are_replayed_each_to_its_own_caller(task: StepsOfATask, calls: Calls) -> None:
    async def fetch(number: int) -> int:
        for _ in range(10 - number):  # the last is done first
            await asyncio.sleep(0)
        calls.append(number)
        return number

    async def agent(ctx: Context) -> Any:
        return await asyncio.gather(*(ctx.step("fetch", fetch, number) for number in range(5)))

    assert task.attempt(agent) == task.attempt(agent) == [0, 1, 2, 3, 4]
    assert calls == [4, 3, 2, 1, 0]


def test_a_name_that_looks_like_an_occurrence_is_not_taken_for_one(task: StepsOfATask, calls: Calls) -> None:
    async def agent(ctx: Context) -> Any:
        return [
            await ctx.step("add", calls.answering("first")),
            await ctx.step("add", calls.answering("second")),
            await ctx.step("add#2", calls.answering("third")),
        ]

    assert task.attempt(agent) == task.attempt(agent) == ["first", "second", "third"]


def test_a_step_that_failed_is_not_recorded_and_runs_again(task: StepsOfATask, calls: Calls) -> None:
    def fails() -> str:
        calls.append("ran")
        if len(calls) == 1:
            raise OSError("gone")
        return "there"

    async def agent(ctx: Context) -> Any:
        return await ctx.step("fetch", fails)

    with pytest.raises(OSError, match="gone"):
        task.attempt(agent)
    assert task.kinds() == ["accepted", "started"]
    assert task.attempt(agent) == task.attempt(agent) == "there"
    assert calls == ["ran", "ran"]


def test_a_step_that_the_agent_itself_tried_again_is_found_by_the_next_attempt(
    task: StepsOfATask, calls: Calls
) -> None:
    """An agent's own retry loop: what at last succeeded must not run once more after a crash."""

    def fails_once() -> str:
        calls.append("ran")
        if len(calls) == 1:
            raise OSError("gone")
        return "there"

    async def agent(ctx: Context) -> Any:
        while True:
            try:
                return await ctx.step("fetch", fails_once)
            except OSError:
                pass

    assert task.attempt(agent) == task.attempt(agent) == "there"
    assert calls == ["ran", "ran"]


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Point:
    x: int
    seen: datetime


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    when: datetime
    tags: set[str]


class Aliased(BaseModel):
    name: str = Field(serialization_alias="fullName")


class Computed(BaseModel):
    model_config = ConfigDict(extra="forbid")
    side: int

    @computed_field
    def area(self) -> int:
        return self.side**2


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)
    when: datetime
    kind: Colour
    id: UUID
    pair: tuple[int, int]


WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def model() -> Inner:
    return Inner(when=WHEN, tags={"a", "b"})


def models() -> list[Inner]:
    return [model(), model()]


def optional() -> Inner | None:
    return None


def moment() -> datetime:
    return WHEN


def day() -> date:
    return WHEN.date()


def span() -> timedelta:
    return timedelta(hours=1, microseconds=3)


def colour() -> Colour:
    return Colour.RED


def point() -> Point:
    return Point(1, WHEN)


def pair() -> tuple[int, str]:
    return (1, "one")


def words() -> set[str]:
    return {"a", "b"}


def money() -> Decimal:
    return Decimal("1.10")


def raw() -> bytes:
    return b"text"


def binary() -> bytes:
    return b"\xff\x00\xfe"


def nothing() -> None:
    return None


def by_number() -> dict[int, str]:
    return {1: "one"}


def aliased() -> Aliased:
    return Aliased(name="x")


def computed() -> Computed:
    return Computed(side=2)


def strict() -> Strict:
    return Strict(when=WHEN, kind=Colour.RED, id=UUID(int=7), pair=(1, 2))


def anything() -> Any:
    return {"pair": (1, 2)}


def unannotated():  # type: ignore[no-untyped-def]
    return {"pair": (1, 2), "when": WHEN}


TYPED = [
    model,
    models,
    optional,
    moment,
    day,
    span,
    colour,
    point,
    pair,
    words,
    money,
    raw,
    nothing,
    by_number,
    aliased,
    computed,
    strict,
]


@pytest.mark.parametrize("function", TYPED, ids=lambda function: function.__name__)
def test_a_replayed_result_has_the_type_that_the_step_declares(task: StepsOfATask, function: Callable[[], Any]) -> None:
    async def agent(ctx: Context) -> Any:
        return await ctx.step("s", function)

    first, replayed = task.attempt(agent), task.attempt(agent)
    assert first == replayed == function()
    assert type(first) is type(replayed) is type(function())


@pytest.mark.parametrize("function", [anything, unannotated], ids=lambda function: function.__name__)
def test_an_undeclared_result_is_plain_json_in_the_first_run_as_in_a_replay(
    task: StepsOfATask, function: Callable[[], Any]
) -> None:
    async def agent(ctx: Context) -> Any:
        return await ctx.step("s", function)

    first, replayed = task.attempt(agent), task.attempt(agent)
    assert first == replayed
    assert first["pair"] == [1, 2]


def not_a_number() -> float:
    return float("nan")


def no_json() -> Any:
    return object()


def circular() -> Any:
    ring: list[Any] = []
    ring.append(ring)
    return ring


def surrogate() -> str:
    return "caf\udce9"


@pytest.mark.parametrize(
    "function", [binary, not_a_number, no_json, circular, surrogate], ids=lambda function: function.__name__
)
def test_a_result_that_cannot_be_kept_is_refused_for_good(task: StepsOfATask, function: Callable[[], Any]) -> None:
    """The step's effect has happened: another attempt would only repeat it."""

    async def agent(ctx: Context) -> Any:
        return await ctx.step("s", function)

    with pytest.raises(PermanentError):
        task.attempt(agent)
    assert task.kinds() == ["accepted", "started"]


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
    | st.datetimes(timezones=st.just(UTC))
    | st.decimals(allow_nan=False, allow_infinity=False, places=2)
    | st.uuids(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(VALUES)
def test_an_attempt_cannot_tell_a_replay_from_a_first_run(value: Any) -> None:
    async def agent(ctx: Context) -> Any:
        return await ctx.step("s", lambda: value)

    task = StepsOfATask()
    assert repr(task.attempt(agent)) == repr(task.attempt(agent))


def test_a_replay_goes_through_a_result_in_the_order_of_the_first_run(task: StepsOfATask) -> None:
    """Steps of one name are told apart by their order: in another order each would get another's result."""

    async def agent(ctx: Context) -> Any:
        found = await ctx.step("find", lambda: {"b": 2, "a": 1})
        return {name: await ctx.step("use", str.upper, name) for name in found}

    assert task.attempt(agent) == task.attempt(agent) == {"a": "A", "b": "B"}


def test_a_large_result_comes_back_whole(task: StepsOfATask, calls: Calls) -> None:
    async def agent(ctx: Context) -> Any:
        return await ctx.step("s", calls.answering("x" * 100_000))

    assert task.attempt(agent) == task.attempt(agent) == "x" * 100_000
    assert len(calls) == 1


class Client:
    """Has methods, as the things that agents call have."""

    async def fetch(self, url: str) -> str:
        return url.upper()

    async def __call__(self, url: str) -> str:
        return url.upper()


async def fetch(url: str, suffix: str = "") -> str:
    return url.upper() + suffix


@pytest.mark.parametrize(
    "function",
    [fetch, functools.partial(fetch), Client().fetch, Client(), lambda url: fetch(url, "")],
    ids=["coroutine function", "partial", "method", "callable object", "lambda"],
)
def test_what_answers_an_awaitable_is_awaited(task: StepsOfATask, function: Callable[..., Any]) -> None:
    async def agent(ctx: Context) -> Any:
        return await ctx.step("s", function, "url")

    assert task.attempt(agent) == task.attempt(agent) == "URL"


def test_arguments_by_name_are_passed_on(task: StepsOfATask) -> None:
    async def agent(ctx: Context) -> Any:
        return await ctx.step("s", fetch, "url", suffix="!")

    assert task.attempt(agent) == "URL!"


def test_a_plain_function_does_not_hold_up_the_loop(task: StepsOfATask) -> None:
    async def agent(ctx: Context) -> Any:
        return await ctx.step("s", threading.get_ident)

    assert task.attempt(agent) != threading.get_ident()


def test_an_attempt_that_is_over_takes_no_step(task: StepsOfATask, calls: Calls) -> None:
    async def agent(ctx: Context) -> None:
        task.supervision.end()
        await ctx.step("s", calls.answering(1))

    with pytest.raises(AttemptRevokedError):
        task.attempt(agent)
    assert calls == []


def test_a_step_that_ends_after_its_attempt_is_not_recorded(task: StepsOfATask) -> None:
    async def agent(ctx: Context) -> None:
        await ctx.step("s", task.supervision.end)

    with pytest.raises(AttemptRevokedError):
        task.attempt(agent)
    assert task.kinds() == ["accepted", "started"]


def on_a_thread(agent: Callable[[SyncContext], Any]) -> Callable[[Context], Any]:
    """Run a plain agent as a worker does: on a thread, with the loop free."""

    async def run(ctx: Context) -> Any:
        return await asyncio.to_thread(agent, SyncContext(ctx, asyncio.get_running_loop()))

    return run


def test_a_plain_agent_takes_steps_from_its_thread(task: StepsOfATask, calls: Calls) -> None:
    def agent(ctx: SyncContext) -> Any:
        here = ctx.step("where", threading.get_ident)
        return [
            here == threading.get_ident() or ctx.attempt > 1,
            ctx.step("add", calls.answering(1)),
            ctx.step("add", calls.answering(2)),
            ctx.step("fetch", fetch, "url", suffix="!"),
            ctx.step("model", model),
        ]

    expected = [True, 1, 2, "URL!", model()]
    assert task.attempt(on_a_thread(agent)) == task.attempt(on_a_thread(agent)) == expected
    assert calls == [1, 2]


def test_a_plain_agent_sees_its_steps_fail(task: StepsOfATask) -> None:
    def fails() -> None:
        raise OSError("gone")

    def agent(ctx: SyncContext) -> Any:
        try:
            ctx.step("s", fails)
        except OSError as error:
            return str(error)

    assert task.attempt(on_a_thread(agent)) == "gone"


def test_both_contexts_say_the_same(task: StepsOfATask) -> None:
    async def agent(ctx: Context) -> None:
        plain = SyncContext(ctx, asyncio.get_running_loop())
        for name in ("task_id", "tenant", "agent", "session_id", "attempt", "deadline_ms", "logger"):
            assert getattr(plain, name) == getattr(ctx, name)
        assert plain.idempotency_key("s") == ctx.idempotency_key("s")
        assert plain.remaining_seconds() == ctx.remaining_seconds()

    task.attempt(agent)
    surface = {name for name in vars(Context) if not name.startswith("_")}
    assert surface == {name for name in vars(SyncContext) if not name.startswith("_")}


def test_an_idempotency_key_is_the_same_in_every_attempt_and_another_for_another_step(task: StepsOfATask) -> None:
    async def agent(ctx: Context) -> Any:
        return [ctx.idempotency_key(), ctx.idempotency_key("pay"), ctx.idempotency_key("mail")]

    first, second = task.attempt(agent), task.attempt(agent)
    assert first == second
    assert len(set(first)) == 3


def test_idempotency_keys_survive_a_new_version(task: StepsOfATask) -> None:
    """A retry may meet another version of this code: a key that changed would be a second payment."""

    async def agent(ctx: Context) -> Any:
        return ctx.idempotency_key("pay")

    assert task.task_id == "tsk_sample"
    assert task.attempt(agent) == "90f634ad70bcb578de1bc1b2f9185942"


def test_the_remaining_time_runs_out_and_not_further(task: StepsOfATask) -> None:
    async def agent(ctx: Context) -> Any:
        before = ctx.remaining_seconds()
        task.clock.advance(LEASE_SECONDS / 2)
        halfway = ctx.remaining_seconds()
        task.clock.advance(LEASE_SECONDS)
        return [before, halfway, ctx.remaining_seconds()]

    assert task.attempt(agent) == [LEASE_SECONDS, LEASE_SECONDS / 2, 0.0]


class Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture
def lines() -> Iterator[Lines]:
    handler, logger = Lines(), logging.getLogger("flotilla.test")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield handler
    logger.removeHandler(handler)


def test_every_line_an_agent_logs_says_whose_it_is(task: StepsOfATask, lines: Lines) -> None:
    async def agent(ctx: Context) -> None:
        ctx.logger.info("read", extra={"pages": 3})
        ctx.logger.warning("again")

    task.attempt(agent)
    assert [record.getMessage() for record in lines.records] == ["read", "again"]
    for record in lines.records:
        said = vars(record)
        assert (said["task_id"], said["tenant"], said["attempt"]) == (task.task_id, "acme", 1)
        assert said["agent"] == "sample.echo"
        assert "trace_id" in said
        assert "input" not in said
    assert vars(lines.records[0])["pages"] == 3
