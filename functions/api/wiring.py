"""The API's routes, wired to AWS. What few requests need is imported and made when one does."""

from __future__ import annotations

import os
from functools import cached_property
from typing import TYPE_CHECKING

from flotilla.runtime import clients, probes, threads
from functions.api.health import Readiness
from functions.api.service_wiring import ServiceWiring
from functions.api.tasks import TaskRoutes

if TYPE_CHECKING:
    from flotilla.services.decisions import Decisions
    from functions.api.agents import AgentRoutes
    from functions.api.batches import BatchRoutes
    from functions.api.circuits import CircuitRoutes
    from functions.api.dead_letters import DeadLetterRoutes
    from functions.api.decisions import DecisionRoutes
    from functions.api.lanes import LaneRoutes
    from functions.api.limits import LimitRoutes
    from functions.api.operations import TaskOperations
    from functions.api.states import StateRoutes
    from functions.api.webhooks import WebhookRoutes
    from functions.api.workflows import WorkflowRoutes

_PROBE_THREADS = 8
_RESOLVER_THREADS = 4
_SOURCE = "flotilla"


class Wiring(ServiceWiring):
    """The routes, wired to AWS; each kind is made when the first of it is asked for."""

    @cached_property
    def tasks(self) -> TaskRoutes:
        """Tasks."""
        return TaskRoutes(
            submissions=self._submissions,
            limits=self._submit_limits,
            submit=self._submit,
            read=self._read,
            listing=self._listing,
            views=self._views,
            clock=self._clock,
        )

    @cached_property
    def workflows(self) -> WorkflowRoutes:
        """Runs of workflows."""
        from flotilla.services.run_reading import RunReader
        from flotilla.services.run_story import RunStory
        from flotilla.services.runs import RunService
        from functions.api.workflows import RunRequests, WorkflowRoutes

        return WorkflowRoutes(
            requests=RunRequests(
                workflows=self._declared_workflows,
                lanes=self.lanes,
                validators=self._validators,
                endpoints=lambda: self._endpoint_directory,
                clock=self._clock,
            ),
            limits=self._submit_limits,
            runs=RunService(submit=self._submit, default_lane=self._settings.default_lane),
            read=self._read,
            reader=RunReader(
                views=self._read_model,
                listing=self._listing,
                executions=self._executions,
                workflows=self._declared_workflows,
            ),
            story=RunStory(self._read_model, self._listing),
            cancel=self._cancel,
            tasks=self._views,
            clock=self._clock,
        )

    @cached_property
    def operations(self) -> TaskOperations:
        """Cancelling and redriving tasks."""
        from functions.api.operations import TaskOperations

        return TaskOperations(
            cancel=self._cancel,
            redrive=self._redrive,
            signals=self._signals,
            catalog=self._runnable,
            validators=self._validators,
            views=self._views,
        )

    @cached_property
    def decisions(self) -> DecisionRoutes:
        """What people decide by links."""
        from functions.api.decisions import DecisionRoutes

        name = self._settings.decisions_secret
        return DecisionRoutes(None if name is None else self._decisions(name), self._settings.api_url)

    def _decisions(self, secret: str) -> Decisions:
        from flotilla.secretsmanager.secrets import SecretsManagerSecrets
        from flotilla.services.decision_links import SigningKey
        from flotilla.services.decisions import Decisions

        return Decisions(
            key=SigningKey(SecretsManagerSecrets(clients.secretsmanager, self._aws), secret, self._clock),
            logs=self._open_logs,
            signals=self._signals,
            endpoints=self._endpoints,
            clock=self._clock,
        )

    @cached_property
    def dead_letters(self) -> DeadLetterRoutes:
        """Dead letters."""
        from flotilla.services.dead_letters import DeadLetterService
        from functions.api.dead_letters import DeadLetterRoutes

        return DeadLetterRoutes(
            dead_letters=DeadLetterService(read_model=self._read_model, redrive=self._redrive, clock=self._clock),
            redrive=self._redrive,
            catalog=self._runnable,
            validators=self._validators,
            download_link=self._download_links,
            clock=self._clock,
        )

    @cached_property
    def webhooks(self) -> WebhookRoutes:
        """Webhook endpoints."""
        from flotilla.outbound.resolver import SystemResolver
        from flotilla.services.destinations import Destinations
        from flotilla.services.endpoints import EndpointService
        from functions.api.webhooks import WebhookRoutes

        resolver = SystemResolver(threads.ThreadRunner("resolver", _RESOLVER_THREADS))
        destinations = Destinations(resolver, self._settings.webhook_allow)
        return WebhookRoutes(EndpointService(self._endpoints, destinations, self._clock, os.urandom), self._runnable)

    @cached_property
    def agents(self) -> AgentRoutes:
        """Agents."""
        from functions.api.agents import AgentRoutes

        return AgentRoutes(self._catalog, self.lanes, self._pauses)

    @cached_property
    def states(self) -> StateRoutes:
        """Pauses."""
        from functions.api.states import StateRoutes

        return StateRoutes(
            pauses=self._pauses, catalog=self._catalog, lanes=self._settings.lanes.keys(), clock=self._clock
        )

    @cached_property
    def lane_status(self) -> LaneRoutes:
        """Lanes."""
        from flotilla.cloudwatch.lane_meter import CloudWatchLaneMeter, Measured
        from flotilla.services.lane_status import LaneStatusService
        from flotilla.sqs.lane_queues import SqsLaneQueues
        from functions.api.lanes import Concurrency, LaneRoutes

        workers = self._settings.workers
        lanes = self._settings.lanes
        measured = {
            name: Measured(queue=lane.queue_url.rpartition("/")[2], function=workers[name].function)
            for name, lane in lanes.items()
        }
        status = LaneStatusService(
            lanes=list(lanes),
            queues=SqsLaneQueues(
                clients.sqs(), {name: (lane.queue_url, lane.dlq_url) for name, lane in lanes.items()}, self._aws
            ),
            meter=CloudWatchLaneMeter(clients.cloudwatch, measured, self._clock, self._aws),
            pauses=self._pauses,
            read_model=self._read_model,
        )
        return LaneRoutes(
            status, {name: Concurrency(min=0, max=worker.maximum_concurrency) for name, worker in workers.items()}
        )

    @cached_property
    def batches(self) -> BatchRoutes:
        """Batches of tasks."""
        from functions.api.batches import BatchRoutes

        return BatchRoutes(
            submissions=self._submissions, limits=self._submit_limits, submit=self._submit, views=self._views
        )

    @cached_property
    def circuits(self) -> CircuitRoutes:
        """Circuits."""
        from flotilla.eventbridge.bus import EventBridgeBus
        from flotilla.services.circuit_desk import CircuitDesk
        from flotilla.services.circuit_notices import ToldTransitions
        from functions.api.circuits import CircuitRoutes
        from functions.api.protected import circuits

        name = self._settings.event_bus
        bus = None if name is None else EventBridgeBus(clients.eventbridge(), name, _SOURCE, self._aws)
        transitions = ToldTransitions(bus, self._metrics, self._clock)
        return CircuitRoutes(CircuitDesk(self._circuits, circuits(), self._clock, transitions))

    @cached_property
    def limits(self) -> LimitRoutes:
        """Limits."""
        from flotilla.services.limit_desk import LimitDesk
        from functions.api.limits import LimitRoutes
        from functions.api.protected import limits

        return LimitRoutes(
            LimitDesk(
                self._limit_settings, self._buckets, limits(), {agent.name for agent in self._runnable}, self._clock
            )
        )

    def readiness(self) -> Readiness:
        """What the API cannot do without. The scheduler is not asked: few tasks need it, and it costs a client."""
        settings = self._settings
        return Readiness(
            {
                "events": [probes.table(clients.dynamodb, settings.events_table, "task_id")],
                "control": [probes.table(clients.dynamodb, settings.control_table, "pk")],
                "views": [probes.table(clients.dynamodb, settings.views_table, "pk")],
                "lanes": [probes.queue(clients.sqs, url) for url in self.queue_urls.values()],
                "delays": [probes.queue(clients.sqs, url) for url in self.delay_urls.values()],
                "payloads": [probes.bucket(clients.s3, settings.payloads_bucket)],
            },
            threads.ThreadRunner("probe", _PROBE_THREADS),
            self._clock,
        )
