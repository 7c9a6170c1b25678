"""What a function is told by its environment: one model for each function, read once.

Invariant: a function whose environment lacks something, or holds what cannot be right, fails with
an error that names the variable, before it has touched anything. Nothing is read at import.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from typing import Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, Json, model_validator

from flotilla.models import Status
from flotilla.runtime.settings_values import (
    Delays,
    LaneQueues,
    LaneWorker,
    ListPrices,
    PlannedCanaries,
    Scaling,
    ScheduleTarget,
    Text,
)


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
        gb_second_usd: What Lambda asks for a gigabyte of memory for a second; None where nobody says.
        invocation_usd: What it asks for one invocation.
    """

    lane: Text = Field(validation_alias="FLOTILLA_LANE")
    default_lane: Text = Field(validation_alias="FLOTILLA_DEFAULT_LANE")
    control_table: Text = Field(validation_alias="FLOTILLA_CONTROL_TABLE")
    delays: Json[Delays] = Field(validation_alias="FLOTILLA_DELAYS")
    session_days: int = Field(validation_alias="FLOTILLA_SESSION_DAYS", ge=1)
    event_bus: Text | None = Field(default=None, validation_alias="FLOTILLA_EVENT_BUS")
    state_machines: Text | None = Field(default=None, validation_alias="FLOTILLA_STATE_MACHINES")

    gb_second_usd: float | None = Field(default=None, validation_alias="FLOTILLA_GB_SECOND_USD", ge=0)
    invocation_usd: float = Field(default=0.0, validation_alias="FLOTILLA_INVOCATION_USD", ge=0)

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
        lane_pool: What all lanes together may have reserved.
        canary: Which canaries there are to be seen.
        event_bus: Where circuits' changes are told; None for nowhere.
        state_machines: What the ARNs of the workflows' state machines begin with; a workflow's name follows.
        decisions_secret: The name of the secret that links to decisions are signed with; None where there are none.
        api_url: Where people reach the API; None where it is not known.
        prices: What AWS asks; None where nobody says.
    """

    control_table: Text = Field(validation_alias="FLOTILLA_CONTROL_TABLE")
    views_table: Text = Field(validation_alias="FLOTILLA_VIEWS_TABLE")
    archive_bucket: Text = Field(validation_alias="FLOTILLA_ARCHIVE_BUCKET")
    webhook_allow: Json[frozenset[Text]] = Field(validation_alias="FLOTILLA_WEBHOOK_ALLOW")
    delays: Json[Delays] = Field(validation_alias="FLOTILLA_DELAYS")
    schedules: Json[ScheduleTarget] = Field(validation_alias="FLOTILLA_SCHEDULES")
    workers: Json[dict[str, LaneWorker]] = Field(validation_alias="FLOTILLA_WORKERS")
    lane_pool: int = Field(default=0, validation_alias="FLOTILLA_LANE_POOL", ge=0)
    default_lane: Text = Field(validation_alias="FLOTILLA_DEFAULT_LANE")
    event_bus: Text | None = Field(default=None, validation_alias="FLOTILLA_EVENT_BUS")
    state_machines: Text = Field(validation_alias="FLOTILLA_STATE_MACHINES")
    canary: Json[PlannedCanaries] = Field(validation_alias="FLOTILLA_CANARY")
    decisions_secret: Text | None = Field(default=None, validation_alias="FLOTILLA_DECISIONS_SECRET")
    api_url: Text | None = Field(default=None, validation_alias="FLOTILLA_API_URL")
    prices: Json[ListPrices] | None = Field(default=None, validation_alias="FLOTILLA_LIST_PRICES")

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


class ScalerSettings(_Settings):
    """What the scaler is told."""

    name: Text = Field(validation_alias="FLOTILLA_NAME")
    control_table: Text = Field(validation_alias="FLOTILLA_CONTROL_TABLE")
    lanes: Json[dict[str, LaneQueues]] = Field(validation_alias="FLOTILLA_LANES")
    scaling: Json[Scaling] = Field(validation_alias="FLOTILLA_SCALING")

    @model_validator(mode="after")
    def _lanes_are_whole(self) -> Self:
        if missing := self.scaling.lanes.keys() - self.lanes.keys():
            raise ValueError(f"FLOTILLA_LANES lacks {sorted(missing)}, which FLOTILLA_SCALING has")
        return self


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


class CanarySettings(_Settings):
    """What the canary function is told.

    Attributes:
        api_url: Where the API is asked whether it is ready; None where it is not known.
    """

    name: Text = Field(validation_alias="FLOTILLA_NAME")
    events_table: Text = Field(validation_alias="FLOTILLA_EVENTS_TABLE")
    control_table: Text = Field(validation_alias="FLOTILLA_CONTROL_TABLE")
    retention_days: int = Field(validation_alias="FLOTILLA_RETENTION_DAYS", ge=1)
    lanes: Json[dict[str, LaneQueues]] = Field(validation_alias="FLOTILLA_LANES")
    canary: Json[PlannedCanaries] = Field(validation_alias="FLOTILLA_CANARY")
    api_url: Text | None = Field(default=None, validation_alias="FLOTILLA_API_URL")


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
    """What the projector is told.

    Attributes:
        tenant_classes: The class of each tenant that has one, which metrics tell apart.
    """

    tenant_classes: Json[dict[str, Text]] = Field(default={}, validation_alias="FLOTILLA_TENANT_CLASSES")


class KeeperSettings(_ArchiveSettings):
    """What the retention keeper is told."""


class RollupSettings(_Settings):
    """What the rollup is told.

    Attributes:
        prices: What AWS asks; None where nobody says.
    """

    name: Text = Field(validation_alias="FLOTILLA_NAME")
    archive_bucket: Text = Field(validation_alias="FLOTILLA_ARCHIVE_BUCKET")
    retention_days: int = Field(validation_alias="FLOTILLA_RETENTION_DAYS", ge=1)
    prices: Json[ListPrices] | None = Field(default=None, validation_alias="FLOTILLA_LIST_PRICES")


class AuthorizerSettings(_Settings):
    """What the authorizer is told."""

    name: Text = Field(validation_alias="FLOTILLA_NAME")
    control_table: Text = Field(validation_alias="FLOTILLA_CONTROL_TABLE")


T = TypeVar("T", bound=_TaskSettings)


def _with_lane(settings: T, variable: str, lane: str) -> T:
    if lane not in settings.lanes:
        raise ValueError(f"{variable} is {lane!r}, which FLOTILLA_LANES does not have")
    return settings
