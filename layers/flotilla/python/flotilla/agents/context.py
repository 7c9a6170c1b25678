"""What an agent is handed beside its input.

Invariant: everything an agent makes durable goes through its attempt's journal, so an attempt
that lost its task can record nothing more.
"""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import itertools
import json
import logging
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from pydantic import TypeAdapter
from pydantic_core import PydanticSerializationError, to_jsonable_python

from flotilla.agents.session import Session, SyncSession
from flotilla.clock import Clock
from flotilla.errors import PermanentError
from flotilla.integrations.effects import within_step
from flotilla.models import Payload, TaskMessage, canonical_json
from flotilla.ports import RunSync

if TYPE_CHECKING:
    from flotilla.integrations.client import IntegrationClient, SyncIntegrationClient

T = TypeVar("T")

_NAME_CHARACTERS = 256


class StepJournal(Protocol):
    """Where an attempt's steps are recorded and found again."""

    async def recorded(self, step: str) -> Payload | None:
        """What an earlier attempt, or this one, recorded for `step`."""
        ...

    async def may_run(self) -> None:
        """Let a step begin that nobody recorded.

        Raises:
            AttemptRevokedError: The task was cancelled, or another worker owns it now.
            ParkedError: The task was paused.
        """
        ...

    async def record(self, step: str, value: Any, duration_ms: int) -> None:
        """Record a step's result.

        Raises:
            AttemptRevokedError: Another worker owns the task now.
        """
        ...

    async def value_of(self, payload: Payload) -> Any:
        """The recorded value itself."""
        ...


class StepTaker:
    """Names an attempt's steps, finds what is recorded of them, and records what is not."""

    def __init__(self, journal: StepJournal, clock: Clock) -> None:
        self._journal = journal
        self._clock = clock
        self._taken: dict[str, set[int]] = {}

    async def find(self, name: str, function: Callable[..., Any]) -> tuple[Step, Any]:
        """The next step of that name, and its recorded result where `step.found`.

        Raises:
            PermanentError: The name is too long to be recorded.
            AttemptRevokedError: It is not recorded and may not run: the attempt has lost its task.
            ParkedError: It is not recorded and may not run: the task was paused.
        """
        if len(name) > _NAME_CHARACTERS:
            raise PermanentError(f"a step's name has at most {_NAME_CHARACTERS} characters", code="invalid_step_name")
        taken = self._taken.setdefault(name, set())
        occurrence = next(number for number in itertools.count(1) if number not in taken)
        taken.add(occurrence)
        # Doubled, so that no name can look like another's later occurrence.
        plain = name.replace("#", "##")
        key = plain if occurrence == 1 else f"{plain}#{occurrence}"
        recorded = await self._journal.recorded(key)
        step = Step(name, occurrence, key, recorded is not None, self._clock.now_ms(), _declared(function))
        if recorded is None:
            try:
                await self._journal.may_run()
            except BaseException:
                self.give_back(step)
                raise
            return step, None
        return step, step.revived(canonical_json(await self._journal.value_of(recorded)))

    def give_back(self, step: Step) -> None:
        """The step failed: if the agent tries it again, that is the same step."""
        self._taken[step.name].discard(step.occurrence)

    async def record(self, step: Step, result: Any) -> Any:
        """Record what the step's function returned; returns it as a replay would.

        Raises:
            PermanentError: It is not JSON, or not what the function declares. The step's effect has
                happened, and every further attempt would make it happen again.
        """
        try:
            text = step.as_json(result)
            answer = step.revived(text)
        except (PydanticSerializationError, ValueError, TypeError, RecursionError) as error:
            why = f"the result of step {step.key!r} is not JSON, or not what its function declares"
            raise PermanentError(why, code="invalid_step_result") from error
        await self._journal.record(step.key, json.loads(text), self._clock.now_ms() - step.began_ms)
        return answer


@dataclass(frozen=True, slots=True)
class Step:
    """One step of an attempt.

    Attributes:
        name: As the agent calls it.
        occurrence: How many steps of that name the attempt has taken, this one included.
        key: Its name in the log.
        found: An earlier attempt recorded it.
        began_ms: When it was asked for.
        declared: What its function says it returns; None where it says nothing that can be checked.
    """

    name: str
    occurrence: int
    key: str
    found: bool
    began_ms: int
    declared: TypeAdapter[Any] | None

    def as_json(self, result: Any) -> str:
        """The canonical JSON of what the function returned.

        Raises:
            PydanticSerializationError, ValueError, TypeError, RecursionError: It has none.
        """
        if self.declared is None:
            value = to_jsonable_python(result)
        else:
            value = self.declared.dump_python(result, mode="json", by_alias=False, round_trip=True, warnings=False)
        text = canonical_json(value)
        text.encode()  # half a surrogate pair is text to Python and nothing to the rest of the world
        return text

    def revived(self, text: str) -> Any:
        """What a recorded result is to the agent.

        Raises:
            ValueError: It is not what the function declares.
        """
        if self.declared is None:
            return json.loads(text)
        return self.declared.validate_json(text, by_alias=False, by_name=True)


class Integrations(Protocol):
    """The integrations of an attempt."""

    def client(self, name: str) -> IntegrationClient:
        """A client of the integration `name`.

        Raises:
            PermanentError: The agent does not declare it, or there is none (`integration_not_declared`).
        """
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
        self._clock = clock
        self._run_sync = run_sync
        self._integrations = integrations

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

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


async def _awaited(result: Awaitable[T]) -> T:
    return await result


def _declared(function: Callable[..., Any]) -> TypeAdapter[Any] | None:
    try:
        annotation = inspect.signature(function, eval_str=True).return_annotation
    except Exception:  # noqa: BLE001 - builtins have no signature, and an annotation may be any expression
        return None
    return None if annotation in (inspect.Signature.empty, None, Any) else TypeAdapter(annotation)


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
        "trace_id": message.trace,
    }
