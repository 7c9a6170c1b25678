"""Agents that exercise the fleet itself; deployed only where `diagnostics = true`.

They fail, stall and kill their process on purpose, and count what really happened outside the
event log, in the `control` table, so that a log that lied would be found out.
"""

from __future__ import annotations

import asyncio
import http.client
import os
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field

from flotilla.agents import Context, SyncContext, agent
from flotilla.errors import PermanentError, RetryableError
from flotilla.llm_ports import Message, ModelRequest, Role
from functions.worker.diagnostic_counters import Counters

_EXIT_STATUS = 1
_POST_SECONDS = 3.0


class Model(BaseModel):
    """Base of the inputs: nothing but what is declared."""

    model_config = ConfigDict(extra="forbid")


class EchoInput(Model):
    """Any JSON value."""

    value: Any


@agent("diagnostics.echo", timeout_seconds=10)
async def echo(task: EchoInput, ctx: Context) -> Any:
    """Answer the value."""
    return task.value


class SleepInput(Model):
    """How long to sleep."""

    seconds: Annotated[float, Field(ge=0, le=50)]


class SleepOutput(BaseModel):
    """How long it slept."""

    slept_seconds: float


@agent("diagnostics.sleep", timeout_seconds=55)
async def sleep(task: SleepInput, ctx: Context) -> SleepOutput:
    """Sleep without holding up its batch."""
    await asyncio.sleep(task.seconds)
    return SleepOutput(slept_seconds=task.seconds)


class FlakyInput(Model):
    """How often to fail, and how."""

    fail_attempts: Annotated[int, Field(ge=0, le=100)]
    error: Literal["retryable", "permanent"] = "retryable"


class AttemptOutput(BaseModel):
    """Which attempt made it."""

    attempt: int


@agent("diagnostics.flaky", timeout_seconds=10, max_attempts=5, backoff_base_seconds=0.5, backoff_cap_seconds=5)
def flaky(task: FlakyInput, ctx: SyncContext) -> AttemptOutput:
    """Fail the first attempts."""
    if ctx.attempt <= task.fail_attempts:
        if task.error == "permanent":
            raise PermanentError("told to fail for good", code="told_to_fail")
        raise RetryableError("told to fail", code="told_to_fail")
    return AttemptOutput(attempt=ctx.attempt)


class CrashInput(Model):
    """How often to die, and at which point."""

    crash_attempts: Annotated[int, Field(ge=0, le=100)]
    when: Literal["before", "after_effect"] = "before"


class CrashOutput(BaseModel):
    """What the world outside saw.

    Attributes:
        attempt: The attempt that made it.
        sends: How often the effect was sent.
        effects: How many distinct idempotency keys it was sent with: what a receiver that honours
            the key would have done.
    """

    attempt: int
    sends: int
    effects: int


@agent("diagnostics.crash", timeout_seconds=2, max_attempts=5)
def crash(task: CrashInput, ctx: SyncContext) -> CrashOutput:
    """Kill its own process in the first attempts."""
    dies = ctx.attempt <= task.crash_attempts
    if dies and task.when == "before":
        os._exit(_EXIT_STATUS)
    sends, effects = Counters(ctx.task_id).send("effect", ctx.idempotency_key("effect"))
    if dies:
        os._exit(_EXIT_STATUS)
    return CrashOutput(attempt=ctx.attempt, sends=sends, effects=effects)


class StepsInput(Model):
    """How many steps, and after which to die once."""

    count: Annotated[int, Field(ge=1, le=100)]
    crash_at: Annotated[int, Field(ge=1, le=100)] | None = None


class StepsOutput(BaseModel):
    """How often each step's function really ran, counted outside the log."""

    attempt: int
    runs: dict[str, int]


