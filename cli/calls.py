"""HTTP calls to a deployment.

Invariant: every call may be repeated without harm (a submit always carries an idempotency key), so what a busy or
unreachable API did not answer is repeated. Whatever else goes wrong is one `ApiError` that can be shown as it is.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx

from cli.connection import Connection

LONGEST_WAIT_SECONDS = 25
"""The longest the API holds an answer back."""

_TIMEOUT = httpx.Timeout(LONGEST_WAIT_SECONDS + 10.0, connect=5.0)
_BUSY = frozenset({429, 503})
_NO_ANSWER = frozenset({502, 504})
_REPEATS_WITHOUT_ANSWER = 3
_FIRST_PAUSE_SECONDS = 0.25
_LONGEST_PAUSE_SECONDS = 8.0


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


class Calls:
    """Calls one deployment; use as an async context manager.

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

    async def pages(
        self,
        path: str,
        *,
        parameters: dict[str, str] | None = None,
        at_most: int | None = None,
        operating: bool = False,
    ) -> list[Any]:
        """The items of a list, page by page, all of them or `at_most`.

        Raises:
            ApiError: It was refused, or the API could not be reached.
        """
        items: list[Any] = []
        wanted = dict(parameters or {})
        while True:
            page = json_of(await self.call("GET", path, params=wanted, operating=operating))
            items += page["items"]
            if not page.get("next_cursor") or (at_most is not None and len(items) >= at_most):
                return items[:at_most]
            wanted["cursor"] = page["next_cursor"]

    async def call(
        self,
        method: str,
        path: str,
        *,
        headers: dict[str, str] | None = None,
        operating: bool = False,
        **options: Any,
    ) -> httpx.Response:
        """Make one call, with the operator's key where it takes the scope `operate`.

        Raises:
            ApiError: It was refused, or the API could not be reached.
        """
        sent = {**(headers or {}), **(self._operator if operating else {})}
        give_up = self._monotonic() + self._patience_seconds
        unanswered = 0
        pauses = 0
        while True:
            try:
                async with self._turns:
                    response = await self._http.request(method, self._url + path, headers=sent, **options)
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


def segment(identifier: str) -> str:
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


def json_of(response: httpx.Response) -> Any:
    """What an answer says.

    Raises:
        ApiError: It is no JSON.
    """
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
