"""The models in memory keep the contract of what they stand for."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import pytest

from benchmarks.fault_lab.script import Reply, Script
from benchmarks.fault_lab.scripted_model import Answer
from tests.contracts.model_provider import ModelProviderContract, Serving
from tests.fakes.models import MemoryModels, said
from tests.fakes.virtual_time import run_virtually

T = TypeVar("T")


class _InMemory(Serving):
    def __init__(self) -> None:
        self._models = MemoryModels(Script.steady())
        self.provider = self._models
        self.dead = unreachable = MemoryModels(Script.steady())
        unreachable.reachable = False

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return run_virtually(work)

    def follow(self, *replies: Reply) -> None:
        self._models.follow(Script.one_after_the_other(*replies))

    def body(self, answer: Answer) -> bytes:
        return said(answer)

    def failing(self, status: int, said: str = "as told", **headers: str) -> Reply:
        return Reply(status=status, headers=headers, body=said.encode())

    def sent(self) -> int:
        return len(self._models.sent)


class TestMemoryModels(ModelProviderContract):
    @pytest.fixture
    def serving(self) -> Callable[[], Serving]:
        return _InMemory
