"""From a request to its response and its one log line.

Invariant: every request is answered in time, and every error as a problem document; of an error
nobody expected the client learns only that there was one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from flotilla import trace_context
from flotilla.clock import Clock
from flotilla.errors import RetryableError
from functions.api.expected_errors import problem_of, unexpected
from functions.api.gateway import PROBLEM_TYPE, Request, Response
from functions.api.identity import identity_of
from functions.api.problems import Problem
from functions.api.routing import Call, Router

logger = logging.getLogger("flotilla.api")


class Application:
    """The API.

    Args:
        router: Makes (or returns the cached) table of routes; called within a request, so that a
            function that cannot be set up answers like one that has an error.
        clock: Tells the time.
    """

    def __init__(self, router: Callable[[], Router], clock: Clock) -> None:
        self._router = router
        self._clock = clock

    async def answer(self, request: Request) -> Response:
        """Answer a request. Raises nothing."""
        began_ms = self._clock.now_ms()
        log: dict[str, Any] = {
            "method": request.method,
            "route": None,
            "request_id": request.request_id,
            "trace_id": trace_context.id_of(request.trace),
        }
        try:
            response = await self._answer_or_refuse(request, log)
        except Exception:
            logger.exception("request failed", extra=log)
            response = _problem(request, unexpected())
        log.update(status=response.status, ms=self._clock.now_ms() - began_ms)
        # The gateway's access log has a line for each request; a second one that says the same is worth its price
        # where something was refused.
        logger.log(logging.DEBUG if response.status < 400 else logging.INFO, "request", extra=log)
        return response

    async def _answer_or_refuse(self, request: Request, log: dict[str, Any]) -> Response:
        """Answer a request, or with the problem that stands for an error that was expected."""
        try:
            async with asyncio.timeout((request.ends_ms - self._clock.now_ms()) / 1000):
                with trace_context.carried(request.trace):
                    return await self._call(request, log)
        except Exception as error:
            problem = problem_of(error)
            if problem is None:
                raise
            _note(error, log)
        log["problem"] = problem.slug
        return _problem(request, problem)

    async def _call(self, request: Request, log: dict[str, Any]) -> Response:
        route, parameters = self._router().find(request)
        log["route"] = route.template
        if route.scope is None:
            return await route.endpoint(Call(request, parameters=parameters, log=log))
        identity = identity_of(request)
        log.update(tenant=identity.tenant, key_id=identity.key_id)
        identity.require(route.scope)
        return await route.endpoint(Call(request, identity, parameters, log))


def _note(error: Exception, log: dict[str, Any]) -> None:
    """Log what is expected, but no client's doing."""
    if isinstance(error, RetryableError):
        logger.warning("a store did not answer", extra={**log, "code": error.code, "error": error.message})
    elif isinstance(error, TimeoutError):
        logger.warning("no answer in time", extra=log)


def _problem(request: Request, problem: Problem) -> Response:
    value = problem.to_json(path=request.path, request_id=request.request_id)
    return Response(problem.status, value, problem.headers, PROBLEM_TYPE)
