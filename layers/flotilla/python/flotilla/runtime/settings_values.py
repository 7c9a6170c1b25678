"""Values that a variable of the environment holds as JSON: what a function is told of queues, lanes and prices."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from flotilla.primitives.canary import CanaryPlan
from flotilla.primitives.scaling import LaneBounds, ScalingPolicy

Text = Annotated[str, Field(min_length=1)]


class LaneQueues(BaseModel):
    """Where a lane's messages lie."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    queue_url: Text
    dlq_url: Text


class DelayQueue(BaseModel):
    """One tier of the delay ladder."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    queue_url: Text
    queue_arn: Text


Delays = Annotated[dict[int, DelayQueue], Field(min_length=1)]
"""The delay ladder: what a tier delays by, in seconds, and its queue."""


class ScheduleTarget(BaseModel):
    """What a one-time schedule is made of.

    Attributes:
        group: The group that schedules belong to.
        role_arn: The role by which EventBridge Scheduler sends.
        target_arn: The queue it sends to: the smallest tier's.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    group: Text
    role_arn: Text
    target_arn: Text


class LaneWorker(BaseModel):
    """Who works off a lane.

    Attributes:
        function: The name of the function.
        minimum_concurrency: Invocations at once, at the least.
        maximum_concurrency: Its own share.
        borrow_up_to: With what it borrows; None where it borrows nothing.
        objective_seconds: How long a task should wait there at the most; None where nobody says.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    function: Text
    minimum_concurrency: int = 0
    maximum_concurrency: int
    borrow_up_to: int | None = None
    objective_seconds: int | None = None


class ScaledLane(BaseModel):
    """Between what a lane is scaled.

    Attributes:
        function: The name of its worker.
        mapping: The id of the event source mapping that feeds it.
        minimum: Invocations at once, at the least.
        share: Its own.
        maximum: With what it borrows.
        batch_size: Tasks that one invocation runs at once.
        objective_seconds: How long a task should wait at the most.
        provisioned: Environments that are kept warm.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    function: Text
    mapping: Text
    minimum: Annotated[int, Field(ge=2)]
    share: Annotated[int, Field(ge=2)]
    maximum: Annotated[int, Field(ge=2)]
    batch_size: Annotated[int, Field(ge=1)]
    objective_seconds: Annotated[int, Field(ge=1)]
    provisioned: int = 0

    def bounds(self) -> LaneBounds:
        """The same for who decides."""
        return LaneBounds(
            minimum=self.minimum,
            share=self.share,
            maximum=self.maximum,
            batch_size=self.batch_size,
            objective_ms=self.objective_seconds * 1000,
            provisioned=self.provisioned,
        )


class Scaling(BaseModel):
    """How the lanes are scaled.

    Attributes:
        pool: What all lanes together may have reserved.
        raise_cooldown_seconds: Between two raises of a lane.
        lower_cooldown_seconds: After any change of a lane, before it is lowered.
        settle_seconds: After a lane was lowered, before others are given what it had.
        lanes: By priority.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    pool: Annotated[int, Field(ge=0)]
    raise_cooldown_seconds: Annotated[int, Field(ge=0)]
    lower_cooldown_seconds: Annotated[int, Field(ge=0)]
    settle_seconds: Annotated[int, Field(ge=0)] = 30
    lanes: Annotated[dict[Text, ScaledLane], Field(min_length=1)]

    def policy(self) -> ScalingPolicy:
        """The same for who decides."""
        return ScalingPolicy(
            self.pool,
            raise_cooldown_ms=1000 * self.raise_cooldown_seconds,
            lower_cooldown_ms=1000 * self.lower_cooldown_seconds,
            settle_ms=1000 * self.settle_seconds,
        )


class ListPrices(BaseModel):
    """What AWS asks, in dollars.

    Attributes:
        write_unit_usd: For one write unit of the event log.
        message_usd: For one message on a lane: sent, and its part of receiving, hiding and deleting a full batch.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    write_unit_usd: float
    message_usd: float


class PlannedCanaries(BaseModel):
    """When canaries are due; see `CanaryPlan`."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    period_seconds: Annotated[int, Field(ge=1)]
    patience_seconds: Annotated[dict[Text, int], Field(min_length=1)]
    scheduled: bool

    def plan(self) -> CanaryPlan:
        """The same for those who follow it."""
        return CanaryPlan(self.period_seconds, self.patience_seconds, self.scheduled)
