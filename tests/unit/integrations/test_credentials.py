"""Secrets are read seldom, renewed when they may have changed, and shown to nobody."""

from __future__ import annotations

import asyncio
import base64
import json

import pytest

from flotilla.errors import ParkedError, StoreUnavailableError
from flotilla.integrations.credentials import KEEP_MS, Credentials
from flotilla.integrations.declaration import Auth
from tests.fakes import ManualClock
from tests.fakes.integrations import MemorySecrets

BEARER = Auth("bearer", "crm")


class Desk:
    def __init__(self, **texts: str) -> None:
        self.clock = ManualClock()
        self.secrets = MemorySecrets(dict(texts))
        self.credentials = Credentials(self.secrets, self.clock)

    def headers(self, auth: Auth | None = BEARER) -> dict[str, str]:
        return dict(asyncio.run(self.credentials.headers(auth)))


def basic(text: str) -> str:
    return f"Basic {base64.b64encode(text.encode()).decode()}"


@pytest.mark.parametrize(
    ("auth", "secret", "expected"),
    [
        (BEARER, "t0ken", {"authorization": "Bearer t0ken"}),
        (BEARER, "t0ken\n", {"authorization": "Bearer t0ken"}),
        (Auth("bearer", "crm", field="key"), json.dumps({"key": "k"}), {"authorization": "Bearer k"}),
        (Auth("header", "crm", header="X-Api-Key"), "k", {"x-api-key": "k"}),
        (Auth("basic", "crm"), "user:pass word", {"authorization": basic("user:pass word")}),
        (
            Auth("basic", "crm"),
            json.dumps({"username": "größe", "password": "p:q"}),
            {"authorization": basic("größe:p:q")},
        ),
    ],
)
def test_schemes(auth: Auth, secret: str, expected: dict[str, str]) -> None:
    assert Desk(crm=secret).headers(auth) == expected


@pytest.mark.parametrize(
    ("auth", "secret"),
    [
        (BEARER, "a\r\nx: y"),
        (BEARER, ""),
        (BEARER, "größe"),
        (Auth("bearer", "crm", field="key"), "{}"),
        (Auth("bearer", "crm", field="key"), "plain"),
        (Auth("bearer", "crm", field="key"), '{"key": 1}'),
        (Auth("basic", "crm"), "nothing"),
        (Auth("bearer", "missing"), "x"),
    ],
)
def test_work_waits_for_a_secret_that_can_be_sent_and_the_error_does_not_tell_it(auth: Auth, secret: str) -> None:
    with pytest.raises(ParkedError) as refusal:
        Desk(crm=secret).headers(auth)
    assert refusal.value.code == "integration_secret"
    assert not secret or secret not in refusal.value.message


def test_without_authentication_nothing_is_read() -> None:
    desk = Desk()
    assert desk.headers(None) == {}
    assert desk.secrets.reads == 0


def test_many_at_once_are_one_read_and_later_ones_none_until_it_is_old() -> None:
    desk = Desk(crm="one")

    async def many() -> None:
        await asyncio.gather(*(desk.credentials.headers(BEARER) for _ in range(20)))

    asyncio.run(many())
    desk.clock.advance((KEEP_MS - 1) / 1000)
    assert desk.headers() == {"authorization": "Bearer one"}
    assert desk.secrets.reads == 1
    desk.secrets.texts["crm"] = "two"
    desk.clock.advance(0.001)
    assert desk.headers() == {"authorization": "Bearer two"}


def test_what_is_known_is_used_on_while_the_store_is_down() -> None:
    desk = Desk(crm="one")
    desk.headers()
    desk.secrets.down = True
    desk.clock.advance(KEEP_MS / 1000)
    assert desk.headers() == {"authorization": "Bearer one"}
    assert desk.headers() == {"authorization": "Bearer one"}
    assert desk.secrets.reads == 2, "and it is not asked for every call"


def test_a_store_that_was_down_from_the_beginning_is_said_to_be() -> None:
    desk = Desk(crm="one")
    desk.secrets.down = True
    with pytest.raises(StoreUnavailableError):
        desk.headers()


def test_a_refused_call_renews_the_secret_but_not_again_and_again() -> None:
    desk = Desk(crm="one")
    assert not desk.credentials.renewed(BEARER), "it was never read"
    desk.headers()
    assert not desk.credentials.renewed(BEARER), "it was just read"
    desk.secrets.texts["crm"] = "two"
    desk.clock.advance(10)
    assert desk.credentials.renewed(BEARER)
    assert desk.headers() == {"authorization": "Bearer two"}
    assert not desk.credentials.renewed(BEARER)
    assert not desk.credentials.renewed(None)


def test_nothing_that_holds_a_secret_shows_it() -> None:
    desk = Desk(crm="very-secret")
    desk.headers()
    assert "very-secret" not in repr(desk.credentials._known)
