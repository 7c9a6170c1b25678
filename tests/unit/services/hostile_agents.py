"""Agents that do what no agent should; each must harm nothing but its own task."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import BaseModel, PlainSerializer, field_validator

from flotilla.agents import Context, SyncContext, agent
from flotilla.errors import ParkedError, PermanentError, RetryableError

RUNS: list[str] = []
RELEASE = threading.Event()


class Case(BaseModel):
    """Which of the deeds below to do."""

    case: str


class Anything(BaseModel):
    value: Any = None


class UnprintableError(Exception):
    """Cannot say what it is."""

    def __str__(self) -> str:
        raise ValueError("no text")


DEEDS: dict[str, Callable[[], BaseException]] = {
    # A library let a cancellation of its own escape.
    "cancelled": asyncio.CancelledError,
    "base-exception": lambda: BaseException("neither Exception nor exit"),
    "generator-exit": GeneratorExit,
    "exit-in-a-group": lambda: BaseExceptionGroup("children", [SystemExit(3)]),
    # Text decoded with `surrogateescape`, as of a file that is not UTF-8.
    "lone-surrogate": lambda: ValueError("caf\udce9.txt"),
    "lone-surrogate-code": lambda: PermanentError("no", code="caf\udce9"),
    # `raise PermanentError(error) from error`
    "error-as-message": lambda: PermanentError(ValueError("inner")),  # type: ignore[arg-type]
    "none-as-message": lambda: RetryableError(None),  # type: ignore[arg-type]
    "number-as-code": lambda: PermanentError("no", code=503),  # type: ignore[arg-type]
    # A header, passed on as it came.
    "text-as-retry-after": lambda: RetryableError("busy", retry_after_seconds="120"),  # type: ignore[arg-type]
    "endless-retry-after": lambda: RetryableError("busy", retry_after_seconds=float("inf")),
    "nan-retry-after": lambda: RetryableError("busy", retry_after_seconds=float("nan")),
    "negative-retry-after": lambda: RetryableError("busy", retry_after_seconds=-5),
    "nan-park": lambda: ParkedError("wait", retry_after_seconds=float("nan")),
    "negative-park": lambda: ParkedError("wait", retry_after_seconds=-5),
    "text-park": lambda: ParkedError("wait", retry_after_seconds="soon"),  # type: ignore[arg-type]
    "unprintable": UnprintableError,
    "huge-message": lambda: PermanentError("x" * 10_000_000),
    "huge-code": lambda: PermanentError("x", code="y" * 1_000_000),
    "huge-park": lambda: ParkedError("x" * 1_000_000),
}


@agent("hostile.async", timeout_seconds=10, max_attempts=2)
async def hostile(task: Case, ctx: Context) -> Anything:
    RUNS.append(task.case)
    error = DEEDS[task.case]()
    raise error


@agent("hostile.plain", timeout_seconds=10, max_attempts=2)
def hostile_plain(task: Case, ctx: SyncContext) -> Anything:
    RUNS.append(task.case)
    error = DEEDS[task.case]()
    raise error


@agent("hostile.result", timeout_seconds=10, max_attempts=2)
async def bad_result(task: Case, ctx: Context) -> Any:
    deep: Any = []
    for _ in range(100_000 if task.case == "deep" else 0):
        deep = [deep]
    return {
        "surrogate": "caf\udce9",
        "nan": float("nan"),
        "object": object(),
        "deep": deep,
        "bytes": b"\xff\xfe",
        "huge-number": 10**5000,
    }[task.case]


async def _exit_soon() -> None:
    await asyncio.sleep(0)
    sys.exit(3)


@agent("hostile.exit-in-child", timeout_seconds=10, max_attempts=2)
async def exit_in_child(task: Case, ctx: Context) -> Anything:
    await asyncio.gather(_exit_soon(), asyncio.sleep(0))
    return Anything()


@agent("hostile.exit-in-step", timeout_seconds=10, max_attempts=2)
def exit_in_step(task: Case, ctx: SyncContext) -> Anything:
    ctx.step("exit", _exit_soon)
    return Anything()


def _stuck() -> str:
    RUNS.append("stuck")
    RELEASE.wait(10)
    return "late"


@agent("hostile.stuck-step", timeout_seconds=0.05, max_attempts=1)
async def stuck_step(task: Case, ctx: Context) -> Anything:
    """Its step's thread goes on after the attempt is over."""
    return Anything(value=await ctx.step("stuck", _stuck))


@agent("hostile.unserializable-step", timeout_seconds=10, max_attempts=3)
async def unserializable_step(task: Case, ctx: Context) -> Anything:
    return Anything(value=await ctx.step("object", _object))


def _object() -> Any:
    RUNS.append("effect")
    return object()


class Validated(BaseModel):
    case: str

    @field_validator("case")
    @classmethod
    def exits(cls, value: str) -> str:
        sys.exit(4)


@agent("hostile.validator", timeout_seconds=10, max_attempts=2)
async def exits_in_validator(task: Validated, ctx: Context) -> Anything:
    return Anything()


class Unprintable(BaseModel):
    value: Annotated[int, PlainSerializer(lambda _: sys.exit(5))]


@agent("hostile.serializer", timeout_seconds=10, max_attempts=2)
async def exits_in_serializer(task: Case, ctx: Context) -> Unprintable:
    return Unprintable(value=1)


@agent("hostile.catches-all", timeout_seconds=0.05, max_attempts=2)
async def catches_all(task: Case, ctx: Context) -> Anything:
    """Swallows its own cancellation, then answers."""
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.sleep(30)
    return Anything(value="too late")


@agent("hostile.cancels-itself", timeout_seconds=10, max_attempts=2)
async def cancels_itself(task: Case, ctx: Context) -> Anything:
    """Cancels the task it runs in, as a library may that takes it for its own."""
    current = asyncio.current_task()
    assert current is not None
    current.cancel()
    await asyncio.sleep(0)
    return Anything()


@agent("hostile.neighbour", timeout_seconds=10)
async def neighbour(task: Case, ctx: Context) -> Anything:
    """A good agent that takes as many turns of the loop as the others need to do their harm."""
    for _ in range(200):
        await asyncio.sleep(0)
    return Anything(value="well")


ALL = [
    hostile,
    hostile_plain,
    bad_result,
    exit_in_child,
    exit_in_step,
    stuck_step,
    unserializable_step,
    exits_in_validator,
    exits_in_serializer,
    catches_all,
    cancels_itself,
    neighbour,
]
