"""What the API's routes stand on, wired to AWS. What few requests need is imported and made when one does."""

from __future__ import annotations

import os
from functools import cached_property
from random import Random
from typing import TYPE_CHECKING, Any

from flotilla.agents.catalog import Catalog
from flotilla.clock import SystemClock
from flotilla.dynamo.event_log import DynamoEventLog
from flotilla.dynamo.limit_settings import DynamoLimitSettings
from flotilla.dynamo.views import DynamoReadModel
from flotilla.limits.declaration import deployed as declared_limits
from flotilla.primitives.ladder import Ladder
from flotilla.runtime import clients, probes, threads
from flotilla.runtime.downloads import DownloadLinks
from flotilla.runtime.settings import ApiSettings
from flotilla.s3.archive import S3Archive
from flotilla.s3.payload_store import S3PayloadStore
from flotilla.scheduler.schedules import EventBridgeSchedules
from flotilla.services.claim_check import ClaimCheck
from flotilla.services.dispatch import Dispatch
from flotilla.services.limit_board import LimitBoard
from flotilla.services.listing import ListService
from flotilla.services.past_logs import PastLogs
from flotilla.services.read import ReadService
from flotilla.services.submit import SubmitService
from flotilla.services.submit_limits import SubmitLimits
from flotilla.sqs.delays import SqsDelays
from flotilla.sqs.lanes import SqsLanes
from functions.api.health import Readiness
from functions.api.submissions import Lanes, Submissions
from functions.api.task_view import TaskViews
from functions.api.tasks import TaskRoutes
from functions.api.validation import InputValidators

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flotilla.dynamo.buckets import DynamoBuckets
    from flotilla.dynamo.circuits import DynamoCircuits
    from flotilla.dynamo.endpoints import DynamoEndpoints
    from flotilla.dynamo.pauses import DynamoPauses
    from flotilla.metric_ports import Metrics
    from flotilla.models import TaskMessage
    from flotilla.services.cancel import CancelService
    from flotilla.services.decisions import Decisions
    from flotilla.services.endpoint_directory import EndpointDirectory
    from flotilla.services.executions import RunStarter
    from flotilla.services.hold_back import HoldBack
    from flotilla.services.limits import Limiter
    from flotilla.services.open_logs import OpenLogs
    from flotilla.services.redrive import RedriveService
    from flotilla.services.signal import SignalService
    from flotilla.stepfunctions.executions import StepFunctionsExecutions
    from flotilla.workflows.declaration import Workflow
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

_AWS_THREADS = 8  # one request at a time: its own calls, and those of one before it that were given up
_PROBE_THREADS = 8
_RESOLVER_THREADS = 4
_SOURCE = "flotilla"


