"""States of a workflow's run, which ask for tasks by orders on the lanes, and wait to be told how these ended."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from flotilla.workflows.order import RunHeader, StepOrder
from tests.fakes.workflows import Answer, MemoryTaskTokens
from tests.simulation.loop import Scheduler

if TYPE_CHECKING:
    from tests.simulation.workload import Submit

RUN = "wfl_" + "0" * 32


def token_of(number: int) -> str:
    """What the state is answered by that asks for the task of that number."""
    return f"token {number}"


def body_of(task: Submit) -> str:
    """The order on its lane. Its member `task_id` is for the observer; who reads orders passes over it."""
    token = token_of(task.number)
    value: dict[str, Any] = {
        "workflow": RunHeader(RUN, task.tenant, "simulated").to_json(),
        "state": {"Name": f"Task{task.number}", "RetryCount": 0},
        "token": token,
        "agent": task.agent,
        "input": task.input(),
        "session": task.session,
        "max_attempts": task.max_attempts,
        "timeout_seconds": None if task.deadline_seconds is None else math.ceil(task.deadline_seconds),
    }
    task_id = StepOrder.from_body(json.dumps(value)).task_id
    return json.dumps(value | {"task_id": task_id}, separators=(",", ":"))


class States(MemoryTaskTokens):
    """The states that wait, and when each was told what."""

    def __init__(self, scheduler: Scheduler) -> None:
        super().__init__()
        self._scheduler = scheduler
        self.told: dict[str, tuple[float, Answer]] = {}
        self.asked: set[str] = set()

    async def _answer(self, answer: Answer) -> bool:
        waited = await super()._answer(answer)
        if waited:
            self.told[answer.token] = self._scheduler.now, answer
        return waited
