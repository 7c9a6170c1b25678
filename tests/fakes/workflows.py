"""Step Functions in memory: executions that go where a test sends them, and the states that wait for an answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from flotilla.errors import PermanentError
from flotilla.workflow_ports import Execution, ExecutionStatus, MapProgress

_LONGEST_DOCUMENT = 262_144
_LONGEST_ERROR = 256
_LONGEST_CAUSE = 32_768


class MemoryExecutions:
    """`Executions` that stay as they are until a test ends them.

    Args:
        workflows: The workflows that have a state machine.
    """

    def __init__(self, workflows: Iterable[str] = ("document-analysis",)) -> None:
        self.workflows = set(workflows)
        self.executions: dict[tuple[str, str], Execution] = {}
        self.documents: dict[tuple[str, str], str] = {}
        self.progress: dict[tuple[str, str], list[MapProgress]] = {}
        self.stopped: list[tuple[str, str, str]] = []
        self.starts = 0
        self.finds = 0

    async def start(self, workflow: str, name: str, document: str) -> bool:
        self.starts += 1
        await asyncio.sleep(0)
        if workflow not in self.workflows:
            raise PermanentError(f"there is no state machine for {workflow}", code="unknown_workflow")
        if len(document.encode()) > _LONGEST_DOCUMENT:
            raise PermanentError("the input is too long for an execution", code="input_too_long")
        json.loads(document)
        self.documents.setdefault((workflow, name), document)
        started = Execution(workflow, name, ExecutionStatus.RUNNING)
        return self.executions.setdefault((workflow, name), started).status is ExecutionStatus.RUNNING

    async def stop(self, workflow: str, name: str, cause: str) -> None:
        await asyncio.sleep(0)
        found = self.executions.get((workflow, name))
        if found is not None and found.status is ExecutionStatus.RUNNING:
            self.stopped.append((workflow, name, cause))
            self.end(workflow, name, ExecutionStatus.ABORTED, cause=cause)

    async def find(self, workflow: str, name: str) -> Execution | None:
        self.finds += 1
        await asyncio.sleep(0)
        return self.executions.get((workflow, name))

    async def maps(self, workflow: str, name: str) -> list[MapProgress]:
        await asyncio.sleep(0)
        return list(self.progress.get((workflow, name), []))

    def end(
        self,
        workflow: str,
        name: str,
        status: ExecutionStatus,
        *,
        output: str | None = None,
        error: str | None = None,
        cause: str | None = None,
    ) -> Execution:
        """Have an execution end so."""
        ended = replace(self.executions[workflow, name], status=status, output=output, error=error, cause=cause)
        self.executions[workflow, name] = ended
        return ended


@dataclass(frozen=True)
class Answer:
    """What a state was told.

    Attributes:
        output: Of success, JSON text; None of failure.
    """

    token: str
    output: str | None = None
    error: str | None = None
    cause: str | None = None


@dataclass
class MemoryTaskTokens:
    """`TaskTokens` of states that each wait for one answer.

    Attributes:
        waiting: The tokens of the states that wait.
        answers: What states were told, in order.
        late: Answers that came when nobody waited.
    """

    waiting: set[str] = field(default_factory=set)
    answers: list[Answer] = field(default_factory=list)
    late: list[Answer] = field(default_factory=list)

    async def succeed(self, token: str, output: str) -> bool:
        json.loads(output)
        if len(output.encode()) > _LONGEST_DOCUMENT:
            raise ValueError("the output is too long")
        return await self._answer(Answer(token, output=output))

    async def fail(self, token: str, error: str, cause: str) -> bool:
        if len(error) > _LONGEST_ERROR or len(cause) > _LONGEST_CAUSE:
            raise ValueError("the error is too long")
        return await self._answer(Answer(token, error=error, cause=cause))

    def answers_to(self, token: str) -> list[Answer]:
        """What the state of this token was told."""
        return [answer for answer in self.answers if answer.token == token]

    async def _answer(self, answer: Answer) -> bool:
        await asyncio.sleep(0)
        if answer.token not in self.waiting:
            self.late.append(answer)
            return False
        self.waiting.discard(answer.token)
        self.answers.append(answer)
        return True
