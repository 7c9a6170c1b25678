"""The contract's calls about tasks, and the shapes of what they answer.

It interprets no task: members it does not know pass through untouched.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NotRequired, TypedDict

from cli.calls import LONGEST_WAIT_SECONDS, ApiError, Calls, json_of, segment

__all__ = ["TERMINAL", "Agent", "ApiError", "Event", "FlotillaClient", "Status", "Submitted", "Task"]

Status = Literal[
    "scheduled",
    "queued",
    "running",
    "retrying",
    "parked",
    "waiting",
    "succeeded",
    "dead_lettered",
    "cancelled",
    "expired",
]

TERMINAL: frozenset[str] = frozenset({"succeeded", "dead_lettered", "cancelled", "expired"})

_BETWEEN_POLLS_SECONDS = 0.2
_LARGEST_PAGE = 100


class TaskError(TypedDict):
    """Why a task failed."""

    code: str
    message: str
    retryable: bool


Waiting = TypedDict("Waiting", {"for": str, "since": str, "until": str | None, "detail": Any})
"""What a task waits for."""


class Task(TypedDict):
    """A task as the API shows it; what is listed here is what the command uses."""

    id: str
    agent: str
    agent_version: str
    lane: str
    session: str | None
    status: Status
    attempt: int
    max_attempts: int
    created_at: str
    due_at: NotRequired[str | None]
    deadline: NotRequired[str | None]
    budget_usd: NotRequired[float | None]
    started_at: str | None
    finished_at: str | None
    waiting: NotRequired[Waiting | None]
    output: Any
    error: TaskError | None
    usage: dict[str, Any]
    output_url: NotRequired[str]


class Event(TypedDict):
    """One event of a task's log; what the kind needs comes beside these."""

    seq: int
    kind: str
    at: str
    actor: str
    attempt: int
    hash: str
    prev_hash: str


class Agent(TypedDict):
    """A deployed agent."""

    name: str
    version: str
    lane: str
    input_schema: dict[str, Any]
    output_schema: dict[str, Any]
    integrations: list[str]
    routes: NotRequired[list[str]]
    state: NotRequired[str]


@dataclass(frozen=True, slots=True)
class Submitted:
    """The answer to a submit.

    Attributes:
        replayed: An earlier submit with the same key and body made the task.
    """

    task: Task
    replayed: bool


