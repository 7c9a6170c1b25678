"""Idempotency keys, waits and content types: what is understood, and what is not believed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.api.gateway import Request
from functions.api.headers import idempotency_key, require_json, wait_seconds
from functions.api.problems import RefusalError
from tests.gateway_events import http_event


def request(**headers: str) -> Request:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request.from_event(http_event("POST", "/v1/tasks", {}, headers=sent), ends_ms=0)


@pytest.mark.parametrize(
    ("sent", "key"),
    [
        ("order-1", "order-1"),
        ('"order-1"', "order-1"),
        ("  order-1  ", "order-1"),
        (r'"a\"b\\c"', 'a"b\\c'),
        ("x" * 255, "x" * 255),
        ('"' + "x" * 255 + '"', "x" * 255),
    ],
)
def test_a_key_is_the_same_quoted_or_not(sent: str, key: str) -> None:
    assert idempotency_key(request(Idempotency_Key=sent)) == key


@pytest.mark.parametrize(
    "sent", ["", '""', '"', '"a', 'a b"', "a b", '"a b"', '"a";x=1', '"a","b"', "x" * 256, "é", "a\x00", '"' * 5000]
)
def test_what_is_no_key_is_refused(sent: str) -> None:
    with pytest.raises(RefusalError) as refused:
        idempotency_key(request(Idempotency_Key=sent))
    assert refused.value.problem.slug == "invalid-header"


@given(st.text())
def test_any_key_at_all_is_taken_or_refused(sent: str) -> None:
    try:
        key = idempotency_key(request(Idempotency_Key=sent))
    except RefusalError:
        return
    assert key
    assert 1 <= len(key) <= 255
    assert key.isascii()


def test_no_key_is_none() -> None:
    assert idempotency_key(request()) is None


@pytest.mark.parametrize(
    ("sent", "seconds"),
    [
        ("wait=5", 5),
        ("WAIT = 5", 5),
        ('wait="5"', 5),
        ("respond-async, wait=10; x=y", 10),
        ("wait=0", 0),
        ("wait=25", 25),
        ("wait=60", 25),
        ("wait=" + "9" * 900, 25),
        ("wait=3, wait=9", 3),
        ("", None),
        ("wait", None),
        ("wait=", None),
        ("wait=-1", None),
        ("wait=1.5", None),
        ("wait=soon", None),
        ("wait=٣", None),
        ("await=3", None),
        ("wait=3" + " " * 2000, None),
    ],
)
def test_a_wait_is_taken_up_to_its_bound_and_a_malformed_one_is_passed_over(sent: str, seconds: int | None) -> None:
    assert wait_seconds(request(Prefer=sent)) == seconds


@pytest.mark.parametrize(
    "declared",
    ["application/json", "Application/JSON", "application/json; charset=utf-8", 'application/json;charset="UTF-8"'],
)
def test_json_is_taken(declared: str) -> None:
    require_json(request(Content_Type=declared))


@pytest.mark.parametrize(
    "declared",
    [
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/jsonp",
        "application/json; charset=latin-1",
        "x" * 9999,
    ],
)
def test_what_is_not_declared_as_json_is_415(declared: str) -> None:
    event = http_event("POST", "/v1/tasks", {})
    event["headers"] = {"Content-Type": declared}
    with pytest.raises(RefusalError) as refused:
        require_json(Request.from_event(event, ends_ms=0))
    assert refused.value.problem.status == 415
