"""The agent of canaries: always deployed, on any lane, and as little as an agent can be.

Anybody may submit to it: it costs what a task costs, and proves that tasks are run.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

from flotilla.agents import Context, agent
from flotilla.primitives.canary import CANARY_AGENT


class Echo(BaseModel):
    """Any JSON value."""

    model_config = ConfigDict(extra="forbid")

    value: Any


@agent(CANARY_AGENT, timeout_seconds=5, max_attempts=3)
async def canary(task: Echo, ctx: Context) -> Echo:
    """Answer what came."""
    return task
