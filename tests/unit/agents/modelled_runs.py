"""Steps of a run whose agents call models, which answer what a test says, one after the other."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from flotilla.llm_ports import ModelReply, ModelRequest
from flotilla.services.dependency import Dependencies
from flotilla.services.limits import Limiter
from flotilla.services.model_protection import ModelProtections
from flotilla.services.models import ModelDesk
from tests.fakes.circuits import MemoryCircuits
from tests.fakes.limits import MemoryBuckets
from tests.fakes.several_models import SeveralModels
from tests.unit.agents.steps_of_a_run import StepsOfARun
from tests.unit.llm.declarations import routes
from tests.unit.services.model_callers import MEDIUM

ROUTE = "alone"
"""Of one model."""


class ModelledRun(StepsOfARun):
    """The steps of a run."""

    def __init__(self, *agents: Callable[..., Any]) -> None:
        super().__init__(*agents)
        self.models = SeveralModels(seconds={MEDIUM: 0.0})
        chance = random.Random(7)
        protections = ModelProtections(
            Dependencies(
                circuits=MemoryCircuits(),
                limiter=Limiter(MemoryBuckets(), self.fleet.clock, chance),
                clock=self.fleet.clock,
                random=chance,
                environment="process",
            )
        )
        desk = ModelDesk(
            routes(),
            provide=lambda _model: self.models,
            protect=protections.of,
            clock=self.fleet.clock,
            random=chance,
        )
        self.process = replace(self.fleet.process(), models=lambda: desk)

    def says(self, *texts: str) -> None:
        """The model answers so, one text after the other, the last one for ever."""
        rest = list(texts)

        def answer() -> ModelReply:
            return ModelReply(text=rest.pop(0) if len(rest) > 1 else rest[0], input_tokens=10, output_tokens=10)

        self.models.answers[MEDIUM] = answer

    @property
    def asked(self) -> list[ModelRequest]:
        """What the model was asked."""
        return [request for _, request in self.models.asked]
