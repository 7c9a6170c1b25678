"""What a function is told by its environment: one model for each function, read once.

Invariant: a function whose environment lacks something, or holds what cannot be right, fails with
an error that names the variable, before it has touched anything. Nothing is read at import.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, Json, model_validator

from flotilla.models import Status

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
        maximum_concurrency: Invocations at once.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    function: Text
    maximum_concurrency: int


class _Settings(BaseModel):
    # A deployment changes a function's code and its environment one after the other, so variables
    # that this version does not know are no error. The environment holds the role's credentials:
    # an error is logged and must not repeat what it found there. A process has use for one of these models, so
    # none is built before it is used.
    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True, defer_build=True)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read the settings.

        Raises:
            pydantic.ValidationError: A variable is missing or wrong; the error names it.
        """
        return cls.model_validate(dict(environment))

    @classmethod
    @cache
    def read(cls) -> Self:
        """This process's own settings."""
        return cls.from_environment(os.environ)


class _TaskSettings(_Settings):
    name: Text = Field(validation_alias="FLOTILLA_NAME")
    events_table: Text = Field(validation_alias="FLOTILLA_EVENTS_TABLE")
    payloads_bucket: Text = Field(validation_alias="FLOTILLA_PAYLOADS_BUCKET")
    inline_payload_bytes: int = Field(validation_alias="FLOTILLA_INLINE_PAYLOAD_BYTES", ge=0)
    retention_days: int = Field(validation_alias="FLOTILLA_RETENTION_DAYS", ge=1)
    lanes: Json[dict[str, LaneQueues]] = Field(validation_alias="FLOTILLA_LANES")


class WorkerSettings(_TaskSettings):
    """What a worker is told.

    Attributes:
        lane: The lane it serves.
        default_lane: Of tasks that agents submit to agents that name none.
        session_days: How long each turn of a session's memory is kept.
        event_bus: Where circuits' changes are told; None for nowhere.
        state_machines: What the ARNs of the workflows' state machines begin with; None where there are no workflows.
    """

    lane: Text = Field(validation_alias="FLOTILLA_LANE")
    default_lane: Text = Field(validation_alias="FLOTILLA_DEFAULT_LANE")
    control_table: Text = Field(validation_alias="FLOTILLA_CONTROL_TABLE")
    delays: Json[Delays] = Field(validation_alias="FLOTILLA_DELAYS")
    session_days: int = Field(validation_alias="FLOTILLA_SESSION_DAYS", ge=1)
    event_bus: Text | None = Field(default=None, validation_alias="FLOTILLA_EVENT_BUS")
    state_machines: Text | None = Field(default=None, validation_alias="FLOTILLA_STATE_MACHINES")

    @model_validator(mode="after")
    def _lane_exists(self) -> Self:
        _with_lane(self, "FLOTILLA_DEFAULT_LANE", self.default_lane)
        return _with_lane(self, "FLOTILLA_LANE", self.lane)


class DiagnosticsSettings(_Settings):
    """What the diagnostic agents are told, where they are deployed."""

    control_table: Text = Field(validation_alias="FLOTILLA_CONTROL_TABLE")