class Wiring:
    """What the routes stand on, wired to AWS. What few requests need is imported and made when one does."""

    def __init__(self, settings: ApiSettings, catalog: Catalog, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._catalog = catalog
        self._clock = SystemClock()
        self._aws = threads.ThreadRunner("aws", _AWS_THREADS)
        self._log = DynamoEventLog(clients.dynamodb(), settings.events_table, settings.retention_days, self._aws)
        self._read_model = DynamoReadModel(clients.dynamodb(), settings.views_table, self._aws)
        self._claim_check = ClaimCheck(
            S3PayloadStore(clients.s3, settings.payloads_bucket, self._aws), settings.inline_payload_bytes
        )
        self._past = PastLogs(
            views=self._read_model,
            archive=S3Archive(clients.s3, settings.archive_bucket, self._aws),
            clock=self._clock,
            retention_days=settings.retention_days,
        )
        self._schedules = EventBridgeSchedules(
            clients.scheduler,
            group=settings.schedules.group,
            role_arn=settings.schedules.role_arn,
            target_arn=settings.schedules.target_arn,
            run_sync=self._aws,
        )
        self._dispatch = Dispatch(
            lanes=SqsLanes(clients.sqs(), self.queue_urls, self._aws),
            delays=SqsDelays(clients.sqs(), self.delay_urls, self._aws),
            schedules=self._schedules,
            ladder=Ladder(settings.delays),
            clock=self._clock,
            start_run=self._start_run,
        )
        self._download_links = DownloadLinks(settings.payloads_bucket)
        self._views = TaskViews(self._claim_check, self._download_links)
        self._read = ReadService(log=self._log, clock=self._clock, past=self._past)
        self._listing = ListService(views=self._read_model, log=self._log, past=self._past)
        self._validators = InputValidators()
        self.lanes = Lanes(settings.lanes.keys(), settings.default_lane)
        self._submissions = Submissions(
            catalog=catalog,
            lanes=self.lanes,
            validators=self._validators,
            endpoints=lambda: self._endpoint_directory,
            dependencies=lambda: self._hold_back,
            clock=self._clock,
        )
        self._submit = SubmitService(
            log=self._log, dispatch=self._dispatch, claim_check=self._claim_check, clock=self._clock
        )
        self._limit_settings = DynamoLimitSettings(clients.dynamodb(), settings.control_table, self._aws)
        self._limit_board = LimitBoard(self._limit_settings, self._clock, metrics=metrics)
        self._submit_limits = SubmitLimits(self._limit_board, lambda: self._limiter, declared_limits())

    @property
    def queue_urls(self) -> dict[str, str]:
        """By lane."""
        return {name: lane.queue_url for name, lane in self._settings.lanes.items()}

    @property
    def delay_urls(self) -> dict[int, str]:
        """By tier."""
        return {seconds: queue.queue_url for seconds, queue in self._settings.delays.items()}

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
            key=SigningKey(SecretsManagerSecrets(clients.secretsmanager, self._aws), secret),
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

    @cached_property
    def _declared_workflows(self) -> Mapping[str, Workflow]:
        from flotilla.workflows.declaration import deployed

        return deployed()

    @cached_property
    def _runnable(self) -> Catalog:
        """What a task's log may name as its agent."""
        from flotilla.services.runs import with_runs

        return with_runs(self._catalog, self._declared_workflows)

    @cached_property
    def _executions(self) -> StepFunctionsExecutions:
        from flotilla.stepfunctions.executions import StepFunctionsExecutions

        return StepFunctionsExecutions(clients.stepfunctions, self._settings.state_machines, self._aws)

    @cached_property
    def _run_starter(self) -> RunStarter:
        from flotilla.services.executions import RunEnds, RunStarter

        of_runs: Any = {
            "log": self._log,
            "executions": self._executions,
            "claim_check": self._claim_check,
            "clock": self._clock,
        }
        return RunStarter(ends=RunEnds(**of_runs), **of_runs)

    async def _start_run(self, message: TaskMessage) -> None:
        await self._run_starter(message)

    @cached_property
    def _cancel(self) -> CancelService:
        from flotilla.services.cancel import CancelService

        return CancelService(logs=self._open_logs, schedules=self._schedules, clock=self._clock)

    @cached_property
    def _pauses(self) -> DynamoPauses:
        from flotilla.dynamo.pauses import DynamoPauses

        return DynamoPauses(clients.dynamodb(), self._settings.control_table, self._aws)

    @cached_property
    def _open_logs(self) -> OpenLogs:
        from flotilla.services.open_logs import OpenLogs

        return OpenLogs(log=self._log, past=self._past, clock=self._clock, retention_days=self._settings.retention_days)

    @cached_property
    def _redrive(self) -> RedriveService:
        from flotilla.services.redrive import RedriveService

        return RedriveService(
            logs=self._open_logs,
            dispatch=self._dispatch,
            claim_check=self._claim_check,
            catalog=self._runnable,
            lanes=self._settings.lanes.keys(),
            clock=self._clock,
        )

    @cached_property
    def _signals(self) -> SignalService:
        from flotilla.services.signal import SignalService

        return SignalService(
            logs=self._open_logs, dispatch=self._dispatch, lanes=self._settings.lanes.keys(), clock=self._clock
        )

    @cached_property
    def _endpoints(self) -> DynamoEndpoints:
        from flotilla.dynamo.endpoints import DynamoEndpoints

        return DynamoEndpoints(clients.dynamodb(), self._settings.control_table, self._aws)

    @cached_property
    def _endpoint_directory(self) -> EndpointDirectory:
        from flotilla.services.endpoint_directory import EndpointDirectory

        return EndpointDirectory(self._endpoints, self._clock)

    @cached_property
    def _hold_back(self) -> HoldBack:
        from flotilla.llm.declaration import deployed
        from flotilla.services.hold_back import HoldBack

        routes = {name: [model.name for model in route.models] for name, route in deployed().items()}
        return HoldBack(self._circuits, self._clock, routes)

    @cached_property
    def _circuits(self) -> DynamoCircuits:
        from flotilla.dynamo.circuits import DynamoCircuits

        return DynamoCircuits(clients.dynamodb(), self._settings.control_table, self._aws)

    @cached_property
    def _buckets(self) -> DynamoBuckets:
        from flotilla.dynamo.buckets import DynamoBuckets

        return DynamoBuckets(clients.dynamodb(), self._settings.control_table, self._aws)

    @cached_property
    def _limiter(self) -> Limiter:
        from flotilla.primitives.token_lease import NO_PLACES
        from flotilla.services.limits import Limiter

        return Limiter(
            self._buckets, self._clock, Random(), board=self._limit_board, leasing=NO_PLACES, metrics=self._metrics
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
