"""Readiness: every dependency asked at once, briefly, and not more often than need be."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

from flotilla.errors import RetryableError
from functions.api.dependencies import Dependencies, Dependency
from functions.api.gateway import Request, Response
from functions.api.health import Readiness
from functions.api.routing import Call
from tests.fakes import ManualClock, run_on_thread
from tests.gateway_events import http_event

CALL = Call(Request.from_event(http_event("GET", "/readyz"), ends_ms=0))

Probe = Callable[[], None]


def fine() -> None:
    pass


def down() -> None:
    raise RetryableError("table-x does not answer")


def ask(readiness: Readiness) -> Response:
    return asyncio.run(readiness.ready(CALL))


def readiness(clock: ManualClock | None = None, seconds: float = 5.0, **probes: list[Probe]) -> Readiness:
    asked = [Dependency(name, calls) for name, calls in probes.items()]
    return Readiness(Dependencies(asked, run_on_thread, clock or ManualClock(), seconds))


def test_it_is_ready_if_everything_answers() -> None:
    answer = ask(readiness(events=[fine], lanes=[fine, fine]))
    assert (answer.status, answer.value) == (200, {"status": "ok", "checks": {"events": "ok", "lanes": "ok"}})


def test_it_is_503_and_says_what_is_down_and_nothing_more() -> None:
    answer = ask(readiness(events=[fine], lanes=[fine, down]))
    assert (answer.status, answer.value) == (
        503,
        {"status": "unavailable", "checks": {"events": "ok", "lanes": "down"}},
    )
    assert "retry-after" in answer.headers


def test_all_are_asked_at_once() -> None:
    together = threading.Barrier(3, timeout=10)

    def meets_the_others() -> None:
        together.wait()

    answer = ask(readiness(a=[meets_the_others], b=[meets_the_others, meets_the_others]))
    assert answer.status == 200


def test_what_does_not_answer_in_time_is_down_and_holds_nobody_up() -> None:
    release = threading.Event()

    def hangs() -> None:
        release.wait(30)

    async def ready() -> Response:
        try:
            return await readiness(seconds=0.01, events=[hangs], control=[fine]).ready(CALL)
        finally:
            release.set()

    answer = asyncio.run(ready())
    assert (answer.status, answer.value["checks"]) == (503, {"events": "down", "control": "ok"})


def test_asking_often_costs_one_round_of_probes_a_second() -> None:
    clock = ManualClock()
    calls: list[int] = []
    asked = readiness(clock, events=[lambda: calls.append(1)])
    for _ in range(5):
        ask(asked)
    assert len(calls) == 1
    clock.advance(1.1)
    ask(asked)
    assert len(calls) == 2


def test_what_the_api_can_do_without_is_not_asked_for() -> None:
    asked = [Dependency("events", [fine]), Dependency("archive", [down], needed=False)]
    answer = ask(Readiness(Dependencies(asked, run_on_thread, ManualClock())))
    assert (answer.status, answer.value["checks"]) == (200, {"events": "ok"})


def test_what_may_be_asked_seldom_is_and_that_it_is_back_is_seen_at_once() -> None:
    clock = ManualClock()
    calls: list[int] = []
    working: list[bool] = [True]

    def workflows() -> None:
        calls.append(1)
        if not working[0]:
            down()

    dependencies = Dependencies([Dependency("workflows", [workflows], remembered_ms=15_000)], run_on_thread, clock)
    began_ms = clock.now_ms()
    for _ in range(14):
        asyncio.run(dependencies.look())
        clock.advance(1)
    assert len(calls) == 1
    working[0] = False
    clock.advance(1)
    (seen,) = asyncio.run(dependencies.look())
    assert (seen.answers, seen.since_ms) == (False, began_ms + 15_000)
    working[0] = True
    clock.advance(1)
    (seen,) = asyncio.run(dependencies.look())
    assert (seen.answers, len(calls)) == (True, 3)
