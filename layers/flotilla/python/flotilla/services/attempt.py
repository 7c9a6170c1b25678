"""One attempt of one task: claim it, run its agent, have it recorded how it ended.

Invariant: the message may be deleted only after the log says that the task ended or waits
elsewhere (or holds no such task), and after what follows from that is durable. Whatever dies in
between leaves a message that finds the truth in the log.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from flotilla import trace_context
from flotilla.agents.catalog import AgentSpec
from flotilla.agents.context import Context, SyncContext, log_keys
from flotilla.agents.decorator import AgentDefinition
from flotilla.agents.files import Files
from flotilla.agents.session import Session
from flotilla.agents.steps import StepTaker
from flotilla.agents.waits import WaitTaker
from flotilla.coordination import Turn
from flotilla.errors import AttemptRevokedError, CorruptLogError, ParkedError, PermanentError, RetryableError
from flotilla.models import Delivery, TaskMessage, canonical_json
from flotilla.primitives.lease import SKEW_SECONDS, agent_budget_seconds
from flotilla.services.agent_threads import AgentThreads, contained_async
from flotilla.services.attempt_budgets import SpendingOfAttempt
from flotilla.services.attempt_integrations import IntegrationsOfAttempt
from flotilla.services.attempt_models import ModelsOfAttempt
from flotilla.services.attempt_tools import AttemptTools, Invocation
from flotilla.services.attempt_usage import InvocationMeter
from flotilla.services.children import ChildTasks
from flotilla.services.claim import Claims
from flotilla.services.claimed import Claimed, Elsewhere, Finished, NotNow, Suspect, Unlogged
from flotilla.services.ending import Endings
from flotilla.services.outcome import Again, Done, Outcome, RunAlone, after_a_fault, again_in_place
from flotilla.services.roster import Seat, better_apart
from flotilla.services.session_memory import SessionMemory, keep_turns
from flotilla.services.steps import RecordedSteps
from flotilla.services.submit import SubmitService
from flotilla.services.supervision import SupervisedMemory, Supervision
from flotilla.services.suspension import WENT_ON, Suspension, WaitsOfAttempt
from flotilla.services.verdict import UNAVAILABLE_RETRY_SECONDS, Verdict, summary_of, verdict_of
from flotilla.workflows.errors import INVALID_INPUT
from flotilla.workflows.order import StepOrder
from flotilla.workflows.references import complaint

logger = logging.getLogger("flotilla.worker")

_LOGGED_USAGE = ("duration_ms", "billed_ms", "model_calls", "cost_usd")
"""The rest is in the event: each byte of a line that every task has is paid for."""


class AttemptRunner:
    """Runs the attempts of one invocation."""

    def __init__(self, tools: AttemptTools, invocation: Invocation) -> None:
        self._tools = tools
        self._clock = tools.clock
        self._invocation = invocation
        actor = f"worker:{invocation.worker}"
        self._claims = Claims(log=tools.log, gate=tools.gate, clock=tools.clock, actor=actor)
        self._endings = Endings(
            dispatch=tools.dispatch,
            turns=tools.turns,
            callbacks=tools.callbacks,
            clock=tools.clock,
            random=tools.random,
        )
        self._meter = InvocationMeter(tools.compute, invocation.messages)

    async def run(
        self, delivery: Delivery, wanted: TaskMessage | StepOrder, spec: AgentSpec, *, solo: bool
    ) -> Outcome | str:
        """Do what a message asks for, as far as it can be done now.

        Never raises for anything that a task, an agent or a store can do wrong.

        Args:
            delivery: The message's receipt.
            wanted: What it holds.
            spec: The agent of its task.
            solo: Nothing else runs in this process.

        Returns:
            What to do with the message, or why it can never be worked on.
        """
        remaining = (self._invocation.ends_ms - self._clock.now_ms()) / 1000
        budget = agent_budget_seconds(spec.timeout_seconds, remaining)
        if budget < spec.timeout_seconds and not self._invocation.fresh(self._clock.now_ms()):
            return Again(0)  # what ran before it took the time; a fresh invocation has more
        with trace_context.carried(wanted.trace):
            return await self._worked_on(delivery, wanted, spec, solo=solo)

    async def _worked_on(
        self, delivery: Delivery, wanted: TaskMessage | StepOrder, spec: AgentSpec, *, solo: bool
    ) -> Outcome | str:
        try:
            message = await self._task(delivery, wanted, spec)
            if message is None:
                return Done()
            seat = self._invocation.roster.seat(message.tenant, message.agent)
            with trace_context.carried(message.trace), seat as taken:
                return await self._run(delivery, message, spec, taken, solo=solo)
        except CorruptLogError as error:
            return f"corrupt log: {error.message}"
        except RetryableError as error:
            extra = {"task_id": wanted.task_id, "agent": wanted.agent, "error": error.message}
            logger.warning("store unavailable", extra={**extra, "cause": str(error.__cause__)})
            return after_a_fault(delivery.receive_count, UNAVAILABLE_RETRY_SECONDS)

    async def _task(self, delivery: Delivery, wanted: TaskMessage | StepOrder, spec: AgentSpec) -> TaskMessage | None:
        """The task; None where there is nothing left to do for it here."""
        if isinstance(wanted, TaskMessage):
            return wanted
        if self._tools.bridge is None:
            # A deployment is under way: whoever is told of the workflows will know what to do.
            raise RetryableError("this worker knows of no workflows", code="no_workflows")
        return await self._tools.bridge.task_of(wanted, spec, delivery.group)

    async def _run(
        self, delivery: Delivery, message: TaskMessage, spec: AgentSpec, seat: Seat, *, solo: bool
    ) -> Outcome | str:
        claim = await self._claims.claim(delivery, message, spec, ends_ms=self._invocation.ends_ms, solo=solo)
        match claim:
            case Claimed():
                return await self._attempt(message, spec, claim, seat)
            case Finished(why, succeeded, ended):
                if succeeded is not None and message.session is not None:
                    # Who committed the result may have died before its turns were in the session.
                    await keep_turns(
                        self._tools.turns, message.tenant, message.session, message.task_id, succeeded.body
                    )
                await self._endings.tell(ended)
                logger.info("nothing to do", extra={**log_keys(message, message.attempt), "why": why})
                return Done()
            case Elsewhere(elsewhere, in_order):
                await self._tools.dispatch(elsewhere, in_order=in_order)
                logger.info("waits elsewhere", extra=log_keys(message, message.attempt))
                return Done()
            case NotNow(after_seconds, why):
                logger.info("not now", extra={**log_keys(message, message.attempt), "why": why})
                return again_in_place(after_seconds, message.session)
            case Suspect():
                return RunAlone()
            case Unlogged():
                return "the task has no log"

    async def is_suspect(self, task_id: str) -> bool:
        """See `Claims.is_suspect`."""
        return await self._claims.is_suspect(task_id)

    async def _attempt(self, message: TaskMessage, spec: AgentSpec, claimed: Claimed, seat: Seat) -> Outcome:
        began_ms = self._clock.now_ms()
        key = f"{message.task_id}/{claimed.attempt}"
        self._tools.watchdog.arm(key, claimed.lease_until_ms)
        self._meter.start(key, began_ms)
        failure: Verdict | None = None
        output: dict[str, Any] = {}
        turns: Sequence[Turn] = ()
        threads = AgentThreads(self._tools.run_agent, self._invocation.overruns)
        waits = claimed.put_aside
        if better_apart(claimed.charged, waits):
            seat.keep_apart()
        models = ModelsOfAttempt(self._tools.models, spec, message, claimed.attempt, seat, waits)
        suspension = Suspension()
        try:
            output, turns = await self._output(message, spec, claimed, threads, models, suspension)
        except BaseException as error:
            task = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
                raise  # it is this worker that is stopped, not the agent that let a cancellation escape
            failure = verdict_of(error)
        finally:
            now_ms = self._clock.now_ms()
            usage = {"duration_ms": now_ms - began_ms, **self._meter.stop(key, now_ms), **models.usage()}
            # The agent has stopped, or what it left on a thread ends with the invocation: nothing of it
            # can outlive the lease. What follows is fenced by its condition, however long it takes.
            self._tools.watchdog.disarm(key)
        not_before_seconds = self._seconds_left() if threads.leave() else 0
        if suspension.wait is not None and not_before_seconds:
            # A signal may come at once, and the next attempt must not run beside what is left of this one.
            failure = failure or Verdict(WENT_ON)
            suspension.wait = None
        try:
            if suspension.wait is not None:
                outcome: Outcome = await self._endings.wait(claimed, suspension.wait, usage)
                failure = None
            elif failure is None:
                outcome = await self._endings.succeed(claimed, output, turns, usage, not_before_seconds)
            else:
                outcome = await self._endings.fail(spec, claimed, failure, usage, not_before_seconds)
        except AttemptRevokedError as error:
            outcome, failure = Again(0), failure or verdict_of(error)
        logger.info(
            "attempt ended",
            extra={
                **log_keys(message, claimed.attempt),
                **{name: usage[name] for name in _LOGGED_USAGE if name in usage},
                **({} if failure is None else {"error": failure.error.code}),
                **({} if suspension.wait is None else {"waits_for": suspension.wait.name}),
            },
        )
        return outcome

    def _seconds_left(self) -> int:
        """Whole seconds after which this process is surely gone."""
        return math.ceil((self._invocation.ends_ms - self._clock.now_ms()) / 1000 + SKEW_SECONDS)

    async def _output(
        self,
        message: TaskMessage,
        spec: AgentSpec,
        claimed: Claimed,
        threads: AgentThreads,
        models: ModelsOfAttempt,
        suspension: Suspension,
    ) -> tuple[dict[str, Any], Sequence[Turn]]:
        """The result's payload, and what goes into the session with it."""
        if claimed.late(self._clock.now_ms()):
            raise ParkedError("its start was recorded too late", code="late_start", retry_after_seconds=0)
        definition = self._tools.loader.loaded(spec)
        if definition is None:
            definition = await threads(self._tools.loader.load, spec)
        value = await self._tools.claim_check.check_out(claimed.input)
        if message.workflow is not None and (why := complaint(value)) is not None:
            raise PermanentError(why, code=INVALID_INPUT)
        try:
            # As JSON, which is what the schema that clients see speaks of: strict models take its dates too.
            task = definition.input_adapter.validate_json(canonical_json(value))
        except ValidationError as error:
            raise PermanentError(summary_of(error), code=INVALID_INPUT) from error
        memory = self._memory(message)
        result = await self._call(definition, task, message, claimed, threads, memory, models, suspension)
        try:
            checked = definition.output_adapter.validate_python(result)
            plain = definition.output_adapter.dump_python(checked, mode="json", by_alias=True)
            payload = await self._tools.claim_check.check_in(message.tenant, message.task_id, plain)
        except (ValidationError, PydanticSerializationError, ValueError, TypeError, RecursionError) as error:
            why = summary_of(error) if isinstance(error, ValidationError) else "it is not JSON"
            raise PermanentError(f"the agent's output is not what it declares: {why}", code="invalid_output") from error
        return payload.to_json(), () if memory is None else await memory.pending()

    def _memory(self, message: TaskMessage) -> SessionMemory | None:
        if message.session is None:
            return None
        return SessionMemory(
            self._tools.turns, self._tools.claim_check, message.tenant, message.session, message.task_id
        )

    def _integrations(
        self, message: TaskMessage, claimed: Claimed, supervision: Supervision
    ) -> IntegrationsOfAttempt | None:
        desk = self._tools.integrations
        if desk is None:
            return None
        spec = self._tools.catalog.get(message.agent)
        return IntegrationsOfAttempt(desk, spec, message, claimed.ends_ms, supervision, claimed.put_aside)

    def _spending(self, claimed: Claimed) -> SpendingOfAttempt | None:
        desk = self._tools.budgets
        return None if desk is None else SpendingOfAttempt(desk, claimed.message, claimed.attempt)

    def _children(self, claimed: Claimed, supervision: Supervision) -> ChildTasks | None:
        tools = self._tools
        if tools.lanes is None:
            return None
        return ChildTasks(
            submit=SubmitService(
                log=tools.log, dispatch=tools.dispatch, claim_check=tools.claim_check, clock=tools.clock
            ),
            catalog=tools.catalog,
            lanes=tools.lanes,
            # As the log stands where it was read: the message may be from before a correction of the input.
            message=claimed.message,
            attempt=claimed.attempt,
            supervision=supervision,
            clock=tools.clock,
        )

    async def _call(
        self,
        definition: AgentDefinition,
        task: Any,
        message: TaskMessage,
        claimed: Claimed,
        threads: AgentThreads,
        memory: SessionMemory | None,
        models: ModelsOfAttempt,
        suspension: Suspension,
    ) -> Any:
        supervision = Supervision(
            gate=self._tools.gate,
            journal=claimed.journal,
            message=message,
            clock=self._clock,
            started_ms=claimed.started_ms,
            suspension=suspension,
        )
        cached = self._tools.catalog.get(message.agent).cache_ttl_seconds is not None
        waits = WaitsOfAttempt(claimed.waits, suspension, supervision, cached=cached)
        steps = RecordedSteps(
            claimed.journal, self._tools.claim_check, message.tenant, message.task_id, claimed.steps, supervision
        )
        context = Context(
            message,
            attempt=claimed.attempt,
            ends_ms=claimed.ends_ms,
            steps=StepTaker(steps, self._clock),
            session=Session(None if memory is None else SupervisedMemory(memory, supervision)),
            clock=self._clock,
            run_sync=threads,
            logger=logger,
            integrations=self._integrations(message, claimed, supervision),
            models=models.llm(claimed.ends_ms, supervision, self._spending(claimed)),
            children=self._children(claimed, supervision),
            waits=WaitTaker(waits, self._clock),
            files=None if self._tools.files is None else Files(self._tools.files, message, supervision),
        )
        seconds = max(0.0, (claimed.ends_ms - self._clock.now_ms()) / 1000)
        timeout = asyncio.timeout(seconds)
        try:
            async with timeout:
                if definition.is_async:
                    # In a task of its own, so that cancelling "the current task" is cancelling itself.
                    work = contained_async(definition.function, task, context)
                    return await asyncio.ensure_future(work)
                sync_context = SyncContext(context, asyncio.get_running_loop())
                return await threads(definition.function, task, sync_context)
        except TimeoutError as error:
            if not timeout.expired():
                raise
            raise RetryableError(f"it took longer than {seconds:.0f} s", code="timeout") from error
        finally:
            supervision.end()
