"""What an agent gets of an answer."""

from __future__ import annotations

import pytest

from flotilla.errors import PermanentError, RetryableError
from flotilla.integration_ports import HttpAnswer
from flotilla.integrations.response import IntegrationRefusedError, Response


def response(body: bytes, *headers: tuple[str, str], status: int = 200) -> Response:
    return Response.of(HttpAnswer(status, headers, body))


def test_json_and_text() -> None:
    found = response('{"a": "ü"}'.encode(), ("content-type", "application/json"))
    assert found.json() == {"a": "ü"}
    assert found.text == '{"a": "ü"}'
    assert found.status == 200


@pytest.mark.parametrize(
    ("content_type", "body", "text"),
    [
        ("text/plain; charset=latin-1", b"\xfc", "ü"),
        ('text/plain; charset="UTF-16"', "ü".encode("utf-16"), "ü"),
        ("text/plain; charset=none-such", b"ab", "ab"),
        ("text/plain; charset=hex", b"ab", "ab"),
        ("text/plain; charset=idna", b"ab", "ab"),
        ("text/plain", b"\xff", "\ufffd"),
        ("", b"", ""),
    ],
)
def test_text_is_read_as_its_type_says_and_never_fails(content_type: str, body: bytes, text: str) -> None:
    assert response(body, ("content-type", content_type)).text == text


@pytest.mark.parametrize("body", [b"<html>", b"", b"\xff", b"[" * 100_000])
def test_what_should_be_json_and_is_not_may_be_so_next_time(body: bytes) -> None:
    with pytest.raises(RetryableError) as failure:
        response(body).json()
    assert failure.value.code == "integration_answer"


def test_headers_are_found_in_any_case_and_show_no_values() -> None:
    headers = response(b"", ("x-one", "1"), ("set-cookie", "secret=1"), ("x-one", "2")).headers
    assert headers["X-One"] == "1, 2"
    assert headers.get("X-Two") is None
    assert (len(headers), list(headers)) == (2, ["x-one", "set-cookie"])
    assert "secret" not in repr(headers)


def test_a_refusal_names_the_status_and_not_what_was_said() -> None:
    refusal = IntegrationRefusedError("crm", response(b"no customer 4711", status=404))
    assert isinstance(refusal, PermanentError)
    assert (refusal.code, refusal.status, refusal.response.text) == ("integration_refused", 404, "no customer 4711")
    assert refusal.message == "integration crm answered 404"
