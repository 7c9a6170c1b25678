"""The guard as ASGI middleware, around an application that records what reaches it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from local.admission import Window
from local.guard import Guard, Message, Receive, Scope, Send, refusal

OWN = ("host", "127.0.0.1:4566")


class Recorder:
    """An application that answers with the engine's permissive headers, once it is let."""

    def __init__(self) -> None:
        self.reached: list[str] = []
        self.at_work = 0
        self.most_at_work = 0
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.reached.append(scope.get("path", scope["type"]))
        self.at_work += 1
        self.most_at_work = max(self.most_at_work, self.at_work)
        await self.may_answer.wait()
        self.at_work -= 1
        headers = [(b"Access-Control-Allow-Origin", b"*"), (b"content-type", b"text/plain")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"ok"})


async def turns() -> None:
    """Lets everything run that can."""
    for _ in range(100):
        await asyncio.sleep(0)


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(coroutine)


async def ask(
    guard: Guard, *headers: tuple[str, str], path: str = "/", kind: str = "http", **scope: Any
) -> list[Message]:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": f"{kind}.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    encoded = [(name.encode(), value.encode()) for name, value in headers]
    await guard({"type": kind, "path": path, "headers": encoded, **scope}, receive, send)
    return sent


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.1:4566",
        "localhost",
        "LOCALHOST:9999",
        "bucket.s3.localhost:4566",
        "a1.execute-api.localhost",
    ],
)
def test_loopback_names_pass(host: str) -> None:
    assert refusal([("host", host)]) is None


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "evillocalhost",
        ".localhost",
        "localhost.",
        "0.0.0.0",
        "192.168.1.5:4566",
        "[::1]",
        "localhost:4566@evil.example",
        "localhost:",
        "",
    ],
)
def test_every_other_name_is_refused(host: str) -> None:
    assert refusal([("host", host)]) == "the host is not a loopback name"


def test_a_request_without_a_host_is_refused() -> None:
    assert refusal([]) is not None


def test_one_foreign_host_among_several_is_enough_to_refuse() -> None:
    assert refusal([OWN, ("host", "evil.example")]) is not None


@pytest.mark.parametrize(
    "header",
    [
        ("origin", "https://evil.example"),
        ("origin", "http://127.0.0.1:3000"),
        ("origin", "https://127.0.0.1:4566"),
        ("origin", "null"),
        ("origin", ""),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("referer", "https://evil.example/page"),
        ("referer", "http://127.0.0.1:3000/"),
    ],
)
def test_what_a_page_of_another_origin_sends_is_refused(header: tuple[str, str]) -> None:
    assert refusal([OWN, header]) is not None


@pytest.mark.parametrize(
    "header",
    [
        ("origin", "http://127.0.0.1:4566"),
        ("origin", "HTTP://127.0.0.1:4566"),
        ("sec-fetch-site", "same-origin"),
        ("sec-fetch-site", "none"),
        ("referer", "http://127.0.0.1:4566/console"),
    ],
)
def test_what_the_engines_own_origin_sends_passes(header: tuple[str, str]) -> None:
    assert refusal([OWN, header]) is None


def test_a_websocket_of_the_own_origin_passes_and_others_do_not() -> None:
    assert refusal([OWN, ("origin", "http://127.0.0.1:4566")], scheme="ws") is None
    assert refusal([OWN, ("origin", "http://evil.example")], scheme="ws") is not None


def test_a_refused_request_never_reaches_the_engine() -> None:
    async def scenario() -> None:
        engine = Recorder()
        sent = await ask(Guard(engine), ("host", "evil.example"))
        assert engine.reached == []
        assert sent[0]["status"] == 403
        assert dict(sent[0]["headers"])[b"content-type"] == b"application/problem+json"

    run(scenario())


@pytest.mark.parametrize("extensions", [{}, {"websocket.http.response": {}}])
def test_a_refused_websocket_is_never_accepted(extensions: dict[str, Any]) -> None:
    async def scenario() -> None:
        engine = Recorder()
        headers = (OWN, ("origin", "https://evil.example"))
        sent = await ask(Guard(engine), *headers, kind="websocket", extensions=extensions)
        assert engine.reached == []
        assert sent[0]["type"] in ("websocket.close", "websocket.http.response.start")
        assert sent[0].get("status", 403) == 403

    run(scenario())


def test_permissive_headers_are_taken_off_and_others_kept() -> None:
    async def scenario() -> None:
        sent = await ask(Guard(Recorder()), OWN)
        assert sent[0]["headers"] == [(b"content-type", b"text/plain")]

    run(scenario())


def test_the_lifespan_passes() -> None:
    async def scenario() -> None:
        engine = Recorder()
        await ask(Guard(engine), kind="lifespan")
        assert engine.reached == ["/"]

    run(scenario())


@pytest.mark.parametrize(
    ("host", "path"),
    [
        ("127.0.0.1:1", "/_aws/execute-api/a1b2c3d4/$default/v1/tasks"),
        ("a1b2c3d4.execute-api.localhost:1", "/v1/tasks"),
    ],
)
def test_a_burst_on_an_http_api_waits_for_its_turn_and_is_all_answered(host: str, path: str) -> None:
    async def scenario() -> None:
        engine = Recorder()
        guard = Guard(engine, Window(first=3))
        engine.may_answer.clear()
        burst = [asyncio.create_task(ask(guard, ("host", host), path=path)) for _ in range(40)]
        await turns()
        assert engine.at_work == 3
        engine.may_answer.set()
        answers = await asyncio.gather(*burst)
        assert [answer[0]["status"] for answer in answers] == [200] * 40
        assert engine.most_at_work == 3

    run(scenario())


def test_calls_to_other_services_are_not_held_back() -> None:
    async def scenario() -> None:
        engine = Recorder()
        guard = Guard(engine, Window(first=1, most=1, total=1))
        engine.may_answer.clear()
        calls = [asyncio.create_task(ask(guard, OWN)) for _ in range(20)]
        await turns()
        assert engine.at_work == 20
        engine.may_answer.set()
        await asyncio.gather(*calls)

    run(scenario())
