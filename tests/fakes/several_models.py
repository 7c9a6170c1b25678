"""Several models behind one provider, each of which does as it is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from flotilla.errors import FlotillaError
from flotilla.llm_ports import ModelReply, ModelRequest, ModelUnavailableError

WELL = ModelReply(text="well", input_tokens=100, output_tokens=20)

Answer = Callable[[], ModelReply | FlotillaError]


@dataclass
class SeveralModels:
    """`ModelProvider` whose models answer as they are told to: well, where nothing is said of one.

    Attributes:
        answers: By the model's id: what it answers or raises, anew for every call.
        seconds: How long each takes, by id.
        asked: Every request that reached a model, in order, with its model's id.
        under_way: Requests that are being answered.
    """

    answers: dict[str, Answer] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    asked: list[tuple[str, ModelRequest]] = field(default_factory=list)
    under_way: int = 0

    def die(self, model_id: str, error: FlotillaError | None = None) -> None:
        """From now on it fails, as `error` says."""
        failure = error or ModelUnavailableError("it failed")
        self.answers[model_id] = lambda: failure

    def recover(self, model_id: str) -> None:
        """It is well again."""
        self.answers.pop(model_id, None)

    def calls(self, model_id: str) -> int:
        """How often a model was asked."""
        return sum(found == model_id for found, _ in self.asked)

    async def converse(self, model_id: str, request: ModelRequest, *, timeout_ms: int) -> ModelReply:
        self.asked.append((model_id, request))
        self.under_way += 1
        try:
            seconds = self.seconds.get(model_id, 0.1)
            await asyncio.sleep(min(seconds, timeout_ms / 1000))
            if seconds > timeout_ms / 1000:
                raise ModelUnavailableError("it did not answer in time", code="model_timeout")
        finally:
            self.under_way -= 1
        answer = self.answers.get(model_id, lambda: WELL)()
        if isinstance(answer, FlotillaError):
            raise answer
        return answer
