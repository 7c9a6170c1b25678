"""As much of Flotilla's HTTP API as a program needs that submits tasks and wants their results."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import httpx

from cli.connection import Connection, find_connection

_ENDED = frozenset({"succeeded", "dead_lettered", "cancelled", "expired"})
_HOLD_SECONDS = 20
_REPEATS = 5


class TaskFailedError(Exception):
    """The task ended without a result; the message says why."""


class Flotilla:
    """Speaks to a deployment: the one that the environment names, else the local engine.

    Args:
        connection: The deployment.
        transport: Carries the requests; the network by default.
        sleep: Lets seconds pass.
    """

    def __init__(
        self,
        connection: Connection | None = None,
        *,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        found = connection or find_connection()
        self._sleep = sleep
        self._http = httpx.Client(
            base_url=found.api_url,
            headers={"Authorization": f"Bearer {found.api_key}"},
            timeout=_HOLD_SECONDS + 10,
            transport=transport,
            trust_env=not found.on_this_machine,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def submit(self, agent: str, value: Any, *, key: str, lane: str | None = None) -> str:
        """Submit a task; its id. The same key and input are the same task, so a repeat does no harm."""
        body = {"agent": agent, "input": value} | ({"lane": lane} if lane else {})
        answer: dict[str, Any] = self._call("POST", "/v1/tasks", headers={"Idempotency-Key": key}, json=body).json()
        return str(answer["id"])

    def result(self, agent: str, value: Any, *, key: str) -> Any:
        """Submit a task and wait for its output.

        Raises:
            TaskFailedError: It has none.
        """
        task_id = self.submit(agent, value, key=key)
        while True:
            held = {"Prefer": f"wait={_HOLD_SECONDS}"}
            task: dict[str, Any] = self._call("GET", f"/v1/tasks/{task_id}", headers=held).json()
            if task["status"] == "succeeded":
                return task["output"]
            if task["status"] in _ENDED:
                error = task["error"] or {"code": task["status"], "message": ""}
                raise TaskFailedError(f"{error['code']}: {error['message']}")

    def _call(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Make a call; one that brought no answer, or was refused for now, is repeated."""
        for repeat in range(_REPEATS + 1):
            try:
                answer = self._http.request(method, path, **options)
            except httpx.TransportError:
                if repeat == _REPEATS:
                    raise
                self._sleep(2.0**repeat)
                continue
            if answer.status_code in (429, 503) and repeat < _REPEATS:
                self._sleep(float(answer.headers.get("Retry-After", 2**repeat)))
                continue
            answer.raise_for_status()
            return answer
        raise AssertionError
