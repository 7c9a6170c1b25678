"""No path, query or header leads a call elsewhere than to its integration."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flotilla.errors import PermanentError
from flotilla.integrations.request import build, is_idempotent, redirected
from tests.unit.integrations.declarations import crm

CRM = crm('auth.scheme = "header"\nauth.header = "X-Api-Key"\nauth.secret = "crm"')
NARROW = crm('paths = ["/customers", "/orders/"]')


def target(path: str, **options: Any) -> str:
    return build(CRM, "GET", path, **options).target


def test_a_path_lies_below_the_base() -> None:
    request = build(CRM, "get", "/customers/1")
    assert (request.method, request.origin, request.target) == ("GET", "https://api.crm.example", "/v2/customers/1")
    assert request.body is None
    assert not request.private


@pytest.mark.parametrize(
    ("path", "params", "expected"),
    [
        ("/", {}, "/v2/"),
        ("/a%2Fb", {}, "/v2/a%2Fb"),
        ("/größe", {}, "/v2/gr%C3%B6%C3%9Fe"),
        ("/a?x=1", {}, "/v2/a?x=1"),
        ("/a?x=1", {"y": 2}, "/v2/a?x=1&y=2"),
        (
            "/a",
            {"q": "a b&c=d", "n": None, "yes": True, "f": 0.5, "many": ["1", 2]},
            "/v2/a?q=a+b%26c%3Dd&yes=true&f=0.5&many=1&many=2",
        ),
        ("/a", {}, "/v2/a"),
    ],
)
def test_paths_and_parameters_are_encoded(path: str, params: Any, expected: str) -> None:
    assert target(path, params=params) == expected


@pytest.mark.parametrize(
    "path",
    [
        "",
        "customers",
        "//evil.example/x/..",
        "/..",
        "/../admin",
        "/a/../../admin",
        "/a/./b",
        "/%2e%2e/admin",
        "/%2E./admin",
        "/a%2f..%2f..%2fadmin",
        "/%252e%252e/admin",
        "/%25252525252e/x",
        "/a\\..\\b",
        "/..%5cadmin",
        "/a b",
        "/a\r\nHost: evil.example",
        "/a?x=1\r\nHost: evil.example",
        "/a#b",
        "/a%zz",
        "/a\x00",
        "@evil.example/",
        "https://evil.example/",
        "/" + "x" * 8000,
    ],
)
def test_paths_that_lead_elsewhere_are_refused(path: str) -> None:
    with pytest.raises(PermanentError) as refusal:
        target(path)
    assert refusal.value.code == "invalid_request"


@given(st.text(max_size=60), st.dictionaries(st.text(max_size=5), st.text(max_size=10), max_size=3))
def test_whatever_is_asked_for_stays_below_the_base_of_the_host(path: str, params: dict[str, str]) -> None:
    try:
        request = build(CRM, "GET", f"/{path}", params=params)
    except PermanentError:
        return
    parts = urlsplit(request.origin + request.target)
    assert parts.netloc == "api.crm.example"
    assert parts.path.startswith("/v2/")
    assert ".." not in unquote(parts.path).split("/")
    assert request.target.isascii()
    assert not set(request.target) & set(" \r\n\t\\#")


@given(st.dictionaries(st.text(min_size=1, max_size=8), st.text(max_size=20), max_size=4))
def test_parameters_arrive_as_they_were_given(params: dict[str, str]) -> None:
    try:
        found = target("/a", params=params)
    except PermanentError:
        assert any("\ud800" <= character <= "\udfff" for text in params.items() for character in "".join(text))
        return
    assert dict(parse_qsl(urlsplit(found).query, keep_blank_values=True)) == params


@pytest.mark.parametrize("path", ["/customers", "/customers/1", "/customers/1/x?y=1", "/orders/1"])
def test_allowed_paths_are(path: str) -> None:
    build(NARROW, "GET", path)


@pytest.mark.parametrize(
    "path", ["/", "/customer", "/customersx", "/orders", "/admin", "/customers%2f1", "/customers/a%5cb"]
)
def test_other_paths_are_not(path: str) -> None:
    with pytest.raises(PermanentError) as refusal:
        build(NARROW, "GET", path)
    assert refusal.value.code == "path_not_allowed"


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"content-length": "0"},
        {"Transfer-Encoding": "chunked"},
        {"Connection": "close"},
        {"X-API-KEY": "mine"},
        {"a b": "x"},
        {"": "x"},
        {"x": "a\r\nb: c"},
        {"x": "größe"},
        {"x": ""},
    ],
)
def test_headers_that_decide_where_and_who_are_refused(headers: dict[str, str]) -> None:
    with pytest.raises(PermanentError):
        build(CRM, "GET", "/", headers=headers)


def test_what_authenticates_by_default_cannot_be_set_where_the_integration_uses_it() -> None:
    bearer = crm('auth.secret = "crm"')
    with pytest.raises(PermanentError):
        build(bearer, "GET", "/", headers={"Authorization": "Bearer mine"})
    assert ("authorization", "Bearer mine") in build(
        crm(), "GET", "/", headers={"Authorization": "Bearer mine"}
    ).headers


def test_what_is_given_wins_over_the_defaults() -> None:
    headers = dict(build(CRM, "POST", "/", json={}, headers={"Accept": "text/csv", "Content-Type": "x/y"}).headers)
    assert (headers["accept"], headers["content-type"]) == ("text/csv", "x/y")


def test_bodies() -> None:
    request = build(CRM, "POST", "/", json={"a": [1, None, "ü"]})
    assert json.loads(request.body or b"") == {"a": [1, None, "ü"]}
    assert dict(request.headers)["content-type"] == "application/json"
    assert build(CRM, "POST", "/", json=None).body == b"null"
    assert build(CRM, "POST", "/", content=b"\x00").body == b"\x00"
    text = build(CRM, "POST", "/", content="ü")
    assert (text.body, dict(text.headers)["content-type"]) == ("ü".encode(), "text/plain; charset=utf-8")
    for wrong in ({"json": 1, "content": b""}, {"json": float("nan")}, {"json": object()}, {"params": {"a": object()}}):
        with pytest.raises(PermanentError):
            build(CRM, "POST", "/", **wrong)  # type: ignore[arg-type]


def test_methods() -> None:
    assert [method for method in ("GET", "HEAD", "OPTIONS", "PUT", "DELETE") if not is_idempotent(method)] == []
    assert not is_idempotent("POST")
    assert not is_idempotent("PATCH")
    for method in ("CONNECT", "TRACE", "GET / HTTP/1.1\r\n", ""):
        with pytest.raises(PermanentError):
            build(CRM, method, "/")


def test_the_key_goes_along_where_the_integration_knows_one() -> None:
    assert ("idempotency-key", "k") in build(CRM, "POST", "/", idempotency_key="k").headers
    own = build(CRM, "POST", "/", idempotency_key="k", headers={"Idempotency-Key": "own"})
    assert ("idempotency-key", "own") in own.headers
    named = crm('idempotency_header = "X-Request-Id"')
    assert ("x-request-id", "k") in build(named, "POST", "/", idempotency_key="k").headers
    without = crm('idempotency_header = ""')
    assert "k" not in dict(build(without, "POST", "/", idempotency_key="k").headers).values()


@pytest.mark.parametrize(
    ("location", "leads_to"),
    [
        ("/v2/b", "/v2/b"),
        ("b?x=1", "/v2/b?x=1"),
        ("https://api.crm.example/v2/b", "/v2/b"),
        ("https://API.crm.example/v2/b", "/v2/b"),
        ("https://evil.example/v2/b", None),
        ("//evil.example/v2/b", None),
        ("http://api.crm.example/v2/b", None),
        ("https://api.crm.example:8443/v2/b", None),
        ("https://user@api.crm.example/v2/b", None),
        ("https://api.crm.example.evil.example/v2/b", None),
        ("/admin", None),
        ("/v2", None),
        ("/v2/../admin", None),
        ("/v2/%2e%2e/admin", None),
        ("https://[", None),
        ("javascript:alert(1)", None),
        ("/v2/a\r\nx: y", None),
    ],
)
def test_a_redirect_is_followed_within_the_integration_only(location: str, leads_to: str | None) -> None:
    found = redirected(CRM, build(CRM, "GET", "/a"), location)
    assert (None if found is None else found.target) == leads_to
