"""The pooled client against real sockets: it keeps the contract, and connects to nothing that was not checked."""

from __future__ import annotations

import asyncio
import gzip
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.fault_lab.script import Reply, Script
from flotilla.errors import PermanentError
from flotilla.integration_ports import (
    CrowdedError,
    ForbiddenCallError,
    HttpBounds,
    NoAnswerError,
    NotSentError,
    UnusableAnswerError,
)
from flotilla.integrations.request import build
from tests.contracts.http_transport import BOUNDS, Dependency, HttpTransportContract, request
from tests.integration.integrations.loopback import Names, OnLoopback, on_loopback
from tests.integration.webhooks.receiver import authority_for, receiving, saying
from tests.unit.integrations.declarations import crm


class TestHttpPool(HttpTransportContract):
    @pytest.fixture
    def dependency(self) -> Iterator[Callable[[Script], Dependency]]:
        with ExitStack() as stack:
            yield lambda script: stack.enter_context(on_loopback(script))


@pytest.fixture
def there() -> Iterator[OnLoopback]:
    with on_loopback(Script.steady()) as found:
        yield found


def test_connections_are_kept_and_used_again(there: OnLoopback) -> None:
    for _ in range(5):
        there.send()
    there.run(*(lambda: there.pool.send(request(there.origin), BOUNDS) for _ in range(4)))
    assert len(there.server.received) == 9
    assert there.server.connections <= 5, "one, and one more for each of those that came at once"


def test_a_connection_whose_answer_was_not_read_to_its_end_is_not_used_again() -> None:
    with on_loopback(Script.one_after_the_other(Reply(body=b"x" * 20_000), Reply())) as there:
        with pytest.raises(UnusableAnswerError):
            there.send()
        assert there.send().status == 200
        assert there.server.connections == 2


def test_no_cookie_is_kept() -> None:
    with on_loopback(Script.steady(Reply(headers={"Set-Cookie": "session=1; Path=/"}))) as there:
        there.send()
        there.send()
        assert [received.headers.get("cookie") for received in there.server.received] == [None, None]


def test_nothing_is_sent_along_that_was_not_given(there: OnLoopback) -> None:
    there.send(headers=())
    (received,) = there.server.received
    assert set(received.headers) == {"host", "accept-encoding", "content-length"}


def test_no_proxy_is_asked(there: OnLoopback, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, there.dead_origin)
    assert there.send().status == 200


def test_packed_answers_are_unpacked_and_bounded_unpacked() -> None:
    packed = {"Content-Encoding": "gzip"}
    fits, bomb = gzip.compress(b"x" * 10_000), gzip.compress(b"\0" * 50_000_000)
    assert len(bomb) < 100_000
    replies = (Reply(body=fits, headers=packed), Reply(body=bomb, headers=packed))
    with on_loopback(Script.one_after_the_other(*replies)) as there:
        assert there.send().body == b"x" * 10_000
        with pytest.raises(UnusableAnswerError):
            there.send()


@pytest.mark.parametrize("body", [b"not packed", gzip.compress(b"x" * 1000, mtime=0)[:-20]], ids=["not", "cut"])
def test_what_is_packed_wrong_is_no_answer(body: bytes) -> None:
    script = Script.steady(Reply(body=body, headers={"Content-Encoding": "gzip"}))
    with on_loopback(script) as there, pytest.raises(NoAnswerError):
        there.send()


def test_packing_that_was_not_asked_for_is_not_taken() -> None:
    script = Script.steady(Reply(body=b"x", headers={"Content-Encoding": "br"}))
    with on_loopback(script) as there, pytest.raises(UnusableAnswerError):
        there.send()


def test_a_private_address_is_called_only_where_the_integration_is_private(there: OnLoopback) -> None:
    with pytest.raises(ForbiddenCallError, match="loopback"):
        there.send(private=False)
    assert there.server.connections == 0
    assert there.send(private=True).status == 200
    with pytest.raises(ForbiddenCallError):
        there.send(private=False)  # the connection that is there already is not lent either


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["93.184.216.34", "10.0.0.1"], ["169.254.169.254"], ["fd00::1"]])
def test_a_name_with_an_address_inside_is_refused_whole(there: OnLoopback, addresses: list[str]) -> None:
    there.names.addresses_of["crm.example"] = addresses
    with pytest.raises(ForbiddenCallError) as refusal:
        there.send(origin=f"http://crm.example:{there.server.port}", private=False)
    assert not any(address in refusal.value.message for address in addresses)
    assert there.server.connections == 0


def test_what_is_connected_to_is_what_was_looked_up_and_checked(there: OnLoopback) -> None:
    there.names.addresses_of["crm.example"] = ["127.0.0.1"]
    there.send(origin=f"http://crm.example:{there.server.port}")
    assert there.names.asked == ["crm.example"]
    assert there.server.received[0].headers["host"] == f"crm.example:{there.server.port}"