class ApiSettings(_TaskSettings):
    """What the API is told.

    Attributes:
        default_lane: For tasks whose client and agent name none.
        webhook_allow: Hosts that webhooks may go to though they are private.
        workers: By lane.
        event_bus: Where circuits' changes are told; None for nowhere.
        state_machines: What the ARNs of the workflows' state machines begin with; a workflow's name follows.
        decisions_secret: The name of the secret that links to decisions are signed with; None where there are none.
        api_url: Where people reach the API; None where it is not known.
    """

    control_table: Text = Field(validation_alias="FLOTILLA_CONTROL_TABLE")
    views_table: Text = Field(validation_alias="FLOTILLA_VIEWS_TABLE")
    archive_bucket: Text = Field(validation_alias="FLOTILLA_ARCHIVE_BUCKET")
    webhook_allow: Json[frozenset[Text]] = Field(validation_alias="FLOTILLA_WEBHOOK_ALLOW")
    delays: Json[Delays] = Field(validation_alias="FLOTILLA_DELAYS")
    schedules: Json[ScheduleTarget] = Field(validation_alias="FLOTILLA_SCHEDULES")
    workers: Json[dict[str, LaneWorker]] = Field(validation_alias="FLOTILLA_WORKERS")
    default_lane: Text = Field(validation_alias="FLOTILLA_DEFAULT_LANE")
    event_bus: Text | None = Field(default=None, validation_alias="FLOTILLA_EVENT_BUS")
    state_machines: Text = Field(validation_alias="FLOTILLA_STATE_MACHINES")
    decisions_secret: Text | None = Field(default=None, validation_alias="FLOTILLA_DECISIONS_SECRET")
    api_url: Text | None = Field(default=None, validation_alias="FLOTILLA_API_URL")

    @model_validator(mode="after")
    def _lanes_are_whole(self) -> Self:
        if missing := self.lanes.keys() - self.workers.keys():
            raise ValueError(f"FLOTILLA_WORKERS lacks {sorted(missing)}, which FLOTILLA_LANES has")
        return _with_lane(self, "FLOTILLA_DEFAULT_LANE", self.default_lane)


class RelaySettings(_Settings):
    """What the relay is told.

    Attributes:
        delays_dlq_url: The dead letter queue of all tiers.
    """

    name: Text = Field(validation_alias="FLOTILLA_NAME")
    lanes: Json[dict[str, LaneQueues]] = Field(validation_alias="FLOTILLA_LANES")
    delays: Json[Delays] = Field(validation_alias="FLOTILLA_DELAYS")
    delays_dlq_url: Text = Field(validation_alias="FLOTILLA_DELAYS_DLQ_URL")


class TriageSettings(_TaskSettings):
    """What the triage is told.

    Attributes:
        delays_dlq_url: The dead letter queue of the delay ladder.
        state_machines: See `WorkerSettings.state_machines`.
    """

    views_table: Text = Field(validation_alias="FLOTILLA_VIEWS_TABLE")
    delays: Json[Delays] = Field(validation_alias="FLOTILLA_DELAYS")
    delays_dlq_url: Text = Field(validation_alias="FLOTILLA_DELAYS_DLQ_URL")
    schedules: Json[ScheduleTarget] = Field(validation_alias="FLOTILLA_SCHEDULES")
    state_machines: Text | None = Field(default=None, validation_alias="FLOTILLA_STATE_MACHINES")


class ReconcilerSettings(_TaskSettings):
    """What the reconciler is told.

    Attributes:
        state_machines: What the ARNs of the workflows' state machines begin with; a workflow's name follows.
    """

    control_table: Text = Field(validation_alias="FLOTILLA_CONTROL_TABLE")
    views_table: Text = Field(validation_alias="FLOTILLA_VIEWS_TABLE")
    delays: Json[Delays] = Field(validation_alias="FLOTILLA_DELAYS")
    schedules: Json[ScheduleTarget] = Field(validation_alias="FLOTILLA_SCHEDULES")
    state_machines: Text = Field(validation_alias="FLOTILLA_STATE_MACHINES")


class RecorderSettings(_Settings):
    """What the recorder of executions is told.

    Attributes:
        state_machines: What the ARNs of the workflows' state machines begin with; a workflow's name follows.
    """

    name: Text = Field(validation_alias="FLOTILLA_NAME")
    events_table: Text = Field(validation_alias="FLOTILLA_EVENTS_TABLE")
    payloads_bucket: Text = Field(validation_alias="FLOTILLA_PAYLOADS_BUCKET")
    inline_payload_bytes: int = Field(validation_alias="FLOTILLA_INLINE_PAYLOAD_BYTES", ge=0)
    retention_days: int = Field(validation_alias="FLOTILLA_RETENTION_DAYS", ge=1)
    state_machines: Text = Field(validation_alias="FLOTILLA_STATE_MACHINES")


