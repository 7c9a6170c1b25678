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

Text = Annotated[str, Field(min_length=1)]


class LaneQueues(BaseModel):
    """Where a lane's messages lie."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    queue_url: Text
    dlq_url: Text


class _Settings(BaseModel):
    # A deployment changes a function's code and its environment one after the other, so variables
    # that this version does not know are no error. The environment holds the role's credentials:
    # an error is logged and must not repeat what it found there.
    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

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
    """

    lane: Text = Field(validation_alias="FLOTILLA_LANE")

    @model_validator(mode="after")
    def _lane_exists(self) -> Self:
        return _with_lane(self, "FLOTILLA_LANE", self.lane)


class DiagnosticsSettings(_Settings):
    """What the diagnostic agents are told, where they are deployed."""

    control_table: Text = Field(validation_alias="FLOTILLA_CONTROL_TABLE")


class ApiSettings(_TaskSettings):
    """What the API is told.

    Attributes:
        default_lane: For tasks whose client and agent name none.
    """

    control_table: Text = Field(validation_alias="FLOTILLA_CONTROL_TABLE")
    default_lane: Text = Field(validation_alias="FLOTILLA_DEFAULT_LANE")

    @model_validator(mode="after")
    def _default_lane_exists(self) -> Self:
        return _with_lane(self, "FLOTILLA_DEFAULT_LANE", self.default_lane)


class AuthorizerSettings(_Settings):
    """What the authorizer is told."""

    name: Text = Field(validation_alias="FLOTILLA_NAME")
    control_table: Text = Field(validation_alias="FLOTILLA_CONTROL_TABLE")


T = TypeVar("T", bound=_TaskSettings)


def _with_lane(settings: T, variable: str, lane: str) -> T:
    if lane not in settings.lanes:
        raise ValueError(f"{variable} is {lane!r}, which FLOTILLA_LANES does not have")
    return settings
