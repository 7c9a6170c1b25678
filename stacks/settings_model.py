"""The shape of `fleet.toml`: every key, its default, and what it may be.

Each model is frozen and refuses unknown keys and implicit conversions. Rules that span several keys are in
`settings_rules`; reading, merging and explaining mistakes in `config`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from stacks.alarm_settings import Alarms, Dashboards
from stacks.budget_settings import Budgets, Dollars, TenantName
from stacks.canary_settings import Canary
from stacks.integration_settings import Integration, IntegrationName, IntegrationReference, Rate
from stacks.limit_settings import SubmitLimits
from stacks.load_settings import Load
from stacks.model_settings import Model, ModelName, Route, RouteName, RouteReference
from stacks.scaling_settings import Scaler, kept_warm_or_least, own_share
from stacks.settings_section import Section
from stacks.tenant_settings import Tenant
from stacks.workflow_settings import DefinitionFile, WorkflowName

VISIBILITY_FACTOR = 6
"""AWS's own advice for queues that feed Lambda: room for the pollers' retries while a function is throttled."""

LogRetentionDays = Literal[1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1827, 3653]
"""The periods CloudWatch Logs knows (there are longer ones; none is of use here)."""

Memory = Annotated[int, Field(ge=128, le=10_240)]

# The longest names made of it: a bucket "<name>-payloads-<account>-<region>" of at most 63 characters.
FleetName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", max_length=24)]

# No hyphens: "<name>-a-dlq.fifo" is lane a's dead letter queue and must not be lane a-dlq's queue.
LaneName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*$", max_length=16)]

AgentName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$", max_length=128)]

TierSeconds = Annotated[int, Field(ge=1, le=900, strict=True)]
"""SQS delays for 15 minutes at the most."""

TaskStatus = Literal[
    "scheduled",
    "queued",
    "running",
    "retrying",
    "parked",
    "waiting",
    "succeeded",
    "dead_lettered",
    "cancelled",
    "expired",
]

ENDS: tuple[TaskStatus, ...] = ("succeeded", "dead_lettered", "cancelled", "expired")
"""The statuses in which a task stays."""

PublicUrl = Annotated[str, Field(pattern=r"^https://[a-z0-9-]+(\.[a-z0-9-]+)+(:[0-9]{1,5})?$", max_length=253)]

HostName = Annotated[str, Field(pattern=r"^[a-z0-9.:-]+$", max_length=253)]

AwsService = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]


class Runtime(Section):
    """What the functions run on."""

    python: Literal["auto", "3.11", "3.12", "3.13"] = "auto"
    architecture: Literal["arm64", "x86_64"] = "arm64"
    account_concurrency: int = Field(default=1000, ge=100, le=1_000_000)
    aws_services: tuple[AwsService, ...] = Field(default=(), strict=False)


class Payloads(Section):
    """Where values lie.

    An input within the limit is part of the task's message, written in ASCII: a byte of it may become six (`<`, say, is
    an escape in a schedule). The highest limit keeps the longest message below the 256 KB that EventBridge Scheduler
    takes; DynamoDB and SQS take more.
    """

    inline_bytes: int = Field(default=32_768, ge=1024, le=40_960)


class Retention(Section):
    """How long what is known of a task is kept.

    Attributes:
        days: A finished task and its log.
        archive_days: Its log in the archive.
        session_days: Each turn of a session's memory, from when it was added.
    """

    days: int = Field(default=30, ge=1, le=3650)
    archive_days: int = Field(default=365, ge=1, le=36_500)
    session_days: int = Field(default=30, ge=1, le=3650)


class Delays(Section):
    """The delay ladder: a queue for each tier, and the function that passes messages on.

    Attributes:
        tiers_seconds: How long each tier holds a message, shortest first.
        maximum_concurrency: Invocations at once, of each tier.
    """

    tiers_seconds: Annotated[tuple[TierSeconds, ...], Field(min_length=1, max_length=10, strict=False)] = (
        1,
        15,
        120,
        480,
        900,
    )
    maximum_concurrency: int = Field(default=5, ge=2, le=1000)


class Broadcast(Section):
    """Who is told of tasks' transitions besides webhooks.

    Attributes:
        transitions: Statuses whose beginning is told.
        event_bus: Put each on an EventBridge bus.
        topic: Publish each on an SNS topic.
        example_subscriber: A queue that is subscribed to the topic, to look at and to copy.
    """

    transitions: Annotated[tuple[TaskStatus, ...], Field(strict=False)] = ENDS
    event_bus: bool = True
    topic: bool = True
    example_subscriber: bool = False


class Webhooks(Section):
    """Deliveries to clients' endpoints.

    Attributes:
        allow: Hosts that may be private, and spoken to without TLS. For trying things out.
        maximum_concurrency: Invocations at once; each delivers up to ten.
    """

    allow: tuple[HostName, ...] = Field(default=(), strict=False)
    maximum_concurrency: int = Field(default=10, ge=2, le=1000)


class Reconciler(Section):
    """The function that sends tasks their message again where it was lost."""

    every_minutes: int = Field(default=1, ge=1, le=60)


class Background(Section):
    """The functions that neither answer clients nor run agents."""

    memory_mb: Memory = 256


class Logs(Section):
    """The functions' logs, and whether X-Ray traces them.

    Attributes:
        level: Lines below it are not written.
        debug_share: The share of all invocations that are logged at DEBUG, whatever the level.
        tracing: X-Ray records spans.
        trace_share: The share of tasks whose trace others are told to record, where neither their client nor X-Ray has
            decided.
    """

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    debug_share: float = Field(default=0.0, ge=0, le=1)
    retention_days: LogRetentionDays = 30
    tracing: bool = False
    trace_share: float = Field(default=0.0, ge=0, le=1)


class Api(Section):
    """The HTTP API: throttling in requests a second, and its functions.

    Attributes:
        public_url: Where people reach it, for links that are sent to them; None for its own address.
    """

    public_url: PublicUrl | None = None
    rate_per_second: int = Field(default=500, ge=1, le=100_000)
    burst: int = Field(default=1000, ge=1, le=100_000)
    memory_mb: Memory = 1024
    access_log_retention_days: LogRetentionDays = 90


def _as_many_as_may_run(lane: dict[str, Any]) -> int:
    maximum: int = lane["maximum_concurrency"]
    return maximum


class Lane(Section):
    """One priority: a queue, its dead letter queue, and the function that works it off.

    Attributes:
        timeout_seconds: Longest invocation, i.e. a whole batch.
        maximum_concurrency: Invocations at once: its own share, which others may borrow while it is idle.
        minimum_concurrency: It is never scaled below.
        borrow_up_to: Invocations at once with what it borrows of others; without a value, it borrows nothing.
        reserved_concurrency: What is set aside for them before the scaler has run; without a value, just as many.
        provisioned_concurrency: Environments that are always kept warm, used or not.
        max_receive_count: Receives after which SQS itself moves a message to the dead letter queue.
        objective_seconds: How long a task should wait at the most before it is started.
    """

    timeout_seconds: int = Field(default=180, ge=10, le=900)
    memory_mb: Memory = 1024
    batch_size: int = Field(default=10, ge=1, le=10)
    provisioned_concurrency: int = Field(default=0, ge=0, le=1000)
    maximum_concurrency: int = Field(default=50, ge=2, le=1000)
    minimum_concurrency: int = Field(default_factory=kept_warm_or_least, ge=2, le=1000)
    borrow_up_to: int = Field(default_factory=own_share, ge=2, le=1000)
    reserved_concurrency: int = Field(default_factory=_as_many_as_may_run, ge=2, le=100_000)
    max_receive_count: int = Field(default=500, ge=1, le=1000)
    objective_seconds: int = Field(default=300, ge=1, le=86_400)

    @property
    def visibility_timeout_seconds(self) -> int:
        """Of the lane's queue."""
        return VISIBILITY_FACTOR * self.timeout_seconds


