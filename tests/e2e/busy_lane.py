"""A lane whose workers are all at work, so that what is put on it meanwhile is handed out together, as one batch."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from tests.e2e.engine import Engine
from tests.e2e.fleet_client import FleetClient
from tests.e2e.waiting import eventually

BUSY_SECONDS = 3.0
"""Long enough to put a batch on the lane."""


@dataclass(frozen=True)
class BusyLane:
    """A lane, and the tasks that keep its workers busy."""

    name: str
    queue_url: str
    queues: Any
    tenant: FleetClient
    busy: tuple[str, ...]

    @classmethod
    def make(cls, engine: Engine, tenant: FleetClient, operator: FleetClient, name: str) -> BusyLane:
        """Occupies the lane's workers, one after the other, and returns when all of them are."""
        lanes = operator.http.get("/v1/lanes").json()["items"]
        (workers,) = [lane["concurrency"]["max"] for lane in lanes if lane["name"] == name]
        busy = []
        for _ in range(workers):
            task_id = tenant.accepted("diagnostics.sleep", {"seconds": BUSY_SECONDS}, lane=name)
            eventually(partial(_has_started, tenant, task_id), "a worker for a task")
            busy.append(task_id)
        url = engine.info.outputs[f"LaneQueue{name.capitalize()}"]
        return cls(name, url, engine.client("sqs"), tenant, tuple(busy))

    def send(self, body: str, *, group: str | None = None) -> str:
        """Puts a message on the lane that no API accepted; its id."""
        answer = self.queues.send_message(
            QueueUrl=self.queue_url,
            MessageBody=body,
            MessageGroupId=group or uuid.uuid4().hex,
            MessageDeduplicationId=uuid.uuid4().hex,
        )
        return str(answer["MessageId"])

    def submit(self, *tasks: dict[str, Any]) -> list[str]:
        """Submits tasks in one call; their ids."""
        body = {"tasks": [{"lane": self.name, **task} for task in tasks]}
        answer = self.tenant.http.post("/v1/task-batches", json=body)
        assert answer.status_code == 200, answer.text
        results = answer.json()["results"]
        assert {result["status"] for result in results} == {202}, results
        return [str(result["task"]["id"]) for result in results]

    def finished(self, task_ids: Sequence[str]) -> list[dict[str, Any]]:
        """The tasks, once all of them have ended."""
        return [self.tenant.finished(task_id) for task_id in task_ids]

    def seconds_taken(self, tasks: Sequence[dict[str, Any]]) -> float:
        """From when the first of the lane's workers was free until the last of these tasks had ended."""
        free_at = min(time_of(task["finished_at"]) for task in self.finished(self.busy))
        return max(time_of(task["finished_at"]) for task in tasks) - free_at


def time_of(text: str) -> float:
    """A time of the API, in seconds."""
    return datetime.fromisoformat(text).timestamp()


def _has_started(tenant: FleetClient, task_id: str) -> bool:
    return "started" in tenant.kinds(task_id)