class FlotillaClient(Calls):
    """Speaks to one deployment about tasks; see `Calls` for how."""

    async def submit(
        self,
        agent: str,
        value: Any,
        *,
        idempotency_key: str | None = None,
        lane: str | None = None,
        session: str | None = None,
        max_attempts: int | None = None,
        delay_seconds: float | None = None,
        run_at: str | None = None,
        deadline: str | None = None,
        budget_usd: float | None = None,
        labels: Mapping[str, str] | None = None,
        webhook: str | None = None,
        wait_seconds: int = 0,
    ) -> Submitted:
        """Submit a task.

        Args:
            agent: Name of the agent.
            value: Its input, anything JSON.
            idempotency_key: The same key and body are the same task; None makes a new one.
            lane: Priority; None takes the agent's own.
            session: Tasks of one session run one after the other.
            max_attempts: None takes the agent's own.
            delay_seconds: Run it no sooner than after so many seconds.
            run_at: Run it no sooner than at this time (RFC 3339); instead of a delay.
            deadline: Do not start it after this time (RFC 3339).
            budget_usd: What its model calls may cost, with those of all tasks that it submits; None takes the agent's.
            labels: Kept and shown with it.
            webhook: Id or URL of a registered endpoint that is told how it ends.
            wait_seconds: Answer with the finished task if it ends within this time (at most 25).

        Raises:
            ApiError: It was refused, or the API could not be reached.
        """
        options = {
            "lane": lane,
            "session": session,
            "max_attempts": max_attempts,
            "delay_seconds": delay_seconds,
            "run_at": run_at,
            "deadline": deadline,
            "budget_usd": budget_usd,
            "labels": labels or None,
            "webhook": webhook,
        }
        body = {"agent": agent, "input": value} | {name: each for name, each in options.items() if each is not None}
        # Without a key a repeat after a lost answer would be a second task.
        headers = {"Idempotency-Key": idempotency_key or secrets.token_hex(16)} | _prefer(wait_seconds)
        response = await self.call("POST", "/v1/tasks", json=body, headers=headers)
        replayed = response.headers.get("Idempotent-Replay", "").lower() == "true"
        return Submitted(json_of(response), replayed)

    async def submit_batch(self, tasks: Sequence[Mapping[str, Any]], *, idempotency_key: str) -> list[dict[str, Any]]:
        """Submit up to 100 tasks in one call.

        Args:
            tasks: Each the body of a submit.
            idempotency_key: Of the whole batch.

        Returns:
            For each task, in order, `{"status", "task"}` or `{"status", "problem"}`.

        Raises:
            ApiError: The batch was refused as a whole, or the API could not be reached.
        """
        headers = {"Idempotency-Key": idempotency_key}
        answer = json_of(await self.call("POST", "/v1/task-batches", json={"tasks": list(tasks)}, headers=headers))
        results: list[dict[str, Any]] = answer["results"]
        return results

    async def task(self, task_id: str, *, wait_seconds: int = 0) -> Task:
        """The task as it is now, or as it is when it ends if that is within `wait_seconds` (at most 25).

        Raises:
            ApiError: There is no such task, or the API could not be reached.
        """
        path = f"/v1/tasks/{segment(task_id)}"
        task: Task = json_of(await self.call("GET", path, headers=_prefer(wait_seconds)))
        return task

    async def wait(self, task_id: str, *, timeout_seconds: float, hold_seconds: int = LONGEST_WAIT_SECONDS) -> Task:
        """Poll until the task ends; after `timeout_seconds` answer with the task as it is then.

        Args:
            task_id: The task.
            timeout_seconds: How long to go on.
            hold_seconds: How long one call may hold a connection; less where many tasks share few connections.

        Raises:
            ApiError: As `task`.
        """
        give_up = self._monotonic() + timeout_seconds
        while True:
            left = give_up - self._monotonic()
            task = await self.task(task_id, wait_seconds=max(0, min(hold_seconds, int(left))))
            if task["status"] in TERMINAL or self._monotonic() >= give_up:
                return task
            await self._sleep(_BETWEEN_POLLS_SECONDS)

    async def events(self, task_id: str) -> list[Event]:
        """The task's log, in order.

        Raises:
            ApiError: As `task`.
        """
        return await self.pages(f"/v1/tasks/{segment(task_id)}/events")

    async def follow(self, task_id: str) -> AsyncIterator[Event]:
        """Each event of the task's log as it is written, until the task has ended.

        Raises:
            ApiError: As `task`.
        """
        path = f"/v1/tasks/{segment(task_id)}/events"
        parameters: dict[str, str] = {}
        while True:
            # The task first: what its log says afterwards then reaches at least to the end that was seen.
            task = await self.task(task_id)
            events: list[Event] = await self.pages(path, parameters=parameters)
            for event in events:
                yield event
                parameters = {"cursor": str(event["seq"])}
            if task["status"] in TERMINAL:
                return
            await self._sleep(_BETWEEN_POLLS_SECONDS)

    async def tasks(self, filters: Mapping[str, str | None], *, at_most: int) -> list[Task]:
        """The tenant's tasks, newest first.

        Args:
            filters: `status`, `agent`, `lane`, `session`, `created_after`; None filters nothing.
            at_most: How many.

        Raises:
            ApiError: A filter is wrong, or the API could not be reached.
        """
        wanted = {name: value for name, value in filters.items() if value is not None}
        page = {"limit": str(min(at_most, _LARGEST_PAGE))}
        return await self.pages("/v1/tasks", parameters=wanted | page, at_most=at_most)

    async def cancel(self, task_id: str) -> Task:
        """Cancel a task; one that has ended stays as it is.

        Raises:
            ApiError: As `task`.
        """
        return await self._act(task_id, "cancel")

    async def signal(self, task_id: str, name: str, payload: Any) -> Task:
        """Give a task the signal that it waits for; the same again is harmless.

        Raises:
            ApiError: It does not wait for it, was given another payload before, or as `task`.
        """
        return await self._act(task_id, "signal", {"name": name, "payload": payload})

    async def redrive(self, task_id: str, value: Any = None, *, corrected: bool = False) -> Task:
        """Give a dead-lettered task a fresh start; any other stays as it is.

        Args:
            task_id: The task.
            value: Its corrected input, where `corrected`.
            corrected: Whether `value` replaces the input.

        Raises:
            ApiError: As `task`, or the input is not what the agent takes.
        """
        return await self._act(task_id, "redrive", {"input": value} if corrected else None)

    async def _act(self, task_id: str, action: str, body: dict[str, Any] | None = None) -> Task:
        path = f"/v1/tasks/{segment(task_id)}/{action}"
        task: Task = json_of(await self.call("POST", path, json=body or {}))
        return task

    async def agents(self) -> list[Agent]:
        """The deployed agents.

        Raises:
            ApiError: The key lacks the scope `operate`, or the API could not be reached.
        """
        return await self.pages("/v1/agents", operating=True)


def _prefer(wait_seconds: int) -> dict[str, str]:
    return {"Prefer": f"wait={min(wait_seconds, LONGEST_WAIT_SECONDS)}"} if wait_seconds > 0 else {}