class AgentOverride(Section):
    """What the operator decides otherwise than an agent's author; None leaves the author's.

    Attributes:
        integrations: What it may call; `*` stands for all.
        routes: By what routes it may call models; `*` stands for all.
        on_open: What the API does with its tasks while one of these is held back.
        limit: How often tasks of it may be submitted, by all clients together.
        budget_usd: What a task of it may cost in model calls, where its client does not say.
    """

    lane: str | None = None
    timeout_seconds: float | None = Field(default=None, gt=0, le=897)
    max_attempts: int | None = Field(default=None, ge=1, le=100)
    integrations: tuple[IntegrationReference, ...] | None = Field(default=None, strict=False)
    routes: tuple[RouteReference, ...] | None = Field(default=None, strict=False)
    on_open: Literal["park", "reject"] | None = None
    limit: Rate | None = None
    budget_usd: Dollars | None = None


LANE_DEFAULTS: Mapping[str, Mapping[str, int]] = MappingProxyType(
    {
        "critical": {"timeout_seconds": 120, "maximum_concurrency": 50, "objective_seconds": 30},
        "standard": {"timeout_seconds": 180, "maximum_concurrency": 200, "objective_seconds": 300},
        "batch": {"timeout_seconds": 300, "maximum_concurrency": 100, "objective_seconds": 3600},
    }
)
"""The lanes of a file that names none, and what each of these has where the file does not say."""


class Fleet(Section):
    """The whole file, `[local]` aside."""

    name: FleetName = "flotilla"
    default_lane: str = "standard"
    diagnostics: bool = False
    runtime: Runtime = Runtime()
    payloads: Payloads = Payloads()
    retention: Retention = Retention()
    logs: Logs = Logs()
    api: Api = Api()
    limits: SubmitLimits = SubmitLimits()
    budgets: Budgets = Budgets()
    tenants: Annotated[Mapping[TenantName, Tenant], AfterValidator(MappingProxyType)] = Field(
        default_factory=dict, validate_default=True
    )
    delays: Delays = Delays()
    broadcast: Broadcast = Broadcast()
    webhooks: Webhooks = Webhooks()
    alarms: Alarms = Alarms()
    dashboards: Dashboards = Dashboards()
    reconciler: Reconciler = Reconciler()
    scaler: Scaler = Scaler()
    canary: Canary = Canary()
    background: Background = Background()
    lanes: Annotated[Mapping[LaneName, Lane], Field(min_length=1), AfterValidator(MappingProxyType)]
    load: Annotated[Mapping[LaneName, Load], AfterValidator(MappingProxyType)] = Field(
        default_factory=dict, validate_default=True
    )
    agents: Annotated[Mapping[AgentName, AgentOverride], AfterValidator(MappingProxyType)] = Field(
        default_factory=dict, validate_default=True
    )
    integrations: Annotated[Mapping[IntegrationName, Integration], AfterValidator(MappingProxyType)] = Field(
        default_factory=dict, validate_default=True
    )
    models: Annotated[Mapping[ModelName, Model], AfterValidator(MappingProxyType)] = Field(
        default_factory=dict, validate_default=True
    )
    routes: Annotated[Mapping[RouteName, Route], AfterValidator(MappingProxyType)] = Field(
        default_factory=dict, validate_default=True
    )
    workflows: Annotated[Mapping[WorkflowName, DefinitionFile], AfterValidator(MappingProxyType)] = Field(
        default_factory=dict, validate_default=True
    )
