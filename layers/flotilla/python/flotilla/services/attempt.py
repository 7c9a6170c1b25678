"""One attempt of one task: claim it, run its agent, record how it ended.

Invariant: the message may be deleted only after the log says the task ended (or holds no such
task). Whatever dies in between leaves a message that finds the truth in the log.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from flotilla.agents.catalog import AgentSpec, Catalog
from flotilla.agents.context import Context, StepTaker, SyncContext, log_keys
from flotilla.agents.decorator import AgentDefinition
from flotilla.agents.loader import AgentLoader
from flotilla.clock import Clock
from flotilla.errors import (
    AttemptRevokedError,
    CorruptLogError,
    FlotillaError,
    ParkedError,
    PermanentError,
    RetryableError,
)
from flotilla.events import Kind
from flotilla.models import Delivery, ErrorInfo, TaskMessage
from flotilla.ports import EventLog, LaneReceipts, RunSync
from flotilla.primitives.backoff import full_jitter_seconds
from flotilla.primitives.lease import agent_budget_seconds
from flotilla.primitives.meter import SharedMeter
from flotilla.services.claim import Claimed, Claims, Finished, NotNow, Suspect, Unlogged
from flotilla.services.claim_check import ClaimCheck
from flotilla.services.steps import RecordedSteps

logger = logging.getLogger("flotilla.worker")

UNAVAILABLE_RETRY_SECONDS = 5
"""Wait after a store did not answer."""

_FRESH_MS = 1000
_LONGEST_VISIBILITY_SECONDS = 43_200
_MESSAGE_CHARACTERS = 1000


@dataclass(frozen=True, slots=True)
class Done:
    """The message has served its purpose."""


@dataclass(frozen=True, slots=True)
class Again:
    """The message must come back, after at least this many whole seconds."""

    after_seconds: int


@dataclass(frozen=True, slots=True)
class RunAlone:
    """To be tried again in this invocation, when nothing else runs."""


Outcome = Done | Again | RunAlone


@dataclass(slots=True)
class Invocation:
    """One invocation of a worker function.

    Attributes:
        ends_ms: When Lambda will kill it.
        overrunning: Plain agents still running on a thread after their time; a thread cannot be
            stopped, so the process must not outlive the invocation.
    """

    worker: str
    began_ms: int
    ends_ms: int
    overrunning: int = 0

    def fresh(self, now_ms: int) -> bool:
        """Another invocation would have no more time than this one."""
        return now_ms - self.began_ms < _FRESH_MS


class Watchdog(Protocol):
    """Ends the process when an attempt outlives its lease (see `primitives.lease`)."""

    def arm(self, key: str, lease_until_ms: int) -> None:
        """From now on `key` must be disarmed before `lease_until_ms`."""
        ...

    def disarm(self, key: str) -> None:
        """`key` ended in time."""
        ...


@dataclass(frozen=True, slots=True)
class AttemptTools:
    """What attempts need, the same for every invocation of a process.

    Attributes:
        run_agent: Runs plain agents on threads of their own, so that they cannot starve the log.
        random: Draws jitter.
    """

    log: EventLog
    receipts: LaneReceipts
    claim_check: ClaimCheck
    catalog: Catalog
    loader: AgentLoader
    clock: Clock
    run_agent: RunSync
    watchdog: Watchdog
    random: random.Random


class AttemptRunner:
    """Runs the attempts of one invocation."""

    def __init__(self, tools: AttemptTools, invocation: Invocation) -> None:
        self._tools = tools
        self._clock = tools.clock
        self._invocation = invocation
        self._claims = Claims(tools.log, tools.clock, f"worker:{invocation.worker}")
        self._meter = SharedMeter()

    async def run(self, delivery: Delivery, message: TaskMessage, spec: AgentSpec, *, solo: bool) -> Outcome | str:
        """Do what this message asks for, as far as it can be done now.

        Never raises for anything that a task, an agent or a store can do wrong.

        Returns:
            What to do with the message, or why it can never be worked on.
        """
        remaining = (self._invocation.ends_ms - self._clock.now_ms()) / 1000
        budget = agent_budget_seconds(spec.timeout_seconds, remaining)
        if budget < spec.timeout_seconds and not self._invocation.fresh(self._clock.now_ms()):
            return Again(0)  # what ran before it took the time; a fresh invocation has more
        try:
            claim = await self._claims.claim(delivery, message, budget_seconds=budget, solo=solo)
            match claim:
                case Claimed():
                    return await self._attempt(message, spec, claim)
                case Finished(why):
                    logger.info("nothing to do", extra={**log_keys(message, message.attempt), "why": why})
                    return Done()
                case NotNow(after_seconds, why):
                    logger.info("not now", extra={**log_keys(message, message.attempt), "why": why})
                    return Again(_visibility_seconds(after_seconds))
                case Suspect():
                    return RunAlone()
                case Unlogged():
                    return "the task has no log"
        except CorruptLogError as error:
            return f"corrupt log: {error.message}"
        except RetryableError as error:
            logger.warning("store unavailable", extra={**log_keys(message, message.attempt), "error": error.message})
            return Again(UNAVAILABLE_RETRY_SECONDS)

    async def _attempt(self, message: TaskMessage, spec: AgentSpec, claimed: Claimed) -> Outcome:
        began_ms = self._clock.now_ms()
        key = f"{message.task_id}/{claimed.attempt}"
        self._tools.watchdog.arm(key, claimed.lease_until_ms)
        self._meter.start(key, began_ms)
        failure: Exception | None = None
        output: dict[str, Any] = {}
        try:
            output = await self._output(message, spec, claimed)
        except Exception as error:  # noqa: BLE001 - an agent may raise anything; `_fail` sorts it
            failure = error
        finally:
            now_ms = self._clock.now_ms()
            usage = {
                "duration_ms": now_ms - began_ms,
                "billed_ms": self._meter.stop(key, now_ms),
            }
        try:
            if failure is None:
                outcome: Outcome = await self._succeed(claimed, output, usage)
            else:
                outcome = await self._fail(spec, claimed, failure, usage)
        except AttemptRevokedError:
            outcome, failure = Again(0), failure or AttemptRevokedError("another worker owns this task")
        finally:
            self._tools.watchdog.disarm(key)
        logger.info(
            "attempt ended",
            extra={
                **log_keys(message, claimed.attempt),
                **usage,
                "error": None if failure is None else _error_info(failure).code,
            },
        )
        return outcome

    async def _output(self, message: TaskMessage, spec: AgentSpec, claimed: Claimed) -> dict[str, Any]:
        definition = await self._load(spec)
        value = await self._tools.claim_check.check_out(claimed.input)
        try:
            task = definition.input_adapter.validate_python(value)
        except ValidationError as error:
            raise PermanentError(_summary(error), code="invalid_input") from error
        result = await self._call(definition, task, message, claimed)
        try:
            checked = definition.output_adapter.validate_python(result)
            plain = definition.output_adapter.dump_python(checked, mode="json")
            payload = await self._tools.claim_check.check_in(message.tenant, message.task_id, plain)
        except (ValidationError, PydanticSerializationError, ValueError) as error:
            why = _summary(error) if isinstance(error, ValidationError) else "it is not JSON"
            raise PermanentError(f"the agent's output is not what it declares: {why}", code="invalid_output") from error
        return payload.to_json()

    async def _load(self, spec: AgentSpec) -> AgentDefinition:
        found = self._tools.loader.loaded(spec)
        return found if found is not None else await self._tools.run_agent(self._tools.loader.load, spec)

    async def _call(self, definition: AgentDefinition, task: Any, message: TaskMessage, claimed: Claimed) -> Any:
        steps = RecordedSteps(claimed.journal, self._tools.claim_check, message.tenant, message.task_id, claimed.steps)
        context = Context(
            message,
            attempt=claimed.attempt,
            ends_ms=claimed.ends_ms,
            steps=StepTaker(steps, self._clock),
            clock=self._clock,
            run_sync=self._tools.run_agent,
            logger=logger,
        )
        seconds = max(0.0, (claimed.ends_ms - self._clock.now_ms()) / 1000)
        timeout = asyncio.timeout(seconds)
        try:
            async with timeout:
                if definition.is_async:
                    return await definition.function(task, context)
                sync_context = SyncContext(context, asyncio.get_running_loop())
                return await self._on_a_thread(definition.function, task, sync_context)
        except TimeoutError as error:
            if not timeout.expired():
                raise
            raise RetryableError(f"it took longer than {seconds:.0f} s", code="timeout") from error
        except (SystemExit, KeyboardInterrupt) as error:
            raise _exit_refused() from error
        finally:
            steps.revoke()

    async def _on_a_thread(self, function: Callable[..., Any], task: Any, context: SyncContext) -> Any:
        def guarded() -> Any:
            try:
                return function(task, context)
            except (SystemExit, KeyboardInterrupt) as error:
                # Left alone, these two would end the event loop and with it every other task of the batch.
                raise _exit_refused() from error

        running = asyncio.ensure_future(self._tools.run_agent(guarded))
        try:
            return await asyncio.shield(running)
        finally:
            if not running.done():
                self._invocation.overrunning += 1
                running.add_done_callback(self._overrun_ended)

    def _overrun_ended(self, running: asyncio.Future[Any]) -> None:
        self._invocation.overrunning -= 1
        running.exception()  # seen, so that the loop does not report it: its attempt is long recorded

    async def _succeed(self, claimed: Claimed, output: dict[str, Any], usage: dict[str, Any]) -> Outcome:
        await claimed.journal.append(Kind.SUCCEEDED, {"output": output, "usage": usage})
        return Done()

    async def _fail(self, spec: AgentSpec, claimed: Claimed, failure: Exception, usage: dict[str, Any]) -> Outcome:
        if isinstance(failure, AttemptRevokedError):
            raise failure
        if isinstance(failure, ParkedError):
            return await self._park(claimed, failure)
        error = _error_info(failure)
        charged = claimed.charged + 1
        if not error.retryable or charged >= claimed.max_attempts:
            cause = "attempts_exhausted" if error.retryable else "permanent"
            body: dict[str, Any] = {"cause": cause, "error": error.to_json(), "usage": usage}
            await claimed.journal.append(Kind.DEAD_LETTERED, body)
            return Done()
        wait = full_jitter_seconds(
            charged,
            base_seconds=spec.backoff_base_seconds,
            cap_seconds=spec.backoff_cap_seconds,
            fraction=self._tools.random.random(),
            at_least_seconds=getattr(failure, "retry_after_seconds", None),
        )
        after_seconds = _visibility_seconds(wait)
        next_attempt_ms = self._clock.now_ms() + after_seconds * 1000
        body = {"error": error.to_json(), "next_attempt_ms": next_attempt_ms, "usage": usage}
        await claimed.journal.append(Kind.ATTEMPT_FAILED, body)
        return Again(after_seconds)

    async def _park(self, claimed: Claimed, parked: ParkedError) -> Outcome:
        after_seconds = _visibility_seconds(parked.retry_after_seconds)
        next_attempt_ms = self._clock.now_ms() + after_seconds * 1000
        body = {"reason": parked.code, "detail": parked.message, "next_attempt_ms": next_attempt_ms}
        await claimed.journal.append(Kind.PARKED, body)
        return Again(after_seconds)


def _visibility_seconds(wait: float) -> int:
    """Whole seconds, as SQS takes them, rounded up so that nothing comes early; at most its 12 hours."""
    return min(math.ceil(wait), _LONGEST_VISIBILITY_SECONDS)


def _exit_refused() -> RetryableError:
    return RetryableError("the agent tried to end its process", code="agent_exit")


def _error_info(failure: Exception) -> ErrorInfo:
    if isinstance(failure, FlotillaError):
        retryable = not isinstance(failure, PermanentError)
        return ErrorInfo(failure.code, failure.message[:_MESSAGE_CHARACTERS], retryable)
    # An error the author did not classify: most such are passing (networks, models), so it is retried.
    text = f"{type(failure).__name__}: {failure}"
    return ErrorInfo("agent_error", text[:_MESSAGE_CHARACTERS], retryable=True)


def _summary(error: ValidationError) -> str:
    """What pydantic found, without the values it found it in."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    lines = [f"{'.'.join(str(part) for part in item['loc']) or 'value'}: {item['msg']}" for item in found[:5]]
    return "; ".join(lines)
