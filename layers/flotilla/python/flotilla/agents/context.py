"""What an agent is handed beside its input.

Invariant: everything an agent makes durable goes through its attempt's journal, so an attempt
that lost its task can record nothing more.
"""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from flotilla import trace_context
from flotilla.agents.files import Files, SyncFiles
from flotilla.agents.session import Session, SyncSession
from flotilla.agents.steps import StepTaker
from flotilla.agents.waits import WaitTaker
from flotilla.clock import Clock
from flotilla.errors import PermanentError
from flotilla.integrations.effects import within_step
from flotilla.models import TaskMessage
from flotilla.ports import RunSync

if TYPE_CHECKING:
    from flotilla.integrations.client import IntegrationClient, SyncIntegrationClient
    from flotilla.llm.client import Llm, SyncLlm

T = TypeVar("T")


class Integrations(Protocol):
    """The integrations of an attempt."""

    def client(self, name: str) -> IntegrationClient:
        """A client of the integration `name`.

        Raises:
            PermanentError: The agent does not declare it, or there is none (`integration_not_declared`).
        """
        ...


class Children(Protocol):
    """The tasks that an attempt submits."""

    async def submit(
        self,
        agent: str,
        task: Any,
        *,
        name: str | None,
        lane: str | None,
        labels: Mapping[str, str] | None,
        delay_seconds: float | None,
        budget_usd: float | None,
        session: str | None,
    ) -> str:
        """See `Context.submit`."""
        ...


class TaskLogger(logging.LoggerAdapter[logging.Logger]):
    """Adds task id, attempt, tenant and trace id to every line an agent logs."""

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        """Merge the line's own keys over the task's."""
        kwargs["extra"] = {**(self.extra or {}), **(kwargs.get("extra") or {})}
        return msg, kwargs