@agent("diagnostics.steps", timeout_seconds=5, max_attempts=5)
def steps(task: StepsInput, ctx: SyncContext) -> StepsOutput:
    """Run durable steps and die once after step `crash_at`."""
    counters = Counters(ctx.task_id)
    names = [f"step-{number}" for number in range(1, task.count + 1)]
    for number, name in enumerate(names, start=1):
        ctx.step(name, counters.add, name)
        if number == task.crash_at and counters.add("crash") == 1:
            os._exit(_EXIT_STATUS)
    return StepsOutput(attempt=ctx.attempt, runs={name: counters.add(name, 0) for name in names})


class WaitInput(Model):
    """What to wait for."""

    name: str = "decision"
    timeout_seconds: float | None = None


class WaitOutput(BaseModel):
    """What came with the signal."""

    payload: Any


@agent("diagnostics.wait", timeout_seconds=10)
async def wait(task: WaitInput, ctx: Context) -> WaitOutput:
    """Wait for a signal."""
    return WaitOutput(payload=await ctx.wait_for(task.name, timeout_seconds=task.timeout_seconds))


class EffectInput(Model):
    """Where to make an effect, and what to suffer on the way.

    Attributes:
        url: A receiver on this machine; no other is spoken to.
    """

    url: Annotated[str, Field(pattern=r"^http://127\.0\.0\.1:[0-9]{1,5}/[A-Za-z0-9/_-]*$")]
    fail_attempts: Annotated[int, Field(ge=0, le=100)] = 0
    crash_attempts: Annotated[int, Field(ge=0, le=100)] = 0
    crash_when: Literal["before", "after_effect"] = "before"


@agent("diagnostics.effect", timeout_seconds=5, max_attempts=8, backoff_base_seconds=0.5, backoff_cap_seconds=4)
def effect(task: EffectInput, ctx: SyncContext) -> AttemptOutput:
    """POST once with the task's idempotency key, after failing and dying as it was told."""
    if ctx.attempt <= task.fail_attempts:
        raise RetryableError("told to fail", code="told_to_fail")
    dies = ctx.attempt <= task.fail_attempts + task.crash_attempts
    if dies and task.crash_when == "before":
        os._exit(_EXIT_STATUS)
    ctx.step("effect", _post, task.url, ctx.idempotency_key("effect"), dies)
    return AttemptOutput(attempt=ctx.attempt)


def _post(url: str, idempotency_key: str, dies: bool) -> int:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=_POST_SECONDS)
    try:
        connection.request("POST", parts.path, headers={"Idempotency-Key": idempotency_key})
        status = connection.getresponse().status
    except OSError as error:
        raise RetryableError(f"the receiver did not answer: {type(error).__name__}", code="no_answer") from error
    finally:
        connection.close()
    if dies:
        os._exit(_EXIT_STATUS)
    return status


