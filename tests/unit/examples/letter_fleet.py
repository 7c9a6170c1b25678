"""The fleet of the migration example in memory: its API over HTTP, a worker with models, and a post office."""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import Any

import httpx

from benchmarks.fault_lab.script import Reply, Script
from cli.connection import Connection
from examples.migration.flotilla_api import Flotilla
from flotilla.agents.decorator import definition_of
from flotilla.integrations.desk import IntegrationDesk
from flotilla.models import Delivery, TaskMessage
from flotilla.services.attempt_tools import AttemptTools
from flotilla.services.dependency import Dependencies
from flotilla.services.limits import Limiter
from flotilla.services.model_protection import ModelProtections
from flotilla.services.models import ModelDesk
from tests.fakes.circuits import MemoryCircuits
from tests.fakes.integrations import MemoryProtection, MemorySecrets, MemoryTransport
from tests.fakes.limits import MemoryBuckets
from tests.fakes.several_models import SeveralModels
from tests.unit.api.api import Api
from tests.unit.integrations.declarations import integrations
from tests.unit.llm.declarations import routes
from tests.unit.services.crashes import Calls, Died
from tests.unit.services.fleet import Fleet, run

MODEL = "vendor.fast"
_MODELS = f"""
[models.quick]
id = "{MODEL}"
price = {{ input_usd = 1, output_usd = 5 }}

[routes.fast]
models = ["quick"]
"""
_POST = '[integrations.post]\nbase_url = "https://post.example/"\n'
_CONNECTION = Connection("https://flotilla.example", "flt_test", "flt_test")
_ROUNDS = 60
_ROUND_SECONDS = 100


@dataclass
class LetterFleet:
    """A deployment that the phases of the example speak to.

    Attributes:
        agents: The module of the phase's agents.
        hand_out_alone: Every task is a batch of its own.
    """

    agents: ModuleType
    models: SeveralModels = field(default_factory=lambda: SeveralModels(seconds={MODEL: 0.0}))
    post: MemoryTransport = field(default_factory=lambda: MemoryTransport(Script.steady(Reply(status=201))))
    _waiting: dict[str, tuple[TaskMessage, int]] = field(default_factory=dict)
    _taken: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.fleet = Fleet([found for found in vars(self.agents).values() if definition_of(found) is not None])
        self.process = self.another_process()
        self.api = Api(
            clock=self.fleet.clock,
            memory=self.fleet.log,
            lanes=self.fleet.lanes,
            delays=self.fleet.delays,
            payloads=self.fleet.payloads,
            catalog=self.fleet.catalog,
        )

    def another_process(self, calls: Calls | None = None) -> AttemptTools:
        """A worker's process; `calls` may end it at one of its calls, to models and the post office too."""
        through: Callable[[Any], Any] = calls.through if calls is not None else lambda port: port
        chance, clock = random.Random(7), self.fleet.clock
        protections = ModelProtections(
            Dependencies(
                circuits=MemoryCircuits(),
                limiter=Limiter(MemoryBuckets(), clock, chance),
                clock=clock,
                random=chance,
                environment="letters",
            )
        )
        models = ModelDesk(
            routes(_MODELS),
            provide=lambda _model: through(self.models),
            protect=protections.of,
            clock=clock,
            random=chance,
        )
        protection = MemoryProtection()
        desk = IntegrationDesk(
            integrations(_POST),
            transport=through(self.post),
            secrets=MemorySecrets(),
            protect=lambda _integration: protection,
            clock=clock,
            random=chance,
        )
        return replace(self.fleet.process(calls), models=lambda: models, integrations=lambda: desk)

    def client(self) -> Flotilla:
        """Speaks HTTP to the deployment, whose workers are at it whenever they are asked for something."""
        return Flotilla(_CONNECTION, transport=httpx.MockTransport(self._answer), sleep=self.fleet.clock.advance)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            self.work()
        answer = self.api.call(
            request.method,
            request.url.path,
            json.loads(request.content) if request.content else None,
            headers={name.lower(): value for name, value in request.headers.items()},
        )
        return httpx.Response(answer.status, headers=answer.headers, text=answer.text)

    def work(self, first: AttemptTools | None = None) -> None:
        """Work until nothing is left to be done; `first` is the process that begins, and may die over it."""
        process = first or self.process
        for _ in range(_ROUNDS):
            self._receive()
            if not self._waiting:
                return
            self._waiting = {name: (message, count + 1) for name, (message, count) in self._waiting.items()}
            batch = [
                Delivery(name, f"{name}/{count}", message.group, count, message.to_body())
                for name, (message, count) in self._waiting.items()
            ]
            with contextlib.suppress(Died):
                for delivery in run(self.fleet.deliver(*batch, process=process)).done:
                    del self._waiting[delivery.message_id]
            process = self.process
            self.fleet.clock.advance(_ROUND_SECONDS)
        raise AssertionError(f"still waiting: {sorted(self._waiting)}")

    def _receive(self) -> None:
        for name, message in self.fleet.lanes.sent.items():
            if name not in self._taken:
                self._taken.add(name)
                self._waiting[name] = (message, 0)
        for tier in list(self.fleet.delays.tiers):
            for message in self.fleet.delays.take(tier):
                self._waiting[message.deduplication_id] = (message, 0)

    def posted(self) -> list[str]:
        """The letters that the post office sent on, in order: what it had seen, by its key, it dropped."""
        by_key = {dict(sent.headers)["idempotency-key"]: sent for _, sent in self.post.sent}
        return [json.loads(sent.body or b"{}")["letter"] for sent in by_key.values()]

    def asked(self, text: str) -> int:
        """How often a model was asked about a letter."""
        return sum(text in str(request) for _, request in self.models.asked)

    def statuses(self) -> dict[str, str]:
        """How each task stands, by its id."""
        return {task_id: run(self.fleet.state(task_id)).status.value for task_id in self.fleet.log.logs}
