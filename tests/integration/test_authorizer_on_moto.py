"""The authorizer's handler over the real table: who is let in as whom, and nobody when in doubt."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from flotilla.clock import SystemClock
from flotilla.dynamo.api_keys import partition_key
from flotilla.runtime import clients
from flotilla.runtime.settings import AuthorizerSettings
from functions.authorizer.handler import identifier, respond
from functions.authorizer.identify import Identifier
from tests.gateway_events import http_event
from tests.integration.conftest import FleetOnMoto

KEY = "flt_" + "k" * 40


def add_key(fleet: FleetOnMoto, raw_key: str, expires_at: int | None = None) -> None:
    item: dict[str, Any] = {
        "pk": {"S": partition_key(raw_key)},
        "sk": {"S": "KEY"},
        "key_id": {"S": "key-1"},
        "tenant": {"S": "acme"},
        "scopes": {"L": [{"S": "tasks:write"}, {"S": "tasks:read"}]},
        "created_at_ms": {"N": "1"},
    }
    if expires_at is not None:
        item["expires_at"] = {"N": str(expires_at)}
    clients.dynamodb().put_item(TableName=fleet.control_table, Item=item)


@pytest.fixture
def deployed(fleet: FleetOnMoto) -> Identifier:
    return identifier(
        AuthorizerSettings.from_environment({"FLOTILLA_NAME": "fleet", "FLOTILLA_CONTROL_TABLE": fleet.control_table})
    )


def outcome(deployed: Identifier, authorization: str | None) -> dict[str, str]:
    headers = {} if authorization is None else {"authorization": authorization}
    answer = respond(lambda: deployed, http_event("GET", "/v1/agents", headers=headers))
    json.dumps(answer)
    assert answer["isAuthorized"] is True
    context: dict[str, str] = answer["context"]
    assert all(isinstance(value, str) for value in context.values())
    return context


def test_a_known_key_is_its_tenants_and_is_read_once(fleet: FleetOnMoto, deployed: Identifier) -> None:
    add_key(fleet, KEY)
    fleet.calls.clear()
    expected = {"outcome": "ok", "key_id": "key-1", "tenant": "acme", "scopes": "tasks:read tasks:write"}
    for _ in range(3):
        assert outcome(deployed, f"Bearer {KEY}") == expected
    assert fleet.calls == ["GetItem"]


@pytest.mark.parametrize(
    ("authorization", "expected"),
    [(None, "missing"), ("Basic eDp5", "malformed"), ("Bearer " + "x" * 5000, "malformed"), ("Bearer nope", "unknown")],
)
def test_what_is_no_known_key_is_told_apart(deployed: Identifier, authorization: str | None, expected: str) -> None:
    assert outcome(deployed, authorization) == {"outcome": expected}


def test_an_expired_key_is_unknown(fleet: FleetOnMoto, deployed: Identifier) -> None:
    add_key(fleet, KEY, expires_at=SystemClock().now_ms() // 1000 - 1)
    assert outcome(deployed, f"Bearer {KEY}") == {"outcome": "unknown"}


def test_when_the_table_does_not_answer_nobody_is_let_in_and_nobody_is_turned_away(
    fleet: FleetOnMoto, deployed: Identifier
) -> None:
    clients.dynamodb().delete_table(TableName=fleet.control_table)
    assert outcome(deployed, f"Bearer {KEY}") == {"outcome": "unavailable"}


def test_a_record_that_cannot_be_read_lets_nobody_in(fleet: FleetOnMoto, deployed: Identifier) -> None:
    item = {"pk": {"S": partition_key(KEY)}, "sk": {"S": "KEY"}}
    clients.dynamodb().put_item(TableName=fleet.control_table, Item=item)
    assert outcome(deployed, f"Bearer {KEY}") == {"outcome": "unavailable"}


def test_an_authorizer_that_cannot_be_set_up_lets_nobody_in() -> None:
    def unset() -> Identifier:
        raise ValueError("FLOTILLA_CONTROL_TABLE is missing")

    assert respond(unset, {}) == {"isAuthorized": True, "context": {"outcome": "unavailable"}}


def test_no_key_is_logged(fleet: FleetOnMoto, deployed: Identifier, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="flotilla")
    add_key(fleet, KEY)
    outcome(deployed, f"Bearer {KEY}")
    outcome(deployed, f"Bearer {KEY}x")
    outcome(deployed, f"{KEY}")
    own = [record.__dict__ for record in caplog.records if record.name.startswith("flotilla")]
    assert [record["outcome"] for record in own] == ["ok", "unknown", "malformed"]
    assert "k" * 40 not in str(own)
