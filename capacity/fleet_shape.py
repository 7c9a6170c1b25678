"""What is known of a fleet and of its load before it is deployed: the input of every calculation.

Made of `fleet.toml` by `stacks.capacity_shape`, or by hand. Checks nothing: settings are checked where they are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

SECONDS_IN_MONTH = 730 * 3600
MINUTES_IN_MONTH = 730 * 60
MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class LaneShape:
    """One lane.

    Attributes:
        batch_size: Tasks that one invocation runs at once, at the most.
        maximum_concurrency: Invocations at once.
        reserved_concurrency: What is set aside for them.
        memory_mb: Of each.
        timeout_seconds: Longest invocation.
        visibility_seconds: Of its queue.
        objective_seconds: How long a task should wait at the most.
        minimum_concurrency: It is never scaled below.
        borrow_up_to: Invocations at once with what it borrows of idle lanes; None: as many as are its own.
        provisioned_concurrency: Environments that are always kept warm.
    """

    batch_size: int = 10
    maximum_concurrency: int = 50
    reserved_concurrency: int = 50
    memory_mb: int = 1024
    timeout_seconds: int = 180
    visibility_seconds: int = 1080
    objective_seconds: float = 300
    minimum_concurrency: int = 2
    borrow_up_to: int | None = None
    provisioned_concurrency: int = 0


@dataclass(frozen=True, slots=True)
class ModelShape:
    """One model: dollars for a million tokens, and what the fleet may ask of it in a minute (None: without limit)."""

    input_usd: float = 0.0
    output_usd: float = 0.0
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None


@dataclass(frozen=True, slots=True)
class IntegrationShape:
    """One integration: what the fleet may call a minute, and at once (None: without limit)."""

    rate_per_minute: int | None = None
    concurrency: int | None = None


@dataclass(frozen=True, slots=True)
class Idle:
    """What a fleet has that costs something while nothing is done; counted off its settings.

    Attributes:
        polled_fifo_queues: FIFO queues with an event source mapping.
        polled_standard_queues: Standard queues with one.
        schedules: Runs a minute of each function that runs on a schedule, by its name.
        gigabyte_seconds: Of one such run, by function.
        metrics_got: Metrics asked for by one run, by function.
        queue_calls: Of one run to SQS, by function.
        canary_tasks_per_minute: Tasks that are submitted only to see that they come through, all lanes together.
        alarms: Of which each looks at one metric or more.
        alarm_metrics: Metrics that all alarms together look at.
        composite_alarms: Alarms on alarms.
        dashboards: Dashboards.
        custom_metrics: Sets of dimensions that have data in every hour, whatever is done.
        secrets: Secrets that the fleet's own settings name.
        provisioned_gb: Gigabytes of environments that are kept warm.
    """

    polled_fifo_queues: int = 0
    polled_standard_queues: int = 0
    schedules: Mapping[str, float] = field(default_factory=dict)
    gigabyte_seconds: Mapping[str, float] = field(default_factory=dict)
    metrics_got: Mapping[str, int] = field(default_factory=dict)
    queue_calls: Mapping[str, int] = field(default_factory=dict)
    canary_tasks_per_minute: float = 0.0
    alarms: int = 0
    alarm_metrics: int = 0
    composite_alarms: int = 0
    dashboards: int = 0
    custom_metrics: int = 0
    secrets: int = 0
    provisioned_gb: float = 0.0


@dataclass(frozen=True, slots=True)
class ScalerShape:
    """The function that moves the lanes' concurrency: how often it looks, and how long it leaves a lane alone."""

    every_seconds: float = 60.0
    raise_cooldown_seconds: float = 60.0
    lower_cooldown_seconds: float = 300.0


@dataclass(frozen=True, slots=True)
class FleetShape:
    """A fleet.

    Attributes:
        architecture: `arm64` or `x86_64`.
        account_concurrency: What the account has of concurrent executions.
        other_reserved: What the functions reserve that run no agents, all together.
        api_rate_per_second: More is answered 429.
        api_memory_mb: Of the functions that answer clients.
        background_memory_mb: Of those that do neither.
        tiers_seconds: Of the delay ladder.
        relay_concurrency: Invocations at once that pass delayed messages on, of each tier.
        tenant_day_budget: A tenant's day has a bound, so that each model call is written down against it.
        tenant_rate_per_minute: Tasks that a tenant may submit; None: without limit.
        scaler: Moves the lanes' concurrency; None: each has its maximum at all times.
        notices: Places that are told of each task's end: event bus, topic.
        retention_days: How long logs lie in the table, the margin included.
    """

    lanes: Mapping[str, LaneShape]
    architecture: str = "arm64"
    account_concurrency: int = 1000
    other_reserved: int = 45
    api_rate_per_second: int = 500
    api_memory_mb: int = 1024
    background_memory_mb: int = 256
    tiers_seconds: tuple[int, ...] = (1, 15, 120, 480, 900)
    relay_concurrency: int = 5
    tenant_day_budget: bool = False
    tenant_rate_per_minute: int | None = None
    scaler: ScalerShape | None = None
    notices: tuple[str, ...] = ("event_bus", "topic")
    retention_days: int = 44
    models: Mapping[str, ModelShape] = field(default_factory=dict)
    integrations: Mapping[str, IntegrationShape] = field(default_factory=dict)
    idle: Idle = Idle()


@dataclass(frozen=True, slots=True)
class LaneLoad:
    """What is asked of one lane, evenly.

    Attributes:
        lane: Its name.
        rate_per_minute: Tasks.
        seconds: That one of them takes, waiting for models included.
        slowest_seconds: That the slowest of a full batch takes, for which the invocation lasts; None: as the others.
        submit_batch: Tasks of one call of the API.
        tenants: That share them evenly.
        sessions: With work at the same time, whose tasks run one after the other; 0: tasks have no session.
        payload_bytes: Of an input, and as much of an output.
        model_calls: Of a task.
        model: Which, by its name in the fleet; "" where none is named.
        call_seconds: Of one model call.
        input_tokens: Of one call.
        output_tokens: Of one call.
        integration_calls: Of a task, by integration.
        delayed_share: Of the tasks, those that are submitted for later.
        delay_seconds: How much later.
        tasks_per_run: Of a workflow that asks for the tasks; 0: clients submit them.
    """

    lane: str
    rate_per_minute: float
    seconds: float
    slowest_seconds: float | None = None
    submit_batch: int = 1
    tenants: int = 1
    sessions: int = 0
    payload_bytes: int = 100
    model_calls: float = 0.0
    model: str = ""
    call_seconds: float = 2.0
    input_tokens: int = 0
    output_tokens: int = 0
    integration_calls: Mapping[str, float] = field(default_factory=dict)
    delayed_share: float = 0.0
    delay_seconds: float = 0.0
    tasks_per_run: int = 0

    @property
    def per_second(self) -> float:
        """Tasks."""
        return self.rate_per_minute / 60

    @property
    def per_month(self) -> float:
        """Tasks."""
        return self.rate_per_minute * MINUTES_IN_MONTH

    @property
    def batch_seconds(self) -> float:
        """That an invocation with a full batch lasts."""
        return self.seconds if self.slowest_seconds is None else max(self.seconds, self.slowest_seconds)

    @property
    def through_api(self) -> bool:
        """Clients submit the tasks; else workflows do."""
        return self.tasks_per_run == 0
