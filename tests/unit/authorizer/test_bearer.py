"""Reading a key out of whatever a client put into its headers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.authorizer.bearer import MalformedAuthorizationError, api_key

KEY = "flt_" + "aB3-_" * 8


@pytest.mark.parametrize("value", [f"Bearer {KEY}", f"bearer {KEY}", f"BEARER   {KEY}", f"  Bearer {KEY}  "])
@pytest.mark.parametrize("name", ["authorization", "Authorization", "AUTHORIZATION"])
def test_a_bearer_token_is_read(name: str, value: str) -> None:
    assert api_key({"headers": {"accept": "*/*", name: value}}) == KEY


@pytest.mark.parametrize("event", [{}, {"headers": None}, {"headers": {}}, {"headers": {"authorization": "  "}}])
def test_no_header_is_no_key(event: dict[str, dict[str, str] | None]) -> None:
    assert api_key(event) is None


@pytest.mark.parametrize(
    "value",
    [
        "Bearer",
        "Bearer ",
        KEY,
        "Basic eDp5",
        f"Bearer {KEY} x",
        f"Bearer {KEY},Bearer {KEY}",
        f"Bearer\t{KEY}",
        f"Bearer {KEY}\n",
        "Bearer ü",
        "Bearer " + "x" * 257,
        "x" * 100_000,
    ],
)
def test_anything_else_is_malformed(value: str) -> None:
    if value.endswith("\n"):
        value += "x"
    with pytest.raises(MalformedAuthorizationError):
        api_key({"headers": {"authorization": value}})


@given(st.text())
def test_any_text_is_a_key_or_none_or_malformed(value: str) -> None:
    try:
        key = api_key({"headers": {"authorization": f"Bearer {value}"}})
    except MalformedAuthorizationError:
        return
    assert key
    assert key.isascii()
    assert len(key) <= 512