def test_the_next_address_is_tried_where_one_does_not_answer(there: OnLoopback) -> None:
    there.names.addresses_of["crm.example"] = ["127.0.0.2", "127.0.0.1"]
    assert there.send(origin=f"http://crm.example:{there.server.port}").status == 200


def test_a_name_that_does_not_resolve_was_sent_nothing(there: OnLoopback) -> None:
    with pytest.raises(NotSentError):
        there.send(origin="http://nowhere.example")


def test_no_more_connections_are_made_than_allowed_and_who_finds_none_says_so() -> None:
    with on_loopback(Script.steady(Reply(fault="stall")), connections=2) as there:
        bounds = HttpBounds(connect_seconds=0.1, read_seconds=0.5, body_bytes=100)
        with pytest.raises(BaseExceptionGroup) as failures:
            there.run(lambda: _all_of(*(there.pool.send(request(there.origin), bounds) for _ in range(5))))
        crowded, answerless = failures.value.split(CrowdedError)
        assert crowded is not None
        assert answerless is not None
        assert (len(crowded.exceptions), len(answerless.exceptions)) == (3, 2)
        assert there.server.connections == 2


async def _all_of(*calls: object) -> None:
    results = await asyncio.gather(*calls, return_exceptions=True)  # type: ignore[call-overload]
    raise BaseExceptionGroup("calls", [result for result in results if isinstance(result, BaseException)])


def test_a_host_that_stalls_takes_no_connections_of_another() -> None:
    with (
        on_loopback(Script.steady(Reply(fault="stall")), connections=1) as there,
        on_loopback(Script.steady()) as other,
    ):
        stalled = HttpBounds(connect_seconds=5, read_seconds=0.2, body_bytes=100)

        async def both() -> int:
            waiting = asyncio.ensure_future(there.pool.send(request(there.origin), stalled))
            answer = await there.pool.send(request(other.origin), BOUNDS)
            with pytest.raises(NoAnswerError):
                await waiting
            return answer.status

        assert there.run(both) == [200]


def test_each_event_loop_has_connections_of_its_own(there: OnLoopback) -> None:
    there.send()
    statuses: list[int] = []

    def elsewhere() -> None:
        async def call() -> None:
            statuses.append((await there.pool.send(request(there.origin), BOUNDS)).status)
            await there.pool.aclose()

        asyncio.run(call())

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert statuses == [200]
    assert there.send().status == 200
    assert there.server.connections == 2


def test_certificates_are_checked_against_the_name(tmp_path: Path) -> None:
    authority = authority_for("crm.example", tmp_path)
    names = Names(crm_example=["127.0.0.1"], other_example=["127.0.0.1"])
    with (
        receiving(authority.server) as receiver,
        on_loopback(Script.steady(), names=names, tls=lambda: authority.client) as there,
    ):
        assert there.send(origin=f"https://crm.example:{receiver.port}").status == 204
        with pytest.raises(NotSentError):
            there.send(origin=f"https://other.example:{receiver.port}")
        assert [received.headers["host"] for received in receiver.received] == [f"crm.example:{receiver.port}"]


def test_certificates_of_nobody_known_are_refused_and_tls_is_not_dropped(tmp_path: Path) -> None:
    authority = authority_for("crm.example", tmp_path)
    names = Names(crm_example=["127.0.0.1"])
    with receiving(authority.server) as receiver, on_loopback(Script.steady(), names=names) as there:
        with pytest.raises(NotSentError):
            there.send(origin=f"https://crm.example:{receiver.port}")
        with pytest.raises(NotSentError):
            there.send(replace(BOUNDS, connect_seconds=0.3), origin=f"https://crm.example:{there.server.port}")
        assert receiver.received == []
        assert there.server.received == []


@pytest.mark.parametrize(
    "bytes_",
    [
        b"",
        b"\x00\xff nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"HTTP/1.1 200 OK\r\n" + b"X-Long: " + b"x" * 200_000,
    ],
)
def test_what_is_no_whole_answer_is_none(there: OnLoopback, bytes_: bytes) -> None:
    with saying(bytes_) as port, pytest.raises(NoAnswerError):
        there.send(origin=f"http://127.0.0.1:{port}")


def test_an_answer_without_an_end_is_bounded(there: OnLoopback) -> None:
    endless = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + b"x" * 1_000_000
    with saying(endless) as port, pytest.raises(UnusableAnswerError):
        there.send(origin=f"http://127.0.0.1:{port}")


def test_contexts_that_check_are_made_once() -> None:
    from flotilla.outbound.http_pool import _public_authorities

    context = _public_authorities()
    assert context is _public_authorities()
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED


@given(st.text(max_size=40), st.text(max_size=20))
def test_what_was_built_is_what_httpx_sends(path: str, value: str) -> None:
    try:
        made = build(crm(), "GET", f"/{path}", params={"q": value})
    except PermanentError:
        return
    url = httpx.URL(made.origin + made.target)
    assert (url.scheme, url.host, url.port, url.raw_path) == ("https", "api.crm.example", None, made.target.encode())
