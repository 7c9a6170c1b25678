"""What clients and operators do in one history: they call the API, and call again where no answer comes.

Invariant: a client knows only what it was answered. What it was answered is kept for the checker, as a promise.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from flotilla.coordination import Pause, PauseScope
from flotilla.errors import FlotillaError, RetryableError
from flotilla.services.redrive import Correction
from flotilla.services.signal import AlreadySignalledError, Signalled
from flotilla.services.signal import Signal as TaskSignal
from flotilla.services.submit import Submission
from tests.simulation.agents import SIGNAL, SPECS
from tests.simulation.faults import SLOWEST_SECONDS
from tests.simulation.history import Answer
from tests.simulation.processes import true_ms
from tests.simulation.roles import ApiTools
from tests.simulation.states import body_of, token_of
from tests.simulation.workload import Cancel, Hold, Operation, Redrive, Signal, Submit, SubmitMany, Wait
from tests.simulation.world import World

_ASKS_TWICE = 8

ApiCall = Callable[[ApiTools, str], Coroutine[Any, Any, Any]]

PATIENCE_SECONDS = (0.05, 0.5, 3.0, 20.0, 400.0)
"""A client comes again after one of these; the last is beyond the queues' deduplication."""


class UnansweredError(Exception):
    """The call brought no answer, or an error that says to come again."""


