"""What the broadcaster and the webhook function are told, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from flotilla.models import Status
from flotilla.runtime.settings import BroadcasterSettings, WebhookSettings

BROADCAST: dict[str, Any] = {"transitions": ["succeeded", "parked"], "event_bus": "fleet", "topic_arn": None}

ENVIRONMENT = {
    "FLOTILLA_NAME": "fleet",
    "FLOTILLA_EVENTS_TABLE": "fleet-events",
    "FLOTILLA_CONTROL_TABLE": "fleet-control",
    "FLOTILLA_PAYLOADS_BUCKET": "fleet-payloads",
    "FLOTILLA_VIEWS_TABLE": "fleet-views",
    "FLOTILLA_STATE_MACHINES": "arn:aws:states:us-east-1:123456789012:stateMachine:fleet-",
    "FLOTILLA_RETENTION_DAYS": "30",
    "FLOTILLA_BROADCAST": json.dumps(BROADCAST),
    "FLOTILLA_WEBHOOKS_QUEUE_URL": "https://q/webhooks",
    "FLOTILLA_WEBHOOKS_DLQ_URL": "https://q/webhooks-dlq",
    "FLOTILLA_WEBHOOK_ALLOW": '["127.0.0.1"]',
}

Settings = type[BroadcasterSettings] | type[WebhookSettings]


def test_each_function_reads_what_it_needs() -> None:
    told = BroadcasterSettings.from_environment(ENVIRONMENT).broadcast
    assert told.transitions == {Status.SUCCEEDED, Status.PARKED}
    assert (told.event_bus, told.topic_arn) == ("fleet", None)
    assert WebhookSettings.from_environment(ENVIRONMENT).allow == {"127.0.0.1"}


@pytest.mark.parametrize("settings", [BroadcasterSettings, WebhookSettings])
def test_each_missing_variable_is_named(settings: Settings) -> None:
    for field in settings.model_fields.values():
        if not field.is_required():
            continue
        variable = str(field.validation_alias)
        for wrong in (
            {name: value for name, value in ENVIRONMENT.items() if name != variable},
            ENVIRONMENT | {variable: ""},
        ):
            with pytest.raises(ValidationError, match=variable):
                settings.from_environment(wrong)


@pytest.mark.parametrize(
    "broadcast",
    [
        BROADCAST | {"transitions": ["finished"]},
        BROADCAST | {"transitions": "succeeded"},
        BROADCAST | {"event_bus": ""},
        {"transitions": []},
    ],
)
def test_a_broadcast_that_cannot_be_is_refused(broadcast: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="FLOTILLA_BROADCAST"):
        BroadcasterSettings.from_environment(ENVIRONMENT | {"FLOTILLA_BROADCAST": json.dumps(broadcast)})
