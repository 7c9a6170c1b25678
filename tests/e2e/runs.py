"""Runs of workflows as a client of a deployed fleet sees them: started, waited for, and what they left in the log."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from typing import Any

import httpx

from benchmarks.chaos.tally import read_logs
from tests.e2e.engine import Engine
from tests.e2e.fleet_client import PATIENCE, WAIT_SECONDS, FleetClient

ENDED = frozenset({"succeeded", "failed", "cancelled", "expired"})

_LARGEST_PAGE = 100


@dataclass(frozen=True)
class Runs:
    """The runs of a tenant on an engine."""

    engine: Engine
    tenant: FleetClient

    def start(self, workflow: str, value: Any, *, key: str | None = None, **body: Any) -> httpx.Response:
        headers = {"Idempotency-Key": key or uuid.uuid4().hex}
        return self.tenant.http.post(f"/v1/workflows/{workflow}", json={"input": value, **body}, headers=headers)

    def started(self, workflow: str, value: Any, **body: Any) -> str:
        """Start a run; its id."""
        answer = self.start(workflow, value, **body)
        assert answer.status_code == 202, answer.text
        run_id = str(answer.json()["id"])
        assert answer.headers["Location"].endswith(run_id)
        return run_id

    def look(self, run_id: str, *, wait_seconds: int = 0) -> dict[str, Any]:
        """A run as it is now, or as it ended if that is within the wait."""
        headers = {"Prefer": f"wait={wait_seconds}"} if wait_seconds else {}
        answer = self.tenant.http.get(f"/v1/workflows/{run_id}", headers=headers)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def finished(self, run_id: str) -> dict[str, Any]:
        """Wait until a run has ended."""
        run: dict[str, Any] = {}
        for _ in range(PATIENCE):
            run = self.look(run_id, wait_seconds=WAIT_SECONDS)
            if run["status"] in ENDED:
                return run
        raise AssertionError(f"not finished: {run}")

    def done(self, workflow: str, value: Any, **body: Any) -> dict[str, Any]:
        """Start a run and wait until it has ended."""
        return self.finished(self.started(workflow, value, **body))

    def cancel(self, run_id: str) -> httpx.Response:
        return self.tenant.http.post(f"/v1/workflows/{run_id}/cancel")

    def task(self, task_id: str) -> dict[str, Any]:
        answer = self.tenant.http.get(f"/v1/tasks/{task_id}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def logged(self, run_id: str, step: str | None = None) -> list[str]:
        """Ids of the run's tasks by the event log itself, in the order of their acceptance: none of them is missing."""
        first = [events[0] for events in read_logs(self.engine.info).values()]
        own = [event for event in first if event.body.get("workflow", {}).get("run") == run_id]
        of_step = [event for event in own if step in (None, event.body["workflow"]["step"])]
        return [event.task_id for event in sorted(of_step, key=lambda event: event.at_ms)]

    def tasks(self, run_id: str, step: str | None = None) -> list[dict[str, Any]]:
        """The run's tasks, of one step or of all, the oldest first."""
        query = {"limit": str(_LARGEST_PAGE)} | ({"step": step} if step else {})
        found = self._all(f"/v1/workflows/{run_id}/tasks", query)
        return sorted(found, key=lambda task: str(task["created_at"]))

    def events(self, run_id: str) -> list[dict[str, Any]]:
        """Every event of the run and of its tasks."""
        return self._all(f"/v1/workflows/{run_id}/events", {})

    def step(self, run: dict[str, Any], name: str) -> dict[str, Any]:
        """What a run's view says of a step."""
        found: dict[str, Any] = next(step for step in run["steps"] if step["name"] == name)
        return found

    def cause(self, run: dict[str, Any]) -> dict[str, Any]:
        """What the definition says of why a run failed."""
        found: dict[str, Any] = json.loads(run["error"]["message"])
        return found

    def _all(self, path: str, parameters: dict[str, str]) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = []
        cursor: str | None = None
        while True:
            query = parameters | ({"cursor": cursor} if cursor else {})
            answer = self.tenant.http.get(path, params=query)
            assert answer.status_code == 200, answer.text
            items += answer.json()["items"]
            cursor = answer.json()["next_cursor"]
            if cursor is None:
                return items
