"""The contract's calls about workflows, and the shapes of what they answer.

It interprets no run: members it does not know pass through untouched.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, Literal, NotRequired, TypedDict, final

import httpx

from cli.calls import LONGEST_WAIT_SECONDS, Calls, json_of, segment
from cli.client import Task, TaskError

RunStatus = Literal["running", "succeeded", "failed", "cancelled", "expired"]

ENDED: frozenset[str] = frozenset({"succeeded", "failed", "cancelled", "expired"})

_BETWEEN_POLLS_SECONDS = 0.2
_BETWEEN_LOOKS_SECONDS = 0.5
_SETTLING_SECONDS = 1.5
"""After its end a run's last tasks may not be among its steps yet: these follow from the log, a second or so behind."""

_LOOKING_PART = 0.2
"""Of the time of whoever watches: a run of many tasks takes the API longer to tell of, and is asked for less often."""

_LARGEST_PAGE = 100


@final
class Step(TypedDict):
    """A state that asks for tasks, and how these stand."""

    name: str
    agent: str | None
    map: str | None
    status: str
    tasks: int
    counts: dict[str, int]
    task_ids: list[str]
    complete: NotRequired[bool]


@final
class MapCount(TypedDict):
    """How far a distributed map has got."""

    step: str
    total: int
    pending: int
    running: int
    succeeded: int
    failed: int


class Run(TypedDict):
    """A run as the API shows it; what is listed here is what the command uses. Lists have neither steps nor maps."""

    id: str
    workflow: str
    version: NotRequired[str]
    status: RunStatus
    created_at: str
    finished_at: str | None
    deadline: NotRequired[str | None]
    output: NotRequired[Any]
    error: NotRequired[TaskError | None]
    usage: NotRequired[dict[str, Any]]
    labels: NotRequired[dict[str, str]]
    steps: NotRequired[list[Step]]
    maps: NotRequired[list[MapCount]]
    output_url: NotRequired[str]


@dataclass(frozen=True, slots=True)
class Started:
    """The answer to a start.

    Attributes:
        replayed: An earlier start with the same key and body made the run.
    """

    run: Run
    replayed: bool


@dataclass(frozen=True, slots=True)
class Seen:
    """A run, and when it was so.

    Attributes:
        at: Seconds since 1970 by the deployment's clock; None where it did not say.
    """

    run: Run
    at: float | None


