"""What agents call others through, wired to AWS: integrations, language models, and what protects both sides.

Most processes make no such call: each part is imported and made with the first that needs it.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
import uuid
from functools import cached_property
from typing import TYPE_CHECKING

from flotilla.clock import SystemClock
from flotilla.primitives.rest import Rests
from flotilla.runtime import clients, threads

if TYPE_CHECKING:
    from flotilla.circuit_ports import Transitions
    from flotilla.integration_ports import HttpTransport, Secrets
    from flotilla.integrations.desk import IntegrationDesk
    from flotilla.llm.declaration import Model
    from flotilla.llm_ports import ModelProvider
    from flotilla.metric_ports import Metrics
    from flotilla.runtime.settings import WorkerSettings
    from flotilla.services.attempt_budgets import BudgetDesk
    from flotilla.services.dependency import Dependencies
    from flotilla.services.limits import Limiter
    from flotilla.services.models import ModelDesk

_AWS_THREADS = 20  # two calls for each task of a full batch
_MODEL_THREADS = 32  # one waits for each answer that is under way, and for some that nobody waits for any more
_RESOLVING_THREADS = 4  # a lookup that hangs holds up no other call of ours

_GIVE_BACK_SECONDS = 1.0

_SOURCE = "flotilla"
"""What notices on the bus say they come from."""


class Calling:
    """The desks that agents' calls go through, one of each in a process.

    Args:
        settings: What the worker is told.
        metrics: Counts.
    """

    def __init__(self, settings: WorkerSettings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._clock = SystemClock()
        self._random = random.Random()
        self._rests = Rests()
        # Plain agents ask on threads of their own.
        self._making = threading.RLock()

    def integrations(self) -> IntegrationDesk:
        """What calls to integrations go through."""
        with self._making:
            return self._integration_desk

    def models(self) -> ModelDesk:
        """What calls to language models go through."""
        with self._making:
            return self._model_desk

    def budgets(self) -> BudgetDesk:
        """What calls to models may cost."""
        with self._making:
            return self._budget_desk

    def begin(self, now_ms: int) -> None:
        """An invocation begins."""
        self._rests.begin(now_ms)

    async def end(self) -> None:
        """It ends: send what is due to be told, and give back what others would wait for while this process rests."""
        for desk in ("_integration_desk", "_model_desk", "_budget_desk"):
            if desk in self.__dict__:
                await getattr(self, desk).flush()
        if self._rests.end(self._clock.now_ms()) and "_limiter" in self.__dict__:
            # What does not get through within the time is lost to all.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_GIVE_BACK_SECONDS):
                    await self._limiter.release()

    @cached_property
    def _integration_desk(self) -> IntegrationDesk:
        from flotilla.dynamo.slots import DynamoSlots
        from flotilla.integrations.declaration import deployed
        from flotilla.integrations.desk import IntegrationDesk
        from flotilla.services.concurrency_caps import ConcurrencyCaps
        from flotilla.services.protection import Protections

        slots = DynamoSlots(clients.dynamodb(), self._settings.control_table, self._aws)
        caps = ConcurrencyCaps(slots, self._clock, self._random, metrics=self._metrics)
        return IntegrationDesk(
            deployed(),
            transport=self._transport,
            secrets=self._secrets,
            protect=Protections(self._dependencies, caps).of,
            clock=self._clock,
            random=self._random,
            metrics=self._metrics,
        )

    @cached_property
    def _model_desk(self) -> ModelDesk:
        from flotilla.llm.declaration import deployed
        from flotilla.services.model_protection import ModelProtections
        from flotilla.services.models import ModelDesk

        return ModelDesk(
            deployed(),
            provide=self._provider,
            protect=ModelProtections(self._dependencies).of,
            clock=self._clock,
            random=self._random,
            metrics=self._metrics,
        )

    def _provider(self, model: Model) -> ModelProvider:
        """What serves a model; one of each kind imports what it needs."""
        if model.base_url is None:
            from flotilla.bedrock.converse import BedrockModels

            return BedrockModels(clients.bedrock_runtime, self._model_threads, self._clock, model.structured)
        from flotilla.integrations.declaration import Auth
        from flotilla.llm.openai_compatible import OpenAiCompatible

        return OpenAiCompatible(
            base_url=model.base_url,
            transport=self._transport,
            secrets=self._secrets,
            clock=self._clock,
            auth=None if model.secret is None else Auth("bearer", model.secret),
            private=model.private,
            structured=model.structured or "schema",
            max_tokens_member=model.max_tokens_member,
        )

    @cached_property
    def _budget_desk(self) -> BudgetDesk:
        from flotilla.budget_declaration import DeclaredBudgets
        from flotilla.dynamo.budgets import DynamoBudgets
        from flotilla.services.attempt_budgets import BudgetDesk
        from flotilla.services.budgets import Budgets

        store = DynamoBudgets(
            clients.dynamodb(), self._settings.control_table, threads.ThreadRunner("budgets", _AWS_THREADS)
        )
        budgets = Budgets(store, self._clock, self._random, metrics=self._metrics)
        return BudgetDesk(budgets, DeclaredBudgets.deployed(), self._clock)

    @cached_property
    def _aws(self) -> threads.ThreadRunner:
        return threads.ThreadRunner("protection", _AWS_THREADS)

    @cached_property
    def _resolving(self) -> threads.ThreadRunner:
        return threads.ThreadRunner("resolve", _RESOLVING_THREADS)

    @cached_property
    def _model_threads(self) -> threads.ThreadRunner:
        return threads.ThreadRunner("model", _MODEL_THREADS)

    @cached_property
    def _dependencies(self) -> Dependencies:
        from flotilla.dynamo.circuits import DynamoCircuits
        from flotilla.services.dependency import Dependencies

        return Dependencies(
            circuits=DynamoCircuits(clients.dynamodb(), self._settings.control_table, self._aws),
            limiter=self._limiter,
            clock=self._clock,
            random=self._random,
            environment=uuid.uuid4().hex,
            transitions=self._transitions,
            metrics=self._metrics,
        )

    @cached_property
    def _limiter(self) -> Limiter:
        from flotilla.dynamo.buckets import DynamoBuckets
        from flotilla.dynamo.limit_settings import DynamoLimitSettings
        from flotilla.services.limit_board import LimitBoard
        from flotilla.services.limits import Limiter

        control = self._settings.control_table
        return Limiter(
            DynamoBuckets(clients.dynamodb(), control, self._aws),
            self._clock,
            self._random,
            board=LimitBoard(
                DynamoLimitSettings(clients.dynamodb(), control, self._aws), self._clock, metrics=self._metrics
            ),
            metrics=self._metrics,
        )

    @cached_property
    def _transport(self) -> HttpTransport:
        from flotilla.outbound.http import Http
        from flotilla.outbound.resolver import SystemResolver

        return Http(SystemResolver(self._resolving), self._resolving)

    @cached_property
    def _secrets(self) -> Secrets:
        from flotilla.secretsmanager.secrets import SecretsManagerSecrets

        return SecretsManagerSecrets(clients.secretsmanager, self._aws)

    @cached_property
    def _transitions(self) -> Transitions:
        from flotilla.eventbridge.bus import EventBridgeBus
        from flotilla.services.circuit_notices import ToldTransitions

        name = self._settings.event_bus
        bus = None if name is None else EventBridgeBus(clients.eventbridge(), name, _SOURCE, self._aws)
        return ToldTransitions(bus, self._metrics, self._clock)
