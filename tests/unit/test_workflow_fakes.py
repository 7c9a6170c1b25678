"""The fakes of Step Functions keep the contracts of what they stand for."""

from __future__ import annotations

import itertools
import json

import pytest

from flotilla.workflow_ports import ExecutionStatus
from tests.contracts.executions import (
    CAUSE,
    ERROR,
    OUTPUT,
    WELL,
    WORKFLOW,
    EndedExecutionsContract,
    ExecutionsContract,
    LetEnd,
)
from tests.contracts.task_tokens import AskedToken, TaskTokensContract, ToldTo
from tests.fakes.workflows import Answer, MemoryExecutions, MemoryTaskTokens


class TestMemoryExecutions(ExecutionsContract, EndedExecutionsContract):
    @pytest.fixture
    def executions(self) -> MemoryExecutions:
        return MemoryExecutions([WORKFLOW])

    @pytest.fixture
    def let_end(self, executions: MemoryExecutions) -> LetEnd:
        def end(name: str) -> None:
            if executions.documents[WORKFLOW, name] == WELL:
                executions.end(WORKFLOW, name, ExecutionStatus.SUCCEEDED, output=json.dumps(OUTPUT))
            else:
                executions.end(WORKFLOW, name, ExecutionStatus.FAILED, error=ERROR, cause=CAUSE)

        return end


class TestMemoryTaskTokens(TaskTokensContract):
    @pytest.fixture
    def tokens(self) -> MemoryTaskTokens:
        return MemoryTaskTokens()

    @pytest.fixture
    def asked(self, tokens: MemoryTaskTokens) -> AskedToken:
        numbers = itertools.count()

        def ask() -> str:
            token = f"token-{next(numbers)}"
            tokens.waiting.add(token)
            return token

        return ask

    @pytest.fixture
    def told_to(self, tokens: MemoryTaskTokens) -> ToldTo:
        def told(token: str) -> Answer:
            (answer,) = tokens.answers_to(token)
            return answer

        return told
