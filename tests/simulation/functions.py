"""Lambda functions: environments that come and go, one invocation at a time in each, killed at the timeout.

Invariant: between two invocations an environment is frozen, as Lambda's are: what its code left running goes on when
the next invocation thaws it, however much later that is.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from tests.simulation.history import History
from tests.simulation.processes import Process

T = TypeVar("T")

Finished = Callable[[bool, Any], None]
"""Told whether the invocation came to its end, and its result."""

Build = Callable[[Process], T]
"""What a new environment wires together."""

Run = Callable[[T, str, float, Any], Coroutine[Any, Any, Any]]
"""One invocation: tools, request id, when it will be killed (seconds of virtual time), event."""


@dataclass(slots=True, eq=False)
class Environment(Generic[T]):
    """A process and what it was given at its start."""

    process: Process
    tools: T


class Function(Generic[T]):
    """One Lambda function.

    Args:
        make_process: Makes the process of a new environment.
        build: Called for each new environment.
        run: Called for each invocation.
    """

    def __init__(
        self,
        name: str,
        timeout_seconds: float,
        history: History,
        make_process: Callable[[str], Process],
        build: Build[T],
        run: Run[T],
    ) -> None:
        self.name = name
        self.timeout_seconds = timeout_seconds
        self.active = 0
        self.died: set[str] = set()
        self._history = history
        self._make_process = make_process
        self._build = build
        self._run = run
        self._idle: list[Environment[T]] = []
        self._environments = 0
        self._requests = 0

    def invoke(self, event: Any, finished: Finished) -> None:
        """Run one invocation; `finished` is called when it is over, whichever way."""
        self.active += 1
        environment = self._environment()
        process = environment.process
        scheduler = process.scheduler
        self._requests += 1
        request_id = f"{self.name}/{self._requests}"
        over = False

        def end(fine: bool, result: Any) -> None:
            nonlocal over
            if over:
                return
            over = True
            timeout.cancel()
            process.forget_death()
            self.active -= 1
            if fine and process.alive:
                self._keep(environment)
            else:
                self.died.add(request_id)
            finished(fine, result)

        async def work() -> None:
            try:
                result = await self._run(environment.tools, request_id, ends, event)
            except Exception as error:  # noqa: BLE001 - a handler that raises is an error of the function
                self._history.broken.append(f"{request_id}: {type(error).__name__}: {error}")
                end(False, None)
                process.die("its handler raised")
            else:
                end(True, result)

        ends = scheduler.now + self.timeout_seconds
        timeout = scheduler.at(ends, None, process.die, (f"{self.name} timed out",))
        process.when_dead(lambda: end(False, None))
        process.loop.thaw()
        process.spawn(work())

    def _environment(self) -> Environment[T]:
        if self._idle:
            return self._idle.pop()
        self._environments += 1
        process = self._make_process(f"{self.name}#{self._environments}")
        return Environment(process, self._build(process))

    def _keep(self, environment: Environment[T]) -> None:
        process = environment.process
        if process.faults.happens("recycle", process.scheduler.now):
            process.die("its environment was recycled")
            return
        process.loop.freeze()
        self._idle.append(environment)