class BroadcastTargets(BaseModel):
    """Who is told of transitions besides webhooks.

    Attributes:
        transitions: Statuses whose beginning is told.
        event_bus: Name of the bus; None for none.
        topic_arn: The topic; None for none.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    transitions: frozenset[Status]
    event_bus: Text | None
    topic_arn: Text | None


class BroadcasterSettings(_Settings):
    """What the broadcaster is told.

    Attributes:
        state_machines: What the ARNs of the workflows' state machines begin with; a workflow's name follows.
        decisions_secret: The name of the secret that links to decisions are signed with; None where there are none.
        api_url: What links to decisions begin with; None where it is not known.
    """

    name: Text = Field(validation_alias="FLOTILLA_NAME")
    events_table: Text = Field(validation_alias="FLOTILLA_EVENTS_TABLE")
    control_table: Text = Field(validation_alias="FLOTILLA_CONTROL_TABLE")
    views_table: Text = Field(validation_alias="FLOTILLA_VIEWS_TABLE")
    state_machines: Text = Field(validation_alias="FLOTILLA_STATE_MACHINES")
    payloads_bucket: Text = Field(validation_alias="FLOTILLA_PAYLOADS_BUCKET")
    retention_days: int = Field(validation_alias="FLOTILLA_RETENTION_DAYS", ge=1)
    broadcast: Json[BroadcastTargets] = Field(validation_alias="FLOTILLA_BROADCAST")
    webhooks_queue_url: Text = Field(validation_alias="FLOTILLA_WEBHOOKS_QUEUE_URL")
    decisions_secret: Text | None = Field(default=None, validation_alias="FLOTILLA_DECISIONS_SECRET")
    api_url: Text | None = Field(default=None, validation_alias="FLOTILLA_API_URL")


class WebhookSettings(_Settings):
    """What the webhook function is told.

    Attributes:
        allow: Hosts that may be private, and spoken to without TLS.
    """

    name: Text = Field(validation_alias="FLOTILLA_NAME")
    control_table: Text = Field(validation_alias="FLOTILLA_CONTROL_TABLE")
    webhooks_queue_url: Text = Field(validation_alias="FLOTILLA_WEBHOOKS_QUEUE_URL")
    webhooks_dlq_url: Text = Field(validation_alias="FLOTILLA_WEBHOOKS_DLQ_URL")
    allow: Json[frozenset[Text]] = Field(validation_alias="FLOTILLA_WEBHOOK_ALLOW")


class _ArchiveSettings(_Settings):
    name: Text = Field(validation_alias="FLOTILLA_NAME")
    events_table: Text = Field(validation_alias="FLOTILLA_EVENTS_TABLE")
    views_table: Text = Field(validation_alias="FLOTILLA_VIEWS_TABLE")
    archive_bucket: Text = Field(validation_alias="FLOTILLA_ARCHIVE_BUCKET")
    retention_days: int = Field(validation_alias="FLOTILLA_RETENTION_DAYS", ge=1)
    archive_days: int = Field(validation_alias="FLOTILLA_ARCHIVE_DAYS", ge=1)


class ProjectorSettings(_ArchiveSettings):
    """What the projector is told."""


class KeeperSettings(_ArchiveSettings):
    """What the retention keeper is told."""


class AuthorizerSettings(_Settings):
    """What the authorizer is told."""

    name: Text = Field(validation_alias="FLOTILLA_NAME")
    control_table: Text = Field(validation_alias="FLOTILLA_CONTROL_TABLE")


T = TypeVar("T", bound=_TaskSettings)


def _with_lane(settings: T, variable: str, lane: str) -> T:
    if lane not in settings.lanes:
        raise ValueError(f"{variable} is {lane!r}, which FLOTILLA_LANES does not have")
    return settings
