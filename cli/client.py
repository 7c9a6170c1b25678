"""A thin client of the HTTP contract.

Invariant: every call may be repeated without harm (a submit always carries an idempotency key), so the client repeats
what a busy or unreachable API did not answer. Whatever else goes wrong is one `ApiError` that can be shown as it is.
It interprets no task: members it does not know pass through untouched.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, NotRequired, Self, TypedDict
from urllib.parse import quote

import httpx

from cli.connection import Connection

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

LONGEST_WAIT_SECONDS = 25
"""The longest the API holds an answer back."""

_TIMEOUT = httpx.Timeout(LONGEST_WAIT_SECONDS + 10.0, connect=5.0)
_BUSY = frozenset({429, 503})
_NO_ANSWER = frozenset({502, 504})
_REPEATS_WITHOUT_ANSWER = 3
_FIRST_PAUSE_SECONDS = 0.25
_LONGEST_PAUSE_SECONDS = 8.0
_BETWEEN_POLLS_SECONDS = 0.2


class TaskError(TypedDict):
    """Why a task failed."""

    code: str
    message: str
    retryable: bool


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
    started_at: str | None
    finished_at: str | None
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
    state: NotRequired[str]


@dataclass(frozen=True, slots=True)
class Submitted:
    """The answer to a submit.

    Attributes:
        replayed: An earlier submit with the same key and body made the task.
    """

    task: Task
    replayed: bool


class ApiError(Exception):
    """The API refused, or could not be reached.

    Attributes:
        status: HTTP status; None where there was no answer.
        code: The problem's name, e.g. `invalid-input`.
        detail: One or more sentences for a person.
        errors: Pairs of a path and what is wrong there.
        request_id: What to tell an operator.
    """

    def __init__(
        self,
        detail: str,
        *,
        status: int | None = None,
        code: str = "unreachable",
        errors: tuple[tuple[str, str], ...] = (),
        request_id: str | None = None,
    ) -> None:
        self.status = status
        self.code = code
        self.detail = detail
        self.errors = errors
        self.request_id = request_id
        super().__init__(self._text())

    def _text(self) -> str:
        heading = self.detail if self.status is None else f"{self.status} {self.code}: {self.detail}"
        lines = [heading, *(f"  {path or '/'}: {message}" for path, message in self.errors)]
        if self.request_id:
            lines.append(f"  request {self.request_id}")
        return "\n".join(lines)


class FlotillaClient:
    """Speaks to one deployment; use as an async context manager.

    Args:
        connection: The deployment.
        max_connections: Connections at the most; further calls wait their turn.
        patience_seconds: How long one call is repeated while the API is busy.
        transport: Carries the requests; the network by default.
        sleep: Lets seconds pass.
        monotonic: Reads a clock that never goes back, in seconds.

    Attributes:
        repeats: How often a call had to be repeated so far.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        max_connections: int = 8,
        patience_seconds: float = 60.0,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.repeats = 0
        self._url = connection.api_url
        self._hint = "; the local engine is started by `make up`" if connection.on_this_machine else ""
        self._patience_seconds = patience_seconds
        self._sleep = sleep
        self._monotonic = monotonic
        self._turns = asyncio.Semaphore(max_connections)
        self._operator = {"Authorization": f"Bearer {connection.operator_key}"}
        self._http = httpx.AsyncClient(
            headers={"Authorization": f"Bearer {connection.api_key}", "Accept": "application/json"},
            timeout=_TIMEOUT,
            limits=httpx.Limits(max_connections=max_connections, max_keepalive_connections=max_connections),
            transport=transport,
            trust_env=not connection.on_this_machine,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def submit(
        self,
        agent: str,
        value: Any,
        *,
        idempotency_key: str | None = None,
        lane: str | None = None,
        session: str | None = None,
        max_attempts: int | None = None,
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
            wait_seconds: Answer with the finished task if it ends within this time (at most 25).

        Raises:
            ApiError: It was refused, or the API could not be reached.
        """
        options = {"lane": lane, "session": session, "max_attempts": max_attempts}
        body = {"agent": agent, "input": value} | {name: each for name, each in options.items() if each is not None}
        # Without a key a repeat after a lost answer would be a second task.
        headers = {"Idempotency-Key": idempotency_key or secrets.token_hex(16)} | _prefer(wait_seconds)
        response = await self._call("POST", "/v1/tasks", json=body, headers=headers)
        replayed = response.headers.get("Idempotent-Replay", "").lower() == "true"
        return Submitted(_json(response), replayed)

    async def task(self, task_id: str, *, wait_seconds: int = 0) -> Task:
        """The task as it is now, or as it is when it ends if that is within `wait_seconds` (at most 25).

        Raises:
            ApiError: There is no such task, or the API could not be reached.
        """
        path = f"/v1/tasks/{_segment(task_id)}"
        task: Task = _json(await self._call("GET", path, headers=_prefer(wait_seconds)))
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
        return await self._items(f"/v1/tasks/{_segment(task_id)}/events")

    async def agents(self) -> list[Agent]:
        """The deployed agents.

        Raises:
            ApiError: The key lacks the scope `operate`, or the API could not be reached.
        """
        return await self._items("/v1/agents", headers=self._operator)

    async def _items(self, path: str, headers: dict[str, str] | None = None) -> list[Any]:
        items: list[Any] = []
        parameters: dict[str, str] = {}
        while True:
            page = _json(await self._call("GET", path, params=parameters, headers=headers))
            items += page["items"]
            if not page.get("next_cursor"):
                return items
            parameters = {"cursor": page["next_cursor"]}

    async def _call(self, method: str, path: str, **options: Any) -> httpx.Response:
        give_up = self._monotonic() + self._patience_seconds
        unanswered = 0
        pauses = 0
        while True:
            try:
                async with self._turns:
                    response = await self._http.request(method, self._url + path, **options)
            except httpx.TransportError as error:
                unanswered += 1
                asked_seconds, failure = None, self._unreachable(error)
            except httpx.HTTPError as error:
                raise ApiError(f"{self._url} sent no HTTP that can be read ({type(error).__name__})") from error
            else:
                if response.is_success:
                    return response
                failure = _problem(response)
                if response.status_code in _NO_ANSWER:
                    unanswered += 1
                elif response.status_code not in _BUSY:
                    raise failure
                asked_seconds = _retry_after_seconds(response)
            pause = _pause_seconds(pauses) if asked_seconds is None else asked_seconds
            pauses += 1
            if unanswered > _REPEATS_WITHOUT_ANSWER or self._monotonic() + pause > give_up:
                raise failure
            self.repeats += 1
            await self._sleep(pause)

    def _unreachable(self, error: httpx.TransportError) -> ApiError:
        return ApiError(f"{self._url} does not answer ({str(error) or type(error).__name__}){self._hint}")


def _prefer(wait_seconds: int) -> dict[str, str]:
    return {"Prefer": f"wait={min(wait_seconds, LONGEST_WAIT_SECONDS)}"} if wait_seconds > 0 else {}


def _segment(identifier: str) -> str:
    """An id as one segment of a path, whatever a person typed."""
    return quote(identifier, safe="")


def _pause_seconds(pauses: int) -> float:
    """Exponential with jitter over the upper half: nobody said when, and others were refused with us."""
    ceiling: float = min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2.0 ** min(pauses, 16))
    return ceiling * random.uniform(0.5, 1.0)


def _retry_after_seconds(response: httpx.Response) -> float | None:
    """What `Retry-After` asks for, where it is a number of seconds."""
    value = response.headers.get("Retry-After", "").strip()
    return float(value) if value.isdecimal() else None


def _json(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError:
        raise ApiError(
            "the answer is not JSON: is the URL that of a Flotilla API?",
            status=response.status_code,
            code="not-json",
        ) from None


def _problem(response: httpx.Response) -> ApiError:
    """The error that a refusal says; a gateway's own, without problem+json, is told as far as it goes."""
    try:
        problem = response.json()
    except ValueError:
        problem = None
    if not isinstance(problem, dict):
        problem = {}
    kind = str(problem.get("type") or "about:blank").rstrip("/").replace(":", "/").rpartition("/")[2]
    title = str(problem.get("title") or problem.get("message") or response.reason_phrase or "refused")
    found = problem.get("errors")
    return ApiError(
        str(problem.get("detail") or title),
        status=response.status_code,
        code=title.lower().replace(" ", "-") if kind == "blank" else kind,
        errors=tuple(
            (str(each.get("path", "")), str(each.get("message", "")))
            for each in (found if isinstance(found, list) else [])
            if isinstance(each, dict)
        ),
        request_id=str(problem["request_id"]) if problem.get("request_id") else None,
    )
