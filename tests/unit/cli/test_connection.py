"""Which deployment the command speaks to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.connection import KEY_VARIABLE, URL_VARIABLE, Connection, NoConnectionError, find_connection

LOCAL = {
    "api_url": "http://127.0.0.1:4566/_aws/execute-api/1a2b/$default",
    "operator_key": "flt_operator",
    "tenant_key": "flt_tenant",
    "engine_url": "http://127.0.0.1:4566",
    "region": "us-east-1",
}


@pytest.fixture
def local_file(tmp_path: Path) -> Path:
    path = tmp_path / "local.json"
    path.write_text(json.dumps(LOCAL), encoding="utf-8")
    return path


def test_the_local_engine_is_found_with_both_its_keys(local_file: Path) -> None:
    assert find_connection({}, local_file) == Connection(LOCAL["api_url"], "flt_tenant", "flt_operator")


def test_the_environment_wins_over_the_local_engine(local_file: Path) -> None:
    environment = {URL_VARIABLE: "https://fleet.example.com/", KEY_VARIABLE: "flt_other"}
    found = find_connection(environment, local_file)
    assert found == Connection("https://fleet.example.com", "flt_other", "flt_other", from_environment=True)


@pytest.mark.parametrize("name", [URL_VARIABLE, KEY_VARIABLE])
def test_half_an_environment_is_an_error_and_not_the_local_engine(name: str, local_file: Path) -> None:
    missing = {URL_VARIABLE, KEY_VARIABLE} - {name}
    with pytest.raises(NoConnectionError, match=missing.pop()):
        find_connection({name: "https://fleet.example.com"}, local_file)


def test_nothing_at_all_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NoConnectionError, match="make up"):
        find_connection({}, tmp_path / "local.json")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", json.dumps(LOCAL | {"api_url": "file:///etc/passwd"})])
def test_a_local_file_that_cannot_be_used_is_named(text: str, tmp_path: Path) -> None:
    path = tmp_path / "local.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(NoConnectionError, match=r"local\.json"):
        find_connection({}, path)


def test_a_key_is_not_shown_where_a_connection_is() -> None:
    assert "flt_" not in repr(Connection("http://127.0.0.1", "flt_secret", "flt_operator"))


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("http://127.0.0.1:4566/x", True),
        ("http://localhost:4566", True),
        ("http://1a2b.execute-api.localhost:4566", True),
        ("http://[::1]:4566", True),
        ("https://1a2b.execute-api.us-east-1.amazonaws.com", False),
        ("https://localhost.example.com", False),
    ],
)
def test_only_loopback_is_this_machine(url: str, here: bool) -> None:
    assert Connection(url, "flt_x", "flt_x").on_this_machine is here
