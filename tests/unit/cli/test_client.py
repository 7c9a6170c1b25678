"""The client repeats what a busy API did not answer, and turns everything else into one error."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from cli.client import ApiError, FlotillaClient
from cli.connection import Connection
from tests.unit.cli.fake_api import CONNECTION, FakeApi, finished, problem, queued


def talk(api: FakeApi, work: Callable[[FlotillaClient], Awaitable[Any]], **options: Any) -> Any:
    async def session() -> Any:
        async with FlotillaClient(
            CONNECTION, transport=api.transport, sleep=api.sleep, monotonic=api.monotonic, **options
        ) as client:
            return await work(client)

    return asyncio.run(session())


def refused(api: FakeApi, work: Callable[[FlotillaClient], Awaitable[Any]], **options: Any) -> ApiError:
    with pytest.raises(ApiError) as caught:
        talk(api, work, **options)
    return caught.value


def echo(client: FlotillaClient) -> Awaitable[Any]:
    return client.submit("diagnostics.echo", {"value": 1})


def test_a_submit_says_who_asks_and_what_for() -> None:
    api = FakeApi()
    submitted = talk(
        api,
        lambda client: client.submit(
            "a.b", {"x": 1}, idempotency_key="k", lane="batch", session="s", max_attempts=2, wait_seconds=99
        ),
    )
    assert (submitted.task["status"], submitted.replayed) == ("queued", False)
    request = api.requests[0]
    assert str(request.url) == f"{CONNECTION.api_url}/v1/tasks"
    assert request.headers["authorization"] == "Bearer flt_test"
    assert request.headers["idempotency-key"] == "k"
    assert request.headers["prefer"] == "wait=25"
    assert api.tasks[submitted.task["id"]] == {
        "agent": "a.b",
        "input": {"x": 1},
        "lane": "batch",
        "session": "s",
        "max_attempts": 2,
    }


def test_what_was_not_given_is_not_sent() -> None:
    api = FakeApi()
    submitted = talk(api, echo)
    assert api.tasks[submitted.task["id"]] == {"agent": "diagnostics.echo", "input": {"value": 1}}
    assert "prefer" not in api.requests[0].headers


def test_the_same_key_again_is_told_as_a_replay() -> None:
    async def twice(client: FlotillaClient) -> list[bool]:
        return [(await client.submit("a", {}, idempotency_key="k")).replayed for _ in range(2)]

    assert talk(FakeApi(), twice) == [False, True]


def test_retry_after_is_waited_for_to_the_second() -> None:
    api = FakeApi(problem(429, "rate-limited", {"retry-after": "7"}), problem(503, "unavailable", {"retry-after": "2"}))
    talk(api, echo)
    assert api.waits == [7.0, 2.0]


def test_without_retry_after_the_pauses_grow() -> None:
    api = FakeApi(*[problem(503, "unavailable") for _ in range(4)])
    talk(api, echo)
    assert all(shorter < 2 * longer for shorter, longer in zip(api.waits, api.waits[1:], strict=False))
    assert [pause <= ceiling for pause, ceiling in zip(api.waits, (0.25, 0.5, 1.0, 2.0), strict=True)] == [True] * 4
    assert api.waits[3] >= 1.0


def test_a_repeated_submit_carries_the_same_key() -> None:
    api = FakeApi(httpx.ReadError("reset"), problem(429, "rate-limited", {"retry-after": "1"}))
    talk(api, echo)
    assert len({request.headers["idempotency-key"] for request in api.requests}) == 1
    assert len(api.requests) == 3


def test_patience_ends_before_a_wait_that_would_exceed_it() -> None:
    api = FakeApi(*[problem(429, "rate-limited", {"retry-after": "20"}) for _ in range(9)])
    error = refused(api, echo, patience_seconds=50)
    assert (error.status, error.code) == (429, "rate-limited")
    assert api.waits == [20.0, 20.0]


@pytest.mark.parametrize("answer", [httpx.ConnectError("refused"), httpx.Response(502), httpx.Response(504)])
def test_an_api_that_does_not_answer_is_given_up_after_a_few_tries(answer: Any) -> None:
    api = FakeApi(*[answer for _ in range(9)])
    error = refused(api, echo)
    assert len(api.calls) == 4
    assert error.status == getattr(answer, "status_code", None)


def test_an_unreachable_local_engine_says_how_to_start_it() -> None:
    error = refused(FakeApi(*[httpx.ConnectError("connection refused")] * 9), echo)
    assert "connection refused" in str(error)
    assert "make up" in str(error)


def test_an_unreachable_deployment_elsewhere_does_not() -> None:
    async def session() -> None:
        api = FakeApi(*[httpx.ConnectError("no route")] * 9)
        elsewhere = Connection("https://fleet.example.com", "flt_x", "flt_x")
        async with FlotillaClient(elsewhere, transport=api.transport, sleep=api.sleep) as client:
            await echo(client)

    with pytest.raises(ApiError) as caught:
        asyncio.run(session())
    assert "make up" not in str(caught.value)


def test_a_problem_is_told_in_full() -> None:
    answer = problem(422, "invalid-input", errors=[{"path": "/input/text", "message": "is required"}])
    api = FakeApi(answer)
    error = refused(api, echo)
    assert api.calls == ["POST /v1/tasks"], "a refusal is not repeated"
    assert (error.status, error.code, error.request_id) == (422, "invalid-input", "req-1")
    assert error.errors == (("/input/text", "is required"),)
    assert str(error) == "422 invalid-input: What to do about it.\n  /input/text: is required\n  request req-1"


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (httpx.Response(403, json={"message": "Forbidden"}), "forbidden"),
        (httpx.Response(500, text="<html>oops</html>"), "internal-server-error"),
        (httpx.Response(404, json=["not", "a", "problem"]), "not-found"),
        (httpx.Response(418, json={"type": "about:blank", "title": "I am a teapot", "errors": 7}), "i-am-a-teapot"),
        (httpx.Response(409, json={"type": "urn:problem:conflict", "errors": ["x"]}), "conflict"),
    ],
)
def test_a_refusal_that_is_no_problem_document_is_one_error_too(answer: httpx.Response, code: str) -> None:
    error = refused(FakeApi(answer), echo)
    assert (error.status, error.code, error.errors) == (answer.status_code, code, ())
    assert "<html>" not in str(error)


def test_an_answer_that_is_not_json_names_the_likely_cause() -> None:
    error = refused(FakeApi(httpx.Response(200, text="<html>hello</html>")), echo)
    assert "Flotilla API" in str(error)


def test_waiting_polls_until_the_task_ends() -> None:
    api = FakeApi()

    async def both(client: FlotillaClient) -> Any:
        submitted = await client.submit("a", {})
        return await client.wait(submitted.task["id"], timeout_seconds=60, hold_seconds=5)

    assert talk(api, both)["status"] == "succeeded"
    assert [request.headers.get("prefer") for request in api.requests] == [None, "wait=5", "wait=5"]


def test_waiting_ends_with_its_time_and_shows_where_the_task_is() -> None:
    api = FakeApi(*[httpx.Response(200, json=queued("tsk_1")) for _ in range(99)])
    assert talk(api, lambda client: client.wait("tsk_1", timeout_seconds=1))["status"] == "queued"
    assert api.now <= 1.5


def test_a_finished_task_is_asked_for_once() -> None:
    api = FakeApi(httpx.Response(200, json=finished("tsk_1")))
    talk(api, lambda client: client.wait("tsk_1", timeout_seconds=60))
    assert api.waits == []


def test_lists_are_read_to_their_end() -> None:
    api = FakeApi(
        httpx.Response(200, json={"items": [{"name": "a"}], "next_cursor": "two/2"}),
        httpx.Response(200, json={"items": [{"name": "b"}], "next_cursor": None}),
    )
    assert [agent["name"] for agent in talk(api, lambda client: client.agents())] == ["a", "b"]
    assert api.calls == ["GET /v1/agents", "GET /v1/agents?cursor=two%2F2"]
    assert {request.headers["authorization"] for request in api.requests} == {"Bearer flt_operator"}


def test_an_id_cannot_lead_out_of_its_path() -> None:
    api = FakeApi()
    refused(api, lambda client: client.task("../agents?x=1"))
    assert api.calls == ["GET /v1/tasks/..%2Fagents%3Fx%3D1"]


def test_no_more_calls_are_made_at_once_than_connections() -> None:
    at_once = most = 0

    async def answer(request: httpx.Request) -> httpx.Response:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0)
        at_once -= 1
        return httpx.Response(202, json=queued("tsk_1"))

    async def session() -> None:
        transport = httpx.MockTransport(answer)
        async with FlotillaClient(CONNECTION, transport=transport, max_connections=3) as client:
            await asyncio.gather(*(echo(client) for _ in range(20)))

    asyncio.run(session())
    assert most == 3
