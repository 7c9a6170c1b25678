"""The services that the API's routes stand on, wired to AWS. What few requests need is made when one does."""

from __future__ import annotations

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
from flotilla.runtime import clients, threads
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
from functions.api.submissions import Lanes, Submissions
from functions.api.task_view import TaskViews
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
    from flotilla.services.endpoint_directory import EndpointDirectory
    from flotilla.services.executions import RunStarter
    from flotilla.services.hold_back import HoldBack
    from flotilla.services.limits import Limiter
    from flotilla.services.open_logs import OpenLogs
    from flotilla.services.redrive import RedriveService
    from flotilla.services.signal import SignalService
    from flotilla.stepfunctions.executions import StepFunctionsExecutions
    from flotilla.workflows.declaration import Workflow

_AWS_THREADS = 8  # one request at a time: its own calls, and those of one before it that were given up


class ServiceWiring:
    """The services, wired to AWS.

    Args:
        settings: What the function is told.
        catalog: The deployed agents.
        metrics: Where it counts.
        workflows: The deployed workflows; None reads them when a request needs them.
    """

    def __init__(
        self,
        settings: ApiSettings,
        catalog: Catalog,
        metrics: Metrics,
        workflows: Mapping[str, Workflow] | None = None,
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._catalog = catalog
        self._workflows = workflows
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
        self._submit_limits = SubmitLimits(self._limit_board, lambda: self._limiter, declared_limits(), metrics)

    @property
    def queue_urls(self) -> dict[str, str]:
        """By lane."""
        return {name: lane.queue_url for name, lane in self._settings.lanes.items()}

    @property
    def delay_urls(self) -> dict[int, str]:
        """By tier."""
        return {seconds: queue.queue_url for seconds, queue in self._settings.delays.items()}

    @cached_property
    def _declared_workflows(self) -> Mapping[str, Workflow]:
        from flotilla.workflows.declaration import deployed

        return deployed() if self._workflows is None else self._workflows

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
