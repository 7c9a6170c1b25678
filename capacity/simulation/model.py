"""What a simulation is given and what it answers: the vocabulary of the discrete-event model.

Times are seconds since the start of the simulation; only a scaler is told of them in milliseconds, as by AWS.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Setting:
    """What a lane is allowed.

    Attributes:
        concurrency: Maximum concurrency of its event source mapping; None: it has none.
        reserved: Reserved concurrency of its function; None: it has none, and shares what others leave.
        provisioned: Environments that are always kept warm, and paid for.
    """

    concurrency: int | None
    reserved: int | None = None
    provisioned: int = 0


@dataclass(frozen=True, slots=True)
class Observed:
    """What a scaler can know of a lane: queue attributes of now, and metrics that are a minute old.

    Attributes:
        waiting: Messages that could be handed out, or would be if their group were free.
        in_flight: Messages that have been handed out and are neither deleted nor back.
        oldest_ms: Age of the oldest message, as a metric; None where there was none.
        running: The most invocations at once, as a metric.
        busy: Invocations at once on average, as a metric.
    """

    waiting: int
    in_flight: int
    oldest_ms: int | None = None
    running: int | None = None
    busy: float | None = None


Scaler = Callable[[int, Mapping[str, Observed], Mapping[str, Setting]], Mapping[str, Setting]]
"""(now in milliseconds, what is known of each lane, what each has) -> what each should have; others keep theirs."""


@dataclass(frozen=True, slots=True)
class Load:
    """The tasks of one lane.

    Attributes:
        per_second: How many arrive each second, at a time; they arrive at random.
        seconds: How long one takes on average if it begins at a time.
        spread: How different they are: the standard deviation of the logarithm of their durations; 0: not at all.
        sessions: Sessions that they belong to, each at random to one; 0: each task stands alone.
    """

    per_second: Callable[[float], float]
    seconds: Callable[[float], float]
    spread: float = 0.3
    sessions: int = 0


@dataclass(frozen=True, slots=True)
class SimulatedLane:
    """One lane: its load, what it has at first, and what does not change.

    Attributes:
        objective_seconds: How long a task should wait at the most.
        memory_mb: Of its function.
        batch_size: Messages that one invocation takes at the most.
        visibility_seconds: How long what was handed out and never begun stays away.
        init_seconds: How long a new environment takes to start; it is billed.
        max_receive_count: So many times a message is handed out before it is put aside as dead.
    """

    load: Load
    setting: Setting
    objective_seconds: float = 300.0
    memory_mb: int = 1024
    batch_size: int = 10
    visibility_seconds: float = 1080.0
    init_seconds: float = 0.5
    max_receive_count: int = 500


@dataclass(frozen=True, slots=True)
class Rules:
    """How SQS and Lambda scale: AWS's documented rules, and where they say nothing, an assumption.

    Attributes:
        account_concurrency: Invocations at once of the whole account.
        mapping_start: Invocations at once that a mapping begins with.
        mapping_per_minute: How many more it allows itself each minute while messages wait.
        mapping_limit: Where it stops.
        mapping_fall_per_minute: How many fewer while it is not fully used, down to what it begins with (assumed).
        environments_burst: New environments of a function in any ten seconds.
        keep_warm_seconds: How long an environment lives without work (assumed).
        poll_seconds: From a message's arrival, or an invocation's end, to the next invocation (assumed).
        mapping_update_seconds: Until a mapping keeps to a new maximum (assumed).
        reserved_update_seconds: The same of reserved concurrency (assumed).
        throttle_backoff_seconds: How long a mapping stops asking after an invocation was refused (assumed).
        attributes_age_seconds: How old a queue's attributes are.
        metrics_age_seconds: How long after the end of its minute a metric can be read.
        architecture: Whose prices are counted.
    """

    account_concurrency: int = 1000
    mapping_start: int = 5
    mapping_per_minute: int = 300
    mapping_limit: int = 1250
    mapping_fall_per_minute: int = 60
    environments_burst: int = 1000
    keep_warm_seconds: float = 420.0
    poll_seconds: float = 0.01
    mapping_update_seconds: float = 20.0
    reserved_update_seconds: float = 3.0
    throttle_backoff_seconds: float = 1.0
    attributes_age_seconds: float = 5.0
    metrics_age_seconds: float = 60.0
    architecture: str = "arm64"


PROVISIONED_POLLERS = {"mapping_start": 20, "mapping_per_minute": 1000, "mapping_limit": 100_000}
"""The rules of a mapping with provisioned pollers, which has no maximum concurrency: `Rules(**PROVISIONED_POLLERS)`."""


@dataclass(frozen=True, slots=True)
class Point:
    """One minute of one lane.

    Attributes:
        at: When the minute ended.
        arrived: Tasks that arrived in it.
        started: Tasks that began in it.
        waiting: Messages waiting at its end.
        concurrency: The maximum concurrency in force at its end; None: none.
        reserved: The reserved concurrency in force at its end; None: none.
        running: The most invocations at once in it.
        busy: Invocations at once on average.
        wait_p95: Seconds that 95 of 100 tasks begun in it had waited at the most.
        dollars: What it cost.
    """

    at: float
    arrived: int
    started: int
    waiting: int
    concurrency: int | None
    reserved: int | None
    running: int
    busy: float
    wait_p95: float
    dollars: float


@dataclass(frozen=True, slots=True)
class LaneResult:
    """What became of one lane.

    Attributes:
        tasks: That began.
        left: That were still waiting at the end.
        dead: That were handed out too often without ever beginning.
        wait_p50: Seconds from a task's arrival to its beginning, half of them at the most; accurate to 3 %.
        wait_p95: The same of 95 in 100.
        wait_p99: The same of 99 in 100.
        wait_max: The longest.
        late: Tasks that waited longer than the objective.
        invocations: Batches that were run.
        gb_seconds: That were billed, initialisation included.
        dollars: All of it: duration, invocations, SQS calls of the mapping and worker, provisioned concurrency.
        provisioned_dollars: The part of it that provisioned environments cost for being there.
        cold_starts: Environments that were started on demand.
        throttles: Batches that were handed out and refused.
        most_receives: How often the unluckiest message was handed out.
        raises: How often the mapping's maximum was raised.
        lowers: How often it was lowered.
        turns: How often a raise followed a lower, or the other way.
        series: Minute by minute.
    """

    tasks: int
    left: int
    dead: int
    wait_p50: float
    wait_p95: float
    wait_p99: float
    wait_max: float
    late: int
    invocations: int
    gb_seconds: float
    dollars: float
    provisioned_dollars: float
    cold_starts: int
    throttles: int
    most_receives: int
    raises: int
    lowers: int
    turns: int
    series: Sequence[Point] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Result:
    """What became of all of them.

    Attributes:
        seconds: How long the simulation lasted.
        lanes: By name.
    """

    seconds: float
    lanes: Mapping[str, LaneResult]

    @property
    def dollars(self) -> float:
        """What it cost in all."""
        return sum(lane.dollars for lane in self.lanes.values())
