"""Agents whose models are stricter, or named otherwise, than the plain JSON of their tasks."""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, computed_field

from flotilla.agents import Context, agent


class Colour(Enum):
    RED = "red"


class Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    when: datetime
    colour: Colour
    id: UUID
    pair: tuple[int, int]


class Named(BaseModel):
    full_name: str = Field(alias="fullName")


class Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")

    short_name: str = Field(serialization_alias="shortName")
    when: datetime | None = None

    @computed_field
    def length(self) -> int:
        return len(self.short_name)


@agent("modelled.strict")
async def strict(task: Strict, ctx: Context) -> Strict:
    return task


@agent("modelled.named")
async def named(task: Named, ctx: Context) -> Answer:
    return Answer(short_name=task.full_name[:3])


ALL = [strict, named]