class CallInput(Model):
    """One call through an integration.

    Attributes:
        integration: Its name in fleet.toml.
        path: Below its base URL; may end in a query.
        body: Sent as JSON; None sends none.
    """

    integration: str
    path: str = "/"
    method: Literal["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "POST", "PATCH"] = "GET"
    body: Any = None


class CallOutput(BaseModel):
    """What it answered.

    Attributes:
        body: As JSON where it is, else as text.
    """

    attempt: int
    status: int
    body: Any


@agent(
    "diagnostics.call",
    timeout_seconds=60,
    max_attempts=5,
    integrations=["*"],
    backoff_base_seconds=0.5,
    backoff_cap_seconds=5,
)
async def call(task: CallInput, ctx: Context) -> CallOutput:
    """Make one call through an integration, with all that protects it."""
    client = ctx.integration(task.integration)
    body = {} if task.body is None else {"json": task.body}
    answer = await client.request(task.method, task.path, effect="call", **body)
    try:
        found = answer.json()
    except RetryableError:
        found = answer.text
    return CallOutput(attempt=ctx.attempt, status=answer.status, body=found)


class GenerateInput(Model):
    """One call to a model.

    Attributes:
        route: Its name in fleet.toml.
        quality: No model of less serves.
    """

    route: str = "fast"
    prompt: Annotated[str, Field(min_length=1)]
    system: str | None = None
    max_tokens: Annotated[int, Field(ge=1, le=4096)] = 256
    quality: Literal["low", "medium", "high"] | None = None


class GenerateUsage(BaseModel):
    """What the call took."""

    input_tokens: int
    output_tokens: int
    cost_usd: float
    latency_ms: int


class GenerateOutput(BaseModel):
    """What a model answered.

    Attributes:
        requested: The model that the route would have had serve.
        served: The model that did.
    """

    attempt: int
    text: str
    requested: str
    served: str
    usage: GenerateUsage


@agent(
    "diagnostics.generate",
    timeout_seconds=60,
    max_attempts=5,
    routes=["*"],
    backoff_base_seconds=0.5,
    backoff_cap_seconds=5,
)
async def generate(task: GenerateInput, ctx: Context) -> GenerateOutput:
    """Make one call to a model by a route, with all that protects it."""
    request = ModelRequest(messages=[Message(Role.USER, task.prompt)], system=task.system, max_tokens=task.max_tokens)
    found = await ctx.llm.converse(task.route, request, quality=task.quality)
    usage = GenerateUsage(
        input_tokens=found.reply.input_tokens,
        output_tokens=found.reply.output_tokens,
        cost_usd=found.cost_micros / 1_000_000,
        latency_ms=found.latency_ms,
    )
    return GenerateOutput(
        attempt=ctx.attempt, text=found.reply.text, requested=found.requested, served=found.served, usage=usage
    )


class ScriptedCall(Model):
    """A call of a tool."""

    id: str | None = None
    tool: str
    input: Any = None


class ScriptedTurn(Model):
    """What to plan in a turn.

    Attributes:
        answer: By default what became of all calls.
        crash: Die once before it is planned.
    """

    done: bool = False
    answer: Any = None
    calls: Annotated[list[ScriptedCall], Field(max_length=100)] = []
    crash: bool = False


class Script(Model):
    """What to plan in each turn; after the last one it is done."""

    turns: Annotated[list[ScriptedTurn], Field(max_length=50)]


class PlanInput(Model):
    """What the workflow `agent-loop` tells a planner; `input` is its `planner_input`."""

    goal: Any = None
    tools: list[str]
    turn: Annotated[int, Field(ge=0)]
    turns_left: Annotated[int, Field(ge=0)]
    observations: list[dict[str, Any]]
    input: Script


class PlanOutput(BaseModel):
    """What to do in a turn.

    Attributes:
        remembered: How many turns the session's memory held before this one.
    """

    done: bool
    answer: Any
    calls: list[ScriptedCall]
    remembered: int


@agent("diagnostics.plan", timeout_seconds=10, max_attempts=5)
def plan(task: PlanInput, ctx: SyncContext) -> PlanOutput:
    """Plan as a script says, without a model."""
    turns = task.input.turns
    turn = turns[task.turn] if task.turn < len(turns) else ScriptedTurn(done=True)
    before = ctx.session.turns()
    ctx.session.append(task.observations)
    if turn.crash and Counters(ctx.task_id).add("crash") == 1:
        os._exit(_EXIT_STATUS)
    seen = [observation for each in (*before, task.observations) for observation in each]
    answer = seen if turn.done and turn.answer is None else turn.answer
    return PlanOutput(done=turn.done, answer=answer, calls=turn.calls, remembered=len(before))


class UndoInput(Model):
    """What the workflow `saga` hands to a compensation that has no input of its own."""

    input: Any = None
    output: Any = None
    reason: dict[str, Any]


@agent("diagnostics.undo", timeout_seconds=10)
async def undo(task: UndoInput, ctx: Context) -> UndoInput:
    """Undo nothing, and answer what was to be undone; fail for good where that says `"undo": "fail"`."""
    if isinstance(task.input, dict) and task.input.get("undo") == "fail":
        raise PermanentError("told to fail for good", code="told_to_fail")
    return task