class Workflows:
    """Speaks to one deployment about workflows.

    Args:
        calls: Carries the calls.
        sleep: Lets seconds pass.
        monotonic: Reads a clock that never goes back, in seconds.
    """

    def __init__(
        self,
        calls: Calls,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._calls = calls
        self._sleep = sleep
        self._monotonic = monotonic

    async def start(
        self,
        workflow: str,
        value: Any,
        *,
        idempotency_key: str | None = None,
        lane: str | None = None,
        deadline: str | None = None,
        budget_usd: float | None = None,
        labels: Mapping[str, str] | None = None,
        webhook: str | None = None,
    ) -> Started:
        """Start a run.

        Args:
            workflow: Name of the workflow.
            value: Its input, anything JSON.
            idempotency_key: The same key and body are the same run; None makes a new one.
            lane: Priority of its tasks; None takes what the states say.
            deadline: None of its tasks starts after this time (RFC 3339).
            budget_usd: What the model calls of all its tasks may cost.
            labels: Kept and shown with it and with its tasks.
            webhook: Id or URL of a registered endpoint that is told how it ends.

        Raises:
            ApiError: It was refused, or the API could not be reached; as all the calls here.
        """
        options = {
            "lane": lane,
            "deadline": deadline,
            "budget_usd": budget_usd,
            "labels": labels or None,
            "webhook": webhook,
        }
        body = {"input": value} | {name: each for name, each in options.items() if each is not None}
        # Without a key a repeat after a lost answer would be a second run.
        headers = {"Idempotency-Key": idempotency_key or secrets.token_hex(16)}
        path = f"/v1/workflows/{segment(workflow)}"
        response = await self._calls.call("POST", path, json=body, headers=headers)
        return Started(json_of(response), response.headers.get("Idempotent-Replay", "").lower() == "true")

    async def find(self, run_id: str, *, wait_seconds: int = 0) -> Seen:
        """The run as it is now, or as it is when it ends if that is within `wait_seconds` (at most 25)."""
        headers = {"Prefer": f"wait={min(wait_seconds, LONGEST_WAIT_SECONDS)}"} if wait_seconds > 0 else {}
        response = await self._calls.call("GET", f"/v1/workflows/{segment(run_id)}", headers=headers)
        return Seen(json_of(response), _answered_at(response))

    async def wait(self, run_id: str, *, timeout_seconds: float) -> Seen:
        """Poll until the run ends; after `timeout_seconds` answer with the run as it is then."""
        give_up = self._monotonic() + timeout_seconds
        while True:
            left = give_up - self._monotonic()
            seen = await self.find(run_id, wait_seconds=max(0, int(left)))
            if seen.run["status"] in ENDED or self._monotonic() >= give_up:
                return seen
            await self._sleep(_BETWEEN_POLLS_SECONDS)

    async def settled(self, seen: Seen) -> Seen:
        """A run that was seen as it had ended, when its steps have caught up with it."""
        finished = seconds_of(seen.run["finished_at"] or "")
        if seen.at is not None and finished is not None and seen.at - finished >= _SETTLING_SECONDS:
            return seen
        await self._sleep(_SETTLING_SECONDS)
        return await self.find(seen.run["id"])

    async def follow(self, run_id: str) -> AsyncIterator[Seen]:
        """The run again and again, until it has ended; the last is as it ended, with all its steps."""
        while True:
            began = self._monotonic()
            seen = await self.find(run_id)
            yield seen
            if seen.run["status"] in ENDED:
                yield await self.settled(seen)
                return
            took = self._monotonic() - began
            await self._sleep(max(_BETWEEN_LOOKS_SECONDS, took * (1 - _LOOKING_PART) / _LOOKING_PART))

    async def runs(self, filters: Mapping[str, str | None], *, at_most: int) -> list[Run]:
        """The tenant's runs, newest first; `filters` are `name` and `status`, None filters nothing."""
        found: list[Run] = await self._pages("/v1/workflows", filters, at_most)
        return found

    async def tasks(self, run_id: str, *, step: str | None, at_most: int) -> list[Task]:
        """The run's tasks, of one step or of all."""
        found: list[Task] = await self._pages(f"/v1/workflows/{segment(run_id)}/tasks", {"step": step}, at_most)
        return found

    async def events(self, run_id: str) -> list[Any]:
        """The events of the run and of all its tasks, in the order of time."""
        return await self._calls.pages(f"/v1/workflows/{segment(run_id)}/events")

    async def cancel(self, run_id: str) -> Run:
        """Cancel a run and its tasks; one that has ended stays as it is."""
        run: Run = json_of(await self._calls.call("POST", f"/v1/workflows/{segment(run_id)}/cancel", json={}))
        return run

    async def _pages(self, path: str, filters: Mapping[str, str | None], at_most: int) -> Any:
        wanted = {name: value for name, value in filters.items() if value is not None}
        page = {"limit": str(min(at_most, _LARGEST_PAGE))}
        return await self._calls.pages(path, parameters=wanted | page, at_most=at_most)


def seconds_of(time: str) -> float | None:
    """A time of the API's in seconds since 1970; None where it is none."""
    try:
        return datetime.fromisoformat(time).timestamp()
    except ValueError:
        return None


def _answered_at(response: httpx.Response) -> float | None:
    try:
        return parsedate_to_datetime(response.headers["Date"]).timestamp()
    except (KeyError, ValueError):
        return None
