"""A key store that is slow or silent means that nobody knows, which is neither yes nor no."""

from __future__ import annotations

import asyncio

from flotilla.dynamo.api_keys import ApiKey
from flotilla.errors import RetryableError
from functions.authorizer.identify import Identifier
from tests.fakes import ManualClock
from tests.gateway_events import http_event

EVENT = http_event("GET", "/v1/agents", headers={"authorization": "Bearer flt_key"})


def test_a_lookup_that_takes_too_long_is_unavailable() -> None:
    async def never(_raw_key: str) -> ApiKey | None:
        await asyncio.Event().wait()
        return None

    identifier = Identifier(never, ManualClock(), lookup_seconds=0.01)
    assert asyncio.run(identifier.context(EVENT)) == {"outcome": "unavailable"}


def test_a_store_that_does_not_answer_is_unavailable_and_asked_again() -> None:
    answers = [RetryableError("no answer"), None, ApiKey("k1", "acme", frozenset(), None)]

    async def find(_raw_key: str) -> ApiKey | None:
        answer = answers.pop(0)
        if isinstance(answer, RetryableError):
            raise answer
        return answer

    clock = ManualClock()
    identifier = Identifier(find, clock)
    outcomes = []
    for _ in range(3):
        outcomes.append(asyncio.run(identifier.context(EVENT))["outcome"])
        clock.advance(5)
    assert outcomes == ["unavailable", "unknown", "ok"]


def test_without_a_header_nothing_is_looked_up() -> None:
    async def find(_raw_key: str) -> ApiKey | None:
        raise AssertionError

    event = http_event("GET", "/v1/agents")
    assert asyncio.run(Identifier(find, ManualClock()).context(event)) == {"outcome": "missing"}
