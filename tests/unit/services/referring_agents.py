"""Agents whose results refer to those of others."""

from __future__ import annotations

from typing import Any

from flotilla.agents import Context, agent
from tests.unit.services.sample_agents import Input, echo, failing


@agent("referring.names", timeout_seconds=10)
async def names(task: Input, ctx: Context) -> list[Any]:
    """Refer to the tasks whose ids are the input; to its own where there are none."""
    return [{"$task_output": task_id} for task_id in task.value or [ctx.task_id]]


ALL = [names, echo, failing]
