"""The sender against real servers: where it connects to, what it sends, and what it makes of any answer."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from pathlib import Path

import pytest

from flotilla.broadcast import Answer, Target
from flotilla.errors import RetryableError
from flotilla.outbound.resolver import SystemResolver
from flotilla.outbound.sender import MAX_ANSWER_BYTES, PinnedSender
from tests.fakes import run_on_thread
from tests.integration.webhooks.receiver import authority_for, receiving, saying

BODY = b'{"type":"task.succeeded"}'
HEADERS = {"webhook-id": "msg_1"}
HOST = "hooks.example"


def post(
    port: int,
    *,
    sender: PinnedSender | None = None,
    addresses: Sequence[str] = ("127.0.0.1",),
    tls: bool = False,
    host: str = HOST,
    path: str = "/in?x=1",
    body: bytes = BODY,
    timeout_seconds: float = 10.0,
) -> Answer:
    target = Target(tls, host, port, path)
    work = (sender or PinnedSender()).post(target, addresses, HEADERS, body, timeout_seconds)
    return asyncio.run(work)


def failure(port: int, **options: object) -> str:
    with pytest.raises(RetryableError) as failed:
        post(port, **options)  # type: ignore[arg-type]
    return failed.value.code


def test_a_request_arrives_to_the_letter() -> None:
    with receiving() as receiver:
        assert post(receiver.port) == Answer(204)
        (received,) = receiver.received
        assert received.path == "/in?x=1"
        assert received.body == BODY
        assert received.headers.items() >= {
            ("host", f"{HOST}:{receiver.port}"),
            ("content-type", "application/json"),
            ("content-length", str(len(BODY))),
            ("webhook-id", "msg_1"),
        }


def test_a_large_body_arrives_whole() -> None:
    body = b"x" * 3_000_000
    with receiving() as receiver:
        assert post(receiver.port, body=body) == Answer(204)
        assert receiver.received[0].body == body


def test_the_connection_goes_to_the_address_and_no_name_is_resolved() -> None:
    """The name does not exist: whoever looked it up would fail."""
    with receiving() as receiver:
        assert post(receiver.port, host="no-such-host.invalid") == Answer(204)


def test_the_next_address_is_tried_where_one_takes_no_connection() -> None:
    with receiving() as receiver:
        assert post(receiver.port, addresses=["127.0.0.9", "127.0.0.1"]) == Answer(204)
    assert failure(1, addresses=["127.0.0.9", "127.0.0.1"]) == "webhook_unreachable"


def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    with receiving() as elsewhere, receiving() as receiver:
        receiver.location = f"http://127.0.0.1:{elsewhere.port}/secret"
        for status in (301, 302, 303, 307, 308):
            receiver.answer = lambda _received, status=status: Answer(status)  # type: ignore[misc]
            assert post(receiver.port) == Answer(status)
        assert elsewhere.received == []


def test_the_proxy_of_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    with receiving() as proxy, receiving() as receiver:
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        post(receiver.port)
        assert proxy.received == []
        assert len(receiver.received) == 1


def test_what_it_asks_for_is_told() -> None:
    with receiving() as receiver:
        receiver.answer = lambda _received: Answer(503, "120")
        assert post(receiver.port) == Answer(503, "120")


def test_over_tls_the_name_is_the_hosts_and_the_certificate_is_checked_by_it(tmp_path: Path) -> None:
    authority = authority_for(HOST, tmp_path)
    names: list[str | None] = []
    authority.server.sni_callback = lambda _socket, name, _context: names.append(name)
    sender = PinnedSender(lambda: authority.client)
    with receiving(authority.server) as receiver:
        assert post(receiver.port, sender=sender, tls=True) == Answer(204)
        assert names == [HOST]
        assert failure(receiver.port, sender=sender, tls=True, host="other.example") == "webhook_tls"
        assert failure(receiver.port, sender=PinnedSender(), tls=True) == "webhook_tls", "nobody vouches for it"
        assert len(receiver.received) == 1


def test_nothing_is_sent_in_the_clear_where_tls_is_wanted() -> None:
    with receiving() as receiver:
        assert failure(receiver.port, tls=True) in ("webhook_tls", "webhook_unreachable")
        assert receiver.received == []


def test_the_usual_authorities_are_trusted_and_host_names_checked() -> None:
    from flotilla.outbound import sender

    context = sender._public_authorities()
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.0 200\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 " + b"x" * 1000 + b"\r\nX: " + b"y" * 30_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 \xff\xfe\r\nX: \xff\r\nno colon\r\n\r\n",
    ],
    ids=range(7),
)
def test_the_status_decides_whatever_else_is_said(answer: bytes) -> None:
    with saying(answer) as port:
        assert post(port).status == 200


def test_a_header_is_found_in_any_case() -> None:
    with saying(b"HTTP/1.1 429 Slow\r\nRETRY-after:  7 \r\n\r\n") as port:
        assert post(port) == Answer(429, "7")


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 OK\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 50,
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * (2 * MAX_ANSWER_BYTES) + b"\r\n\r\n",
        b"\x00" * (2 * MAX_ANSWER_BYTES),
    ],
    ids=range(9),
)
def test_what_is_no_answer_within_bounds_is_a_failure(answer: bytes) -> None:
    with saying(answer) as port:
        assert failure(port) in ("webhook_answer", "webhook_unreachable")


def test_an_answer_without_end_costs_no_more_than_its_bound() -> None:
    with saying(b"HTTP/1.1 200 OK\r\n\r\n", *[b"x" * 65_536] * 1000, then_close=False) as port:
        assert post(port) == Answer(200)


def test_the_whole_exchange_has_one_timeout_however_slowly_it_drips() -> None:
    with saying(*[b"H"] * 10_000, between_seconds=0.05) as port:
        assert failure(port, timeout_seconds=0.4) == "webhook_timeout"


def test_a_server_that_says_nothing_is_given_up() -> None:
    with saying(then_close=False) as port:
        assert failure(port, timeout_seconds=0.2) == "webhook_timeout"


def test_a_server_that_does_not_even_shake_hands_is_given_up(tmp_path: Path) -> None:
    with saying(then_close=False) as port:
        assert failure(port, tls=True, timeout_seconds=0.2) in ("webhook_timeout", "webhook_unreachable")


def test_nothing_in_a_request_can_begin_a_line_of_its_own() -> None:
    with receiving() as receiver:
        for target in (Target(False, HOST, receiver.port, "/\r\nx: y"), Target(False, "a\nb", receiver.port, "/")):
            with pytest.raises(ValueError, match="no header"):
                asyncio.run(PinnedSender().post(target, ["127.0.0.1"], {}, b"", 1.0))
        with pytest.raises(ValueError, match="no header"):
            asyncio.run(
                PinnedSender().post(
                    Target(False, HOST, receiver.port, "/"), ["127.0.0.1"], {"a": "b\r\nc: d"}, b"", 1.0
                )
            )
        assert receiver.received == []


def test_the_system_resolves_what_is_on_this_machine() -> None:
    addresses = asyncio.run(SystemResolver(run_on_thread).addresses("localhost", 443))
    assert set(addresses) <= {"127.0.0.1", "::1"}
    assert len(addresses) == len(set(addresses)) > 0


@pytest.mark.parametrize("host", ["a" * 64 + ".invalid", "\udce9", "a..b"])
def test_a_name_that_cannot_be_resolved_is_no_crash(host: str) -> None:
    with pytest.raises(RetryableError):
        asyncio.run(SystemResolver(run_on_thread).addresses(host, 443))