class Clients:
    """All clients of a history."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._process = world.process("clients", immortal=True)
        self.running = 0
        self.broken: Exception | None = None

    def start(self) -> None:
        """Set them going."""
        for operations in self._world.workload.clients:
            self.running += 1
            self._process.spawn(self._watched(self._client(operations)))

    async def _client(self, operations: Iterable[Operation]) -> None:
        for operation in operations:
            match operation:
                case Wait(seconds):
                    await asyncio.sleep(seconds)
                case Submit(ordered=True):
                    self._order(operation)
                case Submit():
                    await self._submit((operation,), operation.tries, many=False)
                case SubmitMany(tasks, tries):
                    await self._submit(tasks, tries, many=True)
                case Cancel():
                    await self._cancel(operation)
                case Signal():
                    await self._signal(operation)
                case Redrive():
                    await self._redrive(operation)
                case Hold():
                    await self._hold(operation)
        self.running -= 1

    async def _watched(self, work: Coroutine[Any, Any, None]) -> None:
        """A client that breaks is a fault of the simulation, and ends it."""
        try:
            await work
        except Exception as error:  # noqa: BLE001 - raised where the history is run
            self.broken = error

    async def _call(self, call: ApiCall) -> Any:
        """One call of the API; its Lambda may die over it."""
        answer: asyncio.Future[Any] = asyncio.Future(loop=self._process.loop)

        def finished(fine: bool, result: Any) -> None:
            if answer.done():
                return
            if fine:
                answer.set_result(result)
            else:
                answer.set_exception(UnansweredError("the function died"))

        self._world.api.invoke(call, finished)
        return await answer

    async def _patiently(self, tries: int, call: ApiCall) -> Any:
        """Call until there is an answer.

        Raises:
            UnansweredError: There was none.
        """
        for number in range(tries):
            if number:
                await asyncio.sleep(PATIENCE_SECONDS[self._world.faults.choice(len(PATIENCE_SECONDS))])
            try:
                answer = await self._call(call)
            except UnansweredError:
                continue
            if not isinstance(answer, RetryableError):
                return answer
        raise UnansweredError

    async def _submit(self, tasks: tuple[Submit, ...], tries: int, *, many: bool) -> None:
        world = self._world
        asked = world.scheduler.now
        for task in tasks:
            world.history.asked.setdefault(task.number, asked)
        waiting = list(tasks)

        async def submit(tools: ApiTools, request_id: str) -> list[Any]:
            wanted = [_submission(task, request_id, true_ms(asked)) for task in waiting]
            try:
                return await tools.submit.submit_batch(wanted) if many else [await tools.submit.submit(wanted[0])]
            except FlotillaError as error:
                return [error] * len(wanted)

        for number in range(tries):
            if number:
                await asyncio.sleep(PATIENCE_SECONDS[world.faults.choice(len(PATIENCE_SECONDS))])
            try:
                outcomes = await self._call(submit)
            except UnansweredError:
                continue
            left = []
            for task, outcome in zip(waiting, outcomes, strict=True):
                if isinstance(outcome, RetryableError):
                    left.append(task)
                elif isinstance(outcome, FlotillaError):
                    world.history.refused.append(f"submit {task.number}: {outcome.code}")
                else:
                    self._answer("submit", task.number, asked, outcome.state.task_id, outcome)
            waiting[:] = left
            if not left:
                return

    def _order(self, task: Submit) -> None:
        """A state asks for a task; sometimes its message comes twice, the second time beyond all deduplication."""
        world = self._world
        world.history.asked.setdefault(task.number, world.scheduler.now)
        token = token_of(task.number)
        world.states.asked.add(token)
        world.states.waiting.add(token)

        def send(number: int) -> None:
            world.lanes[task.lane].send(world.scheduler.now, body_of(task), token, f"{token}/{number}")

        send(0)
        if task.tries == _ASKS_TWICE:
            self._process.spawn(self._watched(self._later(PATIENCE_SECONDS[-1], lambda: send(1))))

    async def _later(self, seconds: float, act: Callable[[], None]) -> None:
        self.running += 1
        await asyncio.sleep(seconds)
        act()
        self.running -= 1

    async def _cancel(self, operation: Cancel) -> None:
        asked = self._world.scheduler.now
        task = self._world.workload.tasks[operation.number]

        async def cancel(tools: ApiTools, request_id: str) -> Any:
            return await _answered(
                tools.cancel.cancel(task.tenant, task.task_id, actor="key:client", request_id=request_id)
            )

        await self._until_answered("cancel", operation.number, operation.tries, asked, cancel)

    async def _signal(self, operation: Signal) -> None:
        world = self._world
        asked = world.scheduler.now
        task = world.workload.tasks[operation.number]

        async def signal(tools: ApiTools, request_id: str) -> Any:
            told = TaskSignal(SIGNAL, operation.payload, "key:client", request_id)
            return await _answered(tools.signals.signal(task.task_id, told, tenant=task.tenant))

        for number in range(operation.tries):
            if number:
                await asyncio.sleep(PATIENCE_SECONDS[world.faults.choice(len(PATIENCE_SECONDS))])
            try:
                outcome = await self._call(signal)
            except UnansweredError:
                continue
            if isinstance(outcome, Signalled):
                self._answer("signal", operation.number, asked, task.task_id, (operation.payload, outcome))
                return
            if isinstance(outcome, AlreadySignalledError):
                world.history.refused.append(f"signal {operation.number}: {outcome.code}")
                return

    async def _redrive(self, operation: Redrive) -> None:
        asked = self._world.scheduler.now
        task = self._world.workload.tasks[operation.number]
        correction = None
        if operation.moves is not None:
            correction = Correction({**task.input(), "moves": list(operation.moves)})

        async def redrive(tools: ApiTools, request_id: str) -> Any:
            return await _answered(
                tools.redrive.redrive(task.task_id, actor="key:operator", request_id=request_id, correction=correction)
            )

        await self._until_answered("redrive", operation.number, operation.tries, asked, redrive)

    async def _until_answered(self, what: str, number: int, tries: int, asked: float, call: ApiCall) -> None:
        try:
            outcome = await self._patiently(tries, call)
        except UnansweredError:
            return
        if isinstance(outcome, FlotillaError):
            self._world.history.refused.append(f"{what} {number}: {outcome.code}")
        elif outcome is not None:
            self._answer(what, number, asked, outcome.state.task_id, outcome)

    async def _hold(self, operation: Hold) -> None:
        """An operator pauses, and resumes after a while."""
        world = self._world
        scope = PauseScope(operation.scope)
        pause = Pause(scope, operation.name, "by the workload", "key:operator", true_ms(world.scheduler.now))

        async def put(tools: ApiTools, request_id: str) -> Any:
            return await _answered(tools.pauses.put(pause))

        async def remove(tools: ApiTools, request_id: str) -> Any:
            return await _answered(tools.pauses.remove(scope, operation.name))

        with contextlib.suppress(UnansweredError):
            await self._patiently(4, put)
        self._process.spawn(self._watched(self._resume(operation.seconds, remove)))

    async def _resume(self, seconds: float, remove: ApiCall) -> None:
        """Operators do not give up, and look again whether a late answer has undone it: what is paused never ends."""
        self.running += 1
        await asyncio.sleep(seconds)
        await self._patiently(1000, remove)
        await asyncio.sleep(2 * SLOWEST_SECONDS)
        await self._patiently(1000, remove)
        self.running -= 1

    def _answer(self, what: str, number: int, asked: float, task_id: str, value: Any) -> None:
        now = self._world.scheduler.now
        self._process.note(f"is answered {what} {number}")
        self._world.history.answers.append(Answer(what, number, asked, now, task_id, value))


async def _answered(work: Coroutine[Any, Any, Any]) -> Any:
    """An error is an answer too."""
    try:
        return await work
    except FlotillaError as error:
        return error


def _submission(task: Submit, request_id: str, asked_ms: int) -> Submission:
    due = None if task.delay_seconds is None else asked_ms + int(task.delay_seconds * 1000)
    deadline = None if task.deadline_seconds is None else asked_ms + int(task.deadline_seconds * 1000)
    return Submission(
        tenant=task.tenant,
        actor="key:client",
        request_id=request_id,
        agent=SPECS[task.agent],
        lane=task.lane,
        input=task.input(),
        request={"agent": task.agent, "input": task.input()},
        session=task.session,
        idempotency_key=task.key,
        max_attempts=task.max_attempts,
        due_at_ms=due,
        deadline_ms=deadline,
    )
