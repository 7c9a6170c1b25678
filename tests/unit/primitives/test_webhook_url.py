"""A webhook's URL has one reading, or is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flotilla.broadcast import Target
from flotilla.primitives.webhook_url import MAX_CHARACTERS, InvalidUrlError, target_of


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://hooks.example", Target(True, "hooks.example", 443, "/")),
        ("https://hooks.example/", Target(True, "hooks.example", 443, "/")),
        ("HTTPS://Hooks.Example/A?b=C", Target(True, "hooks.example", 443, "/A?b=C")),
        ("https://hooks.example?x=1", Target(True, "hooks.example", 443, "/?x=1")),
        ("https://hooks.example:8443/a%20b", Target(True, "hooks.example", 8443, "/a%20b")),
        ("https://hooks.example:443/", Target(True, "hooks.example", 443, "/")),
        ("https://xn--gre-hoa.example/", Target(True, "xn--gre-hoa.example", 443, "/")),
        ("https://my_host.example/", Target(True, "my_host.example", 443, "/")),
        ("https://93.184.216.34/x", Target(True, "93.184.216.34", 443, "/x")),
        ("https://[2606:4700:0:0::1111]:1024/x", Target(True, "2606:4700::1111", 1024, "/x")),
        ("https://hooks.example/@user", Target(True, "hooks.example", 443, "/@user")),
        ("https://hooks.example/http://other.example", Target(True, "hooks.example", 443, "/http://other.example")),
    ],
)
def test_a_plain_url_is_read(url: str, target: Target) -> None:
    assert target_of(url) == target


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hooks.example",
        "//hooks.example",
        "ftp://hooks.example",
        "file:///etc/passwd",
        "gopher://hooks.example",
        "https:hooks.example",
        "https:///path",
        "https://",
        "https://:443/",
        "https://user@hooks.example",
        "https://user:password@hooks.example",
        "https://hooks.example@evil.example",
        "https://hooks.example#fragment",
        "https://hooks.example/#fragment",
        "https://hooks.example\\@evil.example",
        "https://evil.example\\.hooks.example",
        "https://hooks.example /",
        " https://hooks.example",
        "https://hooks.example/\r\nX-Injected: 1",
        "https://hooks.example/\tx",
        "https://hooks.example/\x00",
        "https://größe.example",
        "https://hooks。example",
        "https://hooks.example/größe",
        "https://%68ooks.example",
        "https://hooks.example.",
        "https://.hooks.example",
        "https://hooks..example",
        "https://-hooks.example",
        "https://hooks-.example",
        "https://" + "a" * 64 + ".example",
        "https://" + ".".join(["a" * 60] * 5),
        "https://hooks.example:",
        "https://hooks.example:0",
        "https://hooks.example:65536",
        "https://hooks.example:999999",
        "https://hooks.example:-1",
        "https://hooks.example:\uff14\uff14\uff13",
        "https://2130706433/",
        "https://127.1/",
        "https://0x7f000001/",
        "https://0x7f.0.0.1/",
        "https://0177.0.0.1/",
        "https://127.0.0.01/",
        "https://1.2.3/",
        "https://1.2.3.4.5/",
        "https://hooks.1/",
        "https://[::1/",
        "https://[fe80::1%25eth0]/",
        "https://[1.2.3.4]/",
        "https://[hooks.example]/",
        "https://hooks.example/" + "x" * MAX_CHARACTERS,
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(url: str) -> None:
    for allow in ((), ("hooks.example", "evil.example", "127.0.0.1", "::1")):
        with pytest.raises(InvalidUrlError):
            target_of(url, allow)


def test_only_tls_and_no_other_protocols_port() -> None:
    with pytest.raises(InvalidUrlError, match="must begin with https"):
        target_of("http://hooks.example")
    for port in (22, 25, 80, 465, 636, 993, 1023):
        with pytest.raises(InvalidUrlError, match="must have port 443"):
            target_of(f"https://hooks.example:{port}")


def test_a_host_that_is_allowed_may_do_without_tls_and_have_any_port() -> None:
    allow = {"127.0.0.1", "localhost", "::1"}
    assert target_of("http://127.0.0.1:81/x", allow) == Target(False, "127.0.0.1", 81, "/x")
    assert target_of("http://LOCALHOST", allow) == Target(False, "localhost", 80, "/")
    assert target_of("http://[0:0::1]:9000/", allow) == Target(False, "::1", 9000, "/")
    with pytest.raises(InvalidUrlError):
        target_of("http://127.0.0.2", allow)
    with pytest.raises(InvalidUrlError):
        target_of("http://localhost.evil.example", allow)


@given(st.text(max_size=60), st.booleans())
def test_any_text_is_read_or_refused(text: str, prefixed: bool) -> None:
    url = f"https://{text}" if prefixed else text
    try:
        target = target_of(url)
    except InvalidUrlError:
        return
    request = f"POST {target.path} HTTP/1.1\r\nHost: {target.authority}\r\n"
    assert request.isascii()
    assert len(request.split()) == 5, "nothing in it ends a line or a word"
