"""The API's routes, wired to AWS. What few requests need is imported and made when one does."""

from __future__ import annotations

import os
from functools import cached_property
from typing import TYPE_CHECKING

from flotilla.runtime import clients, probes, threads
from functions.api.dependencies import Dependencies, Dependency
from functions.api.health import Readiness
from functions.api.service_wiring import ServiceWiring
from functions.api.tasks import TaskRoutes

if TYPE_CHECKING:
    from flotilla.cloudwatch.lane_meter import CloudWatchLaneMeter
    from flotilla.services.circuit_desk import CircuitDesk
    from flotilla.services.decisions import Decisions
    from flotilla.sqs.lane_queues import SqsLaneQueues
    from functions.api.agents import AgentRoutes
    from functions.api.batches import BatchRoutes
    from functions.api.circuits import CircuitRoutes
    from functions.api.dead_letters import DeadLetterRoutes
    from functions.api.decisions import DecisionRoutes
    from functions.api.health_view import HealthRoutes
    from functions.api.lanes import LaneRoutes
    from functions.api.limits import LimitRoutes
    from functions.api.operations import TaskOperations
    from functions.api.states import StateRoutes
    from functions.api.usage import UsageRoutes
    from functions.api.webhooks import WebhookRoutes
    from functions.api.workflows import WorkflowRoutes

_PROBE_THREADS = 8
_RESOLVER_THREADS = 4
_STATES_REMEMBERED_MS = 15_000
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
    def _lane_queues(self) -> SqsLaneQueues:
        from flotilla.sqs.lane_queues import SqsLaneQueues

        lanes = self._settings.lanes
        return SqsLaneQueues(
            clients.sqs(), {name: (lane.queue_url, lane.dlq_url) for name, lane in lanes.items()}, self._aws
        )

    @cached_property
    def _lane_meter(self) -> CloudWatchLaneMeter:
        from flotilla.cloudwatch.lane_meter import CloudWatchLaneMeter, Measured

        workers = self._settings.workers
        measured = {
            name: Measured(queue=lane.queue_url.rpartition("/")[2], function=workers[name].function)
            for name, lane in self._settings.lanes.items()
        }
        return CloudWatchLaneMeter(clients.cloudwatch, measured, self._clock, self._aws)

    @cached_property
    def lane_status(self) -> LaneRoutes:
        """Lanes."""
        from flotilla.dynamo.scaling_memory import DynamoScalingMemories
        from flotilla.services.lane_allowance import LaneAllowances
        from flotilla.services.lane_status import LaneStatusService
        from functions.api.lanes import Concurrency, LaneRoutes

        workers = self._settings.workers
        status = LaneStatusService(
            lanes=list(self._settings.lanes),
            queues=self._lane_queues,
            meter=self._lane_meter,
            pauses=self._pauses,
            read_model=self._read_model,
        )
        allowances = LaneAllowances(
            DynamoScalingMemories(clients.dynamodb(), self._settings.control_table, self._aws),
            self._settings.lane_pool,
            {name: worker.maximum_concurrency for name, worker in workers.items()},
        )
        between = {
            name: Concurrency(worker.minimum_concurrency, worker.borrow_up_to or worker.maximum_concurrency)
            for name, worker in workers.items()
        }
        return LaneRoutes(status, allowances, between)

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
        from functions.api.circuits import CircuitRoutes

        return CircuitRoutes(self._circuit_desk)

    @cached_property
    def _circuit_desk(self) -> CircuitDesk:
        from flotilla.eventbridge.bus import EventBridgeBus
        from flotilla.services.circuit_desk import CircuitDesk
        from flotilla.services.circuit_notices import ToldTransitions
        from functions.api.protected import circuits

        name = self._settings.event_bus
        bus = None if name is None else EventBridgeBus(clients.eventbridge(), name, _SOURCE, self._aws)
        transitions = ToldTransitions(bus, self._metrics, self._clock)
        return CircuitDesk(self._circuits, circuits(), self._clock, transitions)

    @cached_property
    def usage(self) -> UsageRoutes:
        """What tasks used."""
        from flotilla.llm.declaration import deployed
        from flotilla.s3.archive_scan import S3ArchiveScan
        from flotilla.s3.usage_hours import S3UsageHours
        from flotilla.services.usage import UsageService
        from flotilla.services.usage_folding import RequestPrices
        from functions.api.usage import UsageRoutes, priced

        bucket, prices = self._settings.archive_bucket, self._settings.prices
        service = UsageService(
            logs=S3ArchiveScan(clients.s3, bucket, self._aws),
            hours=S3UsageHours(clients.s3, bucket, self._aws),
            prices=RequestPrices() if prices is None else RequestPrices(prices.write_unit_usd, prices.message_usd),
            clock=self._clock,
        )
        return UsageRoutes(service, priced(deployed()), self._clock)

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

    @cached_property
    def readiness(self) -> Readiness:
        """Whether the API has what it cannot do without."""
        return Readiness(self._dependencies)

    @cached_property
    def health(self) -> HealthRoutes:
        """How the fleet is."""
        from flotilla.services.canaries import Canaries
        from flotilla.services.health import HealthService
        from functions.api.health_view import HealthRoutes

        plan = self._settings.canary.plan()
        lanes = {name: worker.objective_seconds for name, worker in self._settings.workers.items()}
        return HealthRoutes(
            self._dependencies,
            HealthService(
                lanes={name: lanes[name] for name in self._settings.lanes},
                queues=self._lane_queues,
                meter=self._lane_meter,
                pauses=self._pauses,
                circuits=self._circuit_desk,
                canaries=Canaries(self._log, plan, self._clock),
                plan=plan,
                read_model=self._read_model,
                clock=self._clock,
            ),
        )

    @cached_property
    def _dependencies(self) -> Dependencies:
        """The scheduler is not asked: few tasks need it, and it costs a client."""
        settings = self._settings
        payloads = settings.payloads_bucket
        asked = [
            Dependency("events", [probes.table(clients.dynamodb, settings.events_table, "task_id")]),
            Dependency("control", [probes.table(clients.dynamodb, settings.control_table, "pk")]),
            Dependency("views", [probes.table(clients.dynamodb, settings.views_table, "pk")]),
            Dependency("lanes", [probes.queue(clients.sqs, url) for url in self.queue_urls.values()]),
            Dependency("delays", [probes.queue(clients.sqs, url) for url in self.delay_urls.values()]),
            Dependency("payloads", [probes.bucket(clients.s3, payloads)]),
            # Only what is long past is read from it.
            Dependency("archive", [probes.bucket(clients.s3, settings.archive_bucket)], needed=False),
        ]
        workflow = next(iter(self._declared_workflows), None)
        if workflow is not None:
            probe = probes.state_machines(clients.stepfunctions, settings.state_machines, workflow)
            # It may be asked less often than the others, and anybody may have it asked.
            asked.append(Dependency("workflows", [probe], remembered_ms=_STATES_REMEMBERED_MS))
        return Dependencies(asked, threads.ThreadRunner("probe", _PROBE_THREADS), self._clock)
