"""What workflows need of Step Functions: executions of state machines, and the tokens by which states are answered."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class ExecutionStatus(StrEnum):
    """How an execution stands."""

    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    TIMED_OUT = "TIMED_OUT"
    ABORTED = "ABORTED"


@dataclass(frozen=True, slots=True)
class Execution:
    """An execution of a workflow's state machine.

    Attributes:
        name: Unique among all of the state machine's within 90 days.
        output: Its result as JSON text, once it succeeded.
        error: Name of the error it failed with.
        cause: The error's own words.
    """

    workflow: str
    name: str
    status: ExecutionStatus
    output: str | None = None
    error: str | None = None
    cause: str | None = None


@dataclass(frozen=True, slots=True)
class MapProgress:
    """How far a distributed map has got.

    Attributes:
        state: Name of the map's state, or its label.
    """

    state: str
    total: int
    pending: int
    running: int
    succeeded: int
    failed: int


class Executions(Protocol):
    """The state machines of the fleet's workflows, by the workflows' names."""

    async def start(self, workflow: str, name: str, document: str) -> bool:
        """Start an execution; one of this name that runs with this input already is the same.

        Args:
            workflow: Which workflow.
            name: Of the execution.
            document: Its input, JSON text of 256 KiB at the most.

        Returns:
            False where an execution of this name has ended.

        Raises:
            RetryableError: It is not known whether it was started.
            PermanentError: There is no such state machine (`unknown_workflow`), or the input is too long.
        """
        ...

    async def stop(self, workflow: str, name: str, cause: str) -> None:
        """Stop an execution; one that has ended, or was never started, stays as it is.

        Raises:
            RetryableError: Step Functions did not answer.
        """
        ...

    async def find(self, workflow: str, name: str) -> Execution | None:
        """The execution; None where there is none.

        Raises:
            RetryableError: Step Functions did not answer.
        """
        ...

    async def maps(self, workflow: str, name: str) -> list[MapProgress]:
        """How far the execution's distributed maps have got, in the order in which they were begun.

        Raises:
            RetryableError: Step Functions did not answer.
        """
        ...


class TaskTokens(Protocol):
    """Answers the states that wait for a task."""

    async def succeed(self, token: str, output: str) -> bool:
        """Go on with `output`, JSON text of 256 KiB at the most; False where nobody waits for this token any more.

        Raises:
            RetryableError: It is not known whether the answer arrived; giving it again is harmless.
        """
        ...

    async def fail(self, token: str, error: str, cause: str) -> bool:
        """Fail the state; False where nobody waits for this token any more.

        Args:
            token: The state's.
            error: What `Retry` and `Catch` match, 256 characters at the most.
            cause: More about it, 32,768 characters at the most.

        Raises:
            RetryableError: It is not known whether the answer arrived; giving it again is harmless.
        """
        ...
