"""The HTTP side of the API in memory, for `httpx.MockTransport`: the network, not code of ours."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx

from cli.connection import Connection

CONNECTION = Connection("http://127.0.0.1:4566/_aws/execute-api/1a2b3c/$default", "flt_test", "flt_operator")
_BASE = httpx.URL(CONNECTION.api_url).path

ANALYSIS = {
    "document_class": "permissive",
    "score": 0.97,
    "counts": {"sections": 3, "dates": 1},
    "summary": [{"text": "Permission is\nhereby granted."}, {"text": "A second sentence."}],
}


def finished(task_id: str, **changes: Any) -> dict[str, Any]:
    task: dict[str, Any] = {
        "id": task_id,
        "agent": "document.analyze",
        "agent_version": "1",
        "lane": "standard",
        "session": None,
        "status": "succeeded",
        "attempt": 1,
        "max_attempts": 4,
        "created_at": "2026-11-21T09:00:00.100Z",
        "started_at": "2026-11-21T09:00:00.200Z",
        "finished_at": "2026-11-21T09:00:01.350Z",
        "output": ANALYSIS,
        "error": None,
        "usage": {"duration_ms": 40, "billed_ms": 12},
    }
    return task | changes


def queued(task_id: str) -> dict[str, Any]:
    return finished(task_id, status="queued", attempt=0, started_at=None, finished_at=None, output=None, usage={})


def problem(status: int, slug: str, headers: dict[str, str] | None = None, **members: Any) -> httpx.Response:
    body = {
        "type": f"/problems/{slug}",
        "title": "A title",
        "status": status,
        "detail": "What to do about it.",
        "instance": "/v1/tasks",
        "request_id": "req-1",
        "retryable": False,
    }
    content = json.dumps(body | members).encode()
    return httpx.Response(
        status, content=content, headers={"content-type": "application/problem+json"} | (headers or {})
    )


class FakeApi:
    """Answers from a script first, then takes tasks and finishes each when it is asked for the second time.

    Attributes:
        script: Answers to the next requests, in order; an exception is raised.
        calls: What was asked, as method and path below the base.
        ends: How a task ends, by the name in its input.
    """

    def __init__(self, *script: httpx.Response | Exception) -> None:
        self.script = list(script)
        self.calls: list[str] = []
        self.requests: list[httpx.Request] = []
        self.tasks: dict[str, dict[str, Any]] = {}
        self.by_key: dict[str, str] = {}
        self.asked: dict[str, int] = {}
        self.ends: dict[str, dict[str, Any]] = {}
        self.waits: list[float] = []
        self.now = 0.0

    @property
    def transport(self) -> httpx.MockTransport:
        async def answer(request: httpx.Request) -> httpx.Response:
            await asyncio.sleep(0)  # as a network does, others get their turn meanwhile
            return self.answer(request)

        return httpx.MockTransport(answer)

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds

    def monotonic(self) -> float:
        return self.now

    def answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.raw_path.decode().removeprefix(_BASE)
        self.calls.append(f"{request.method} {path}")
        self.requests.append(request)
        if self.script:
            answer = self.script.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer
        if request.method == "POST":
            return self._submit(request)
        if path.endswith("/events"):
            return httpx.Response(200, json={"items": [], "next_cursor": None})
        return self._get(path.rpartition("/")[2])

    def _submit(self, request: httpx.Request) -> httpx.Response:
        key = request.headers["idempotency-key"]
        replayed = key in self.by_key
        task_id = self.by_key.setdefault(key, f"tsk_{len(self.by_key):032x}")
        self.tasks[task_id] = json.loads(request.content)
        headers = {"idempotent-replay": "true"} if replayed else {}
        return httpx.Response(202, json=queued(task_id), headers=headers)

    def _get(self, task_id: str) -> httpx.Response:
        if task_id not in self.tasks:
            return problem(404, "not-found")
        self.asked[task_id] = self.asked.get(task_id, 0) + 1
        if self.asked[task_id] < 2:
            return httpx.Response(200, json=queued(task_id))
        changes = self.ends.get(str(self.tasks[task_id]["input"].get("name")), {})
        return httpx.Response(200, json=finished(task_id, **changes))
