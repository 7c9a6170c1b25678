"""The contract of `HttpTransport`: what a dependency does, and what its caller is told of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from benchmarks.fault_lab.script import Reply, Script
from flotilla.integration_ports import (
    HttpAnswer,
    HttpBounds,
    HttpRequest,
    HttpTransport,
    NoAnswerError,
    NotSentError,
    UnusableAnswerError,
)

BOUNDS = HttpBounds(connect_seconds=5, read_seconds=5, body_bytes=10_000)
IMPATIENT = replace(BOUNDS, read_seconds=0.05)


def request(origin: str, **changes: Any) -> HttpRequest:
    made = HttpRequest(
        method="POST",
        origin=origin,
        target="/v1/things?of=x%2Fy",
        headers=(("x-one", "1"), ("content-type", "application/json")),
        body=b'{"a":1}',
        private=True,
    )
    return replace(made, **changes)


class Dependency:
    """A dependency that follows a script, and a transport to it."""

    transport: HttpTransport
    origin: str
    dead_origin: str

    def run(self, *work: Callable[[], Any]) -> list[Any]:
        """Run all at once, on one event loop, to their end."""
        raise NotImplementedError

    def sent(self) -> int:
        """How many requests got through."""
        raise NotImplementedError

    def send(self, bounds: HttpBounds = BOUNDS, **changes: Any) -> HttpAnswer:
        """Send one request."""
        made = request(**{"origin": self.origin, **changes})
        (answer,) = self.run(lambda: self.transport.send(made, bounds))
        assert isinstance(answer, HttpAnswer)
        return answer


class HttpTransportContract:
    """Provide a fixture `dependency`: makes one of a script."""

    def test_a_request_gets_through_as_it_is(self, dependency: Callable[[Script], Dependency]) -> None:
        answer = dependency(Script.steady()).send()
        seen = json.loads(answer.body)
        assert (answer.status, seen["method"], seen["path"]) == (200, "POST", "/v1/things?of=x%2Fy")
        assert seen["body"] == '{"a":1}'
        assert seen["headers"]["x-one"] == "1"

    @pytest.mark.parametrize("status", [204, 302, 404, 429, 500])
    def test_every_status_is_an_answer(self, dependency: Callable[[Script], Dependency], status: int) -> None:
        there = dependency(
            Script.steady(Reply(status=status, headers={"Retry-After": "7", "Location": "/x"}, body=b""))
        )
        answer = there.send()
        assert (answer.status, answer.body, answer.header("retry-after")) == (status, b"", "7")
        assert there.sent() == 1, "nothing is followed or repeated"

    @pytest.mark.parametrize("fault", ["reset", "cut"])
    def test_a_broken_answer_is_none(self, dependency: Callable[[Script], Dependency], fault: Any) -> None:
        there = dependency(Script.steady(Reply(fault=fault)))
        with pytest.raises(NoAnswerError):
            there.send()
        assert there.sent() == 1

    @pytest.mark.parametrize("reply", [Reply(fault="stall"), Reply(latency_ms=(3000, 3000))])
    def test_an_answer_that_does_not_come_in_time_is_none(
        self, dependency: Callable[[Script], Dependency], reply: Reply
    ) -> None:
        with pytest.raises(NoAnswerError) as failure:
            dependency(Script.steady(reply)).send(IMPATIENT)
        assert failure.value.code == "integration_timeout"

    def test_an_answer_that_comes_slowly_comes(self, dependency: Callable[[Script], Dependency]) -> None:
        reply = Reply(body=b"slow", fault="drip", drip_ms=5)
        assert dependency(Script.steady(reply)).send().body == b"slow"

    def test_as_much_is_taken_as_allowed_and_no_more(self, dependency: Callable[[Script], Dependency]) -> None:
        there = dependency(Script.one_after_the_other(Reply(body=b"x" * 10_000), Reply(body=b"x" * 10_001)))
        assert len(there.send().body) == 10_000
        with pytest.raises(UnusableAnswerError):
            there.send()

    def test_who_cannot_be_reached_was_sent_nothing(self, dependency: Callable[[Script], Dependency]) -> None:
        there = dependency(Script.steady())
        made = request(there.dead_origin)
        with pytest.raises(NotSentError):
            there.run(lambda: there.transport.send(made, BOUNDS))

    def test_a_failure_spoils_nothing_for_the_next(self, dependency: Callable[[Script], Dependency]) -> None:
        there = dependency(Script.one_after_the_other(Reply(fault="cut"), Reply(fault="reset"), Reply()))
        for _ in range(2):
            with pytest.raises(NoAnswerError):
                there.send()
        assert there.send().status == 200

    def test_who_waits_can_be_cancelled(self, dependency: Callable[[Script], Dependency]) -> None:
        there = dependency(Script.one_after_the_other(Reply(fault="stall"), Reply()))

        async def cut_short() -> None:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await there.transport.send(request(there.origin), BOUNDS)

        there.run(cut_short)
        assert there.send().status == 200
