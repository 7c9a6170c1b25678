"""How the end-to-end tests speak to a deployed fleet: over HTTP, as a client would."""

from __future__ import annotations

import uuid
from typing import Any

import httpx

WAIT_SECONDS = 25
PATIENCE = 8
"""Long polls before a test gives a task up: some 200 s, well above any lease or backoff of a test."""


class FleetClient:
    """A client with one key."""

    def __init__(self, api_url: str, key: str | None) -> None:
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        # Longer than the longest wait the API allows.
        self.http = httpx.Client(base_url=api_url, headers=headers, timeout=60)

    def submit(self, agent: str, value: Any, *, headers: dict[str, str] | None = None, **body: Any) -> httpx.Response:
        request = {"agent": agent, "input": value, **body}
        return self.http.post("/v1/tasks", json=request, headers=headers)

    def accepted(self, agent: str, value: Any, **body: Any) -> str:
        answer = self.submit(agent, value, headers={"Idempotency-Key": uuid.uuid4().hex}, **body)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def finished(self, task_id: str) -> dict[str, Any]:
        """Wait until a task has ended."""
        task: dict[str, Any] = {}
        for _ in range(PATIENCE):
            answer = self.http.get(f"/v1/tasks/{task_id}", headers={"Prefer": f"wait={WAIT_SECONDS}"})
            assert answer.status_code == 200, answer.text
            task = answer.json()
            if task["status"] in {"succeeded", "dead_lettered", "cancelled", "expired"}:
                return task
        raise AssertionError(f"not finished: {task}")

    def run(self, agent: str, value: Any, **body: Any) -> dict[str, Any]:
        """Submit a task and wait until it has ended."""
        return self.finished(self.accepted(agent, value, **body))

    def events(self, task_id: str) -> list[dict[str, Any]]:
        answer = self.http.get(f"/v1/tasks/{task_id}/events")
        assert answer.status_code == 200, answer.text
        return list(answer.json()["items"])

    def kinds(self, task_id: str) -> list[str]:
        return [event["kind"] for event in self.events(task_id)]