class Context:
    """The context of one attempt of an async agent.

    Attributes:
        task_id: Id of the task.
        tenant: Whose task it is.
        agent: Name of the agent.
        session: What the session it belongs to remembers.
        session_id: Name of that session; None for a task that belongs to none.
        attempt: Number of this attempt, from 1.
        deadline_ms: The task's deadline (epoch milliseconds), if it has one.
        logger: Logs with the task's keys on every line.
        steps: What `step` works with.
        waits: What `wait_for` works with; None where nothing can be waited for.
    """

    def __init__(
        self,
        message: TaskMessage,
        *,
        attempt: int,
        ends_ms: int,
        steps: StepTaker,
        session: Session,
        clock: Clock,
        run_sync: RunSync,
        logger: logging.Logger,
        integrations: Integrations | None = None,
        models: Callable[[RunSync], Llm] | None = None,
        children: Children | None = None,
        waits: WaitTaker | None = None,
        files: Files | None = None,
    ) -> None:
        self.task_id = message.task_id
        self.tenant = message.tenant
        self.agent = message.agent
        self.session = session
        self.session_id = message.session
        self.attempt = attempt
        self.deadline_ms = message.deadline_ms
        self.logger = TaskLogger(logger, log_keys(message, attempt))
        self._ends_ms = ends_ms
        self.steps = steps
        self.waits = waits
        self._files = files
        self._clock = clock
        self._run_sync = run_sync
        self._integrations = integrations
        self._models = models
        self._children = children
        self._llm: Llm | None = None

    def remaining_seconds(self) -> float:
        """Seconds until this attempt is stopped."""
        return max(0.0, (self._ends_ms - self._clock.now_ms()) / 1000)

    def idempotency_key(self, step: str = "") -> str:
        """A key for an effect on the outside world: the same in every attempt of this task.

        Args:
            step: Which effect, where a task has several.
        """
        return idempotency_key(self.task_id, step)

    def integration(self, name: str) -> IntegrationClient:
        """A client of the integration `name` of fleet.toml: `await ctx.integration("crm").get("/customers/1")`.

        Calls share connections with all others of this process, are repeated where that can help, and are protected by
        the integration's circuit and limits; what they raise then parks the task. See `IntegrationClient.request`.

        Raises:
            PermanentError: The agent does not declare it, or there is none (`integration_not_declared`).
        """
        if self._integrations is None:
            raise PermanentError(f"there is no integration {name!r} here", code="integration_not_declared")
        return self._integrations.client(name)

    @property
    def files(self) -> Files:
        """Files, shared by the tasks of a workflow's run: `await ctx.files.write("all.csv", content)`.

        Raises:
            PermanentError: There are none here (`file_not_allowed`).
        """
        if self._files is None:
            raise PermanentError("there are no files here", code="file_not_allowed")
        return self._files

    @property
    def llm(self) -> Llm:
        """Language models, by the routes of fleet.toml: `await ctx.llm.generate(route="fast", prompt="…")`.

        A model that is down or throttled is replaced by the next of its route; every call is protected by its model's
        circuit and limits, held to the task's budgets, and counted in the task's `usage`. See `Llm.generate`.

        Raises:
            PermanentError: There are no models here (`route_not_declared`).
        """
        if self._models is None:
            raise PermanentError("there are no models here", code="route_not_declared")
        if self._llm is None:
            self._llm = self._models(self._run_sync)
        return self._llm

    async def step(self, name: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Run `function` once in the life of the task and record what it returns.

        In a later attempt the recorded result is returned and the function is not called. A process
        that dies after the function's effect and before the record makes it run again: give effects
        on the outside `idempotency_key(name)`.

        Args:
            name: Name of the step. A name used again in the same attempt is its next occurrence.
            function: A plain function (run on a thread) or a coroutine function.
            *args: Passed on to it.
            **kwargs: Passed on to it.

        Returns:
            The result as a replay returns it: validated to the function's return annotation where
            it has one, else plain JSON values. So an attempt cannot tell a replay from a first run.

        Raises:
            AttemptRevokedError: The task was cancelled, or another worker owns it now. Let it pass.
            ParkedError: The task was paused. Let it pass: the attempt is not charged and comes back.
        """
        step, result = await self.steps.find(name, function)
        if step.found:
            return result
        try:
            with within_step(step.key):
                if inspect.iscoroutinefunction(function):
                    result = await function(*args, **kwargs)
                else:
                    result = await self._run_sync(lambda: function(*args, **kwargs))
                    if inspect.isawaitable(result):
                        result = await result
        except BaseException:
            self.steps.give_back(step)
            raise
        return await self.steps.record(step, result)

    async def wait_for(self, name: str, *, timeout_seconds: float | None = None, detail: Any = None) -> Any:
        """Wait for a signal: somebody's decision, say. Nothing is held meanwhile, for days if need be.

        The attempt ends here, and is not charged. The next one comes with the signal, or when the time is over; its
        recorded steps are replayed up to here. In a session the tasks behind this one go on meanwhile.

        Args:
            name: Of the signal. A name used again in the same attempt is its next occurrence: `decision#2`.
            timeout_seconds: For how long, at most 365 days; None for as long as the task's deadline allows.
            detail: What whoever gives the signal should know: JSON of at most 8 KiB.

        Returns:
            What came with the signal: JSON.

        Raises:
            WaitTimeoutError: It did not come in time. A `PermanentError` (`wait_timeout`); catch it to go on without.
            SuspendedError: The attempt ends here. Let it pass; whatever is made of it, the task waits.
            PermanentError: It may not wait like this (`invalid_wait`, `wait_in_step`, `too_many_waits`).
            AttemptRevokedError, ParkedError: As `step` does.
        """
        if self.waits is None:
            raise PermanentError("nothing can be waited for here", code="invalid_wait")
        return await self.waits.wait_for(name, timeout_seconds, detail)

    async def submit(
        self,
        agent: str,
        task: Any,
        *,
        name: str | None = None,
        lane: str | None = None,
        labels: Mapping[str, str] | None = None,
        delay_seconds: float | None = None,
        budget_usd: float | None = None,
        session: str | None = None,
    ) -> str:
        """Submit a task of the same tenant, once in the life of this task.

        A later attempt that submits it again finds it: the first one made stands, whatever the later one says of its
        input. What it costs counts against every budget that this task counts against. Its input is checked when it is
        run. It goes on whatever becomes of this task; nothing waits for it.

        Args:
            agent: Whose task it is.
            task: Its input: JSON, or what pydantic makes JSON of.
            name: Tells it from others that this task submits; the agent's by default. A name used again in the same
                attempt is its next occurrence, so name each where their order may differ from attempt to attempt.
            lane: Its priority; the agent's by default.
            labels: To be shown with it.
            delay_seconds: To be started so long from now, 12 hours at the most.
            budget_usd: What it may cost, with all that it submits.
            session: The session that it belongs to.

        Returns:
            Its id.

        Raises:
            PermanentError: There is no such agent (`unknown_agent`), it is not right (`invalid_submission`), or too
                many tasks are above it (`too_deep`).
            StoreUnavailableError: It is not known whether it was submitted. Let it pass, or submit it again.
            AttemptRevokedError: The task was cancelled, or another worker owns it. Let it pass.
            ParkedError: The task was paused. Let it pass.
        """
        if self._children is None:
            raise PermanentError("no tasks can be submitted here", code="unknown_agent")
        return await self._children.submit(
            agent,
            task,
            name=name,
            lane=lane,
            labels=labels,
            delay_seconds=delay_seconds,
            budget_usd=budget_usd,
            session=session,
        )


class SyncContext:
    """The context of one attempt of a plain (threaded) agent: `Context` without `await`."""

    def __init__(self, context: Context, loop: asyncio.AbstractEventLoop) -> None:
        self._context = context
        self._loop = loop
        self.task_id = context.task_id
        self.tenant = context.tenant
        self.agent = context.agent
        self.session = SyncSession(context.session, self._call)
        self.session_id = context.session_id
        self.attempt = context.attempt
        self.deadline_ms = context.deadline_ms
        self.logger = context.logger

    def remaining_seconds(self) -> float:
        """See `Context.remaining_seconds`."""
        return self._context.remaining_seconds()

    def idempotency_key(self, step: str = "") -> str:
        """See `Context.idempotency_key`."""
        return self._context.idempotency_key(step)

    def integration(self, name: str) -> SyncIntegrationClient:
        """See `Context.integration`; its calls need no `await`."""
        from flotilla.integrations.client import SyncIntegrationClient

        return SyncIntegrationClient(self._context.integration(name), self._call)

    @property
    def files(self) -> SyncFiles:
        """See `Context.files`; its calls need no `await`."""
        return SyncFiles(self._context.files, self._call)

    @property
    def llm(self) -> SyncLlm:
        """See `Context.llm`; its calls need no `await`."""
        from flotilla.llm.client import SyncLlm

        return SyncLlm(self._context.llm, self._call)

    def step(self, name: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """See `Context.step`. A plain function runs on the agent's own thread."""
        steps = self._context.steps
        step, result = self._call(steps.find(name, function))
        if step.found:
            return result
        try:
            with within_step(step.key):
                result = function(*args, **kwargs)
                if inspect.isawaitable(result):
                    result = self._call(_awaited(result))
        except BaseException:
            steps.give_back(step)
            raise
        return self._call(steps.record(step, result))

    def wait_for(self, name: str, *, timeout_seconds: float | None = None, detail: Any = None) -> Any:
        """See `Context.wait_for`."""
        return self._call(self._context.wait_for(name, timeout_seconds=timeout_seconds, detail=detail))

    def submit(
        self,
        agent: str,
        task: Any,
        *,
        name: str | None = None,
        lane: str | None = None,
        labels: Mapping[str, str] | None = None,
        delay_seconds: float | None = None,
        budget_usd: float | None = None,
        session: str | None = None,
    ) -> str:
        """See `Context.submit`."""
        return self._call(
            self._context.submit(
                agent,
                task,
                name=name,
                lane=lane,
                labels=labels,
                delay_seconds=delay_seconds,
                budget_usd=budget_usd,
                session=session,
            )
        )

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


async def _awaited(result: Awaitable[T]) -> T:
    return await result


def idempotency_key(task_id: str, effect: str) -> str:
    """The key of one of a task's effects on the outside world."""
    return hashlib.sha256(f"{task_id}\0{effect}".encode()).hexdigest()[:32]


def log_keys(message: TaskMessage, attempt: int) -> dict[str, Any]:
    """The keys on every log line about a task. Never its input."""
    return {
        "task_id": message.task_id,
        "agent": message.agent,
        "tenant": message.tenant,
        "attempt": attempt,
        "trace_id": trace_context.id_of(message.trace),
    }
