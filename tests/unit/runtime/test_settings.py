"""What a function is told is checked once, and an error names the variable."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from flotilla.runtime.settings import (
    ApiSettings,
    AuthorizerSettings,
    CanarySettings,
    ReconcilerSettings,
    RecorderSettings,
    RelaySettings,
    TriageSettings,
    WorkerSettings,
)

LANES = {"fast": {"queue_url": "https://q/fast.fifo", "dlq_url": "https://q/fast-dlq.fifo"}}
DELAYS = {"15": {"queue_url": "https://q/delay-15.fifo", "queue_arn": "arn:aws:sqs:::delay-15.fifo"}}
SCHEDULES = {"group": "fleet", "role_arn": "arn:aws:iam:::role/fleet", "target_arn": "arn:aws:sqs:::delay-15.fifo"}

ENVIRONMENT = {
    "FLOTILLA_NAME": "fleet",
    "FLOTILLA_EVENTS_TABLE": "fleet-events",
    "FLOTILLA_CONTROL_TABLE": "fleet-control",
    "FLOTILLA_PAYLOADS_BUCKET": "fleet-payloads",
    "FLOTILLA_INLINE_PAYLOAD_BYTES": "32768",
    "FLOTILLA_RETENTION_DAYS": "30",
    "FLOTILLA_LANES": json.dumps(LANES),
    "FLOTILLA_LANE": "fast",
    "FLOTILLA_DEFAULT_LANE": "fast",
    "FLOTILLA_VIEWS_TABLE": "fleet-views",
    "FLOTILLA_DELAYS": json.dumps(DELAYS),
    "FLOTILLA_DELAYS_DLQ_URL": "https://q/delays-dlq.fifo",
    "FLOTILLA_SCHEDULES": json.dumps(SCHEDULES),
    "FLOTILLA_SESSION_DAYS": "30",
    "FLOTILLA_ARCHIVE_BUCKET": "fleet-archive",
    "FLOTILLA_WEBHOOK_ALLOW": "[]",
    "FLOTILLA_STATE_MACHINES": "arn:aws:states:us-east-1:123456789012:stateMachine:fleet-",
    "FLOTILLA_WORKERS": '{"fast": {"function": "fleet-worker-fast", "maximum_concurrency": 5}}',
    "FLOTILLA_CANARY": '{"period_seconds": 300, "patience_seconds": {"fast": 300}, "scheduled": true}',
    "PATH": "/bin",
}

Settings = (
    type[ApiSettings]
    | type[AuthorizerSettings]
    | type[CanarySettings]
    | type[ReconcilerSettings]
    | type[RecorderSettings]
    | type[RelaySettings]
    | type[TriageSettings]
    | type[WorkerSettings]
)

SETTINGS = [
    ApiSettings,
    AuthorizerSettings,
    CanarySettings,
    ReconcilerSettings,
    RecorderSettings,
    RelaySettings,
    TriageSettings,
    WorkerSettings,
]


def test_each_function_reads_what_it_needs() -> None:
    api = ApiSettings.from_environment(ENVIRONMENT)
    assert (api.events_table, api.control_table, api.inline_payload_bytes) == ("fleet-events", "fleet-control", 32768)
    assert api.lanes["fast"].dlq_url == "https://q/fast-dlq.fifo"
    worker = WorkerSettings.from_environment(ENVIRONMENT)
    assert worker.lanes[worker.lane].queue_url == "https://q/fast.fifo"
    assert AuthorizerSettings.from_environment(ENVIRONMENT).control_table == "fleet-control"
    assert list(RelaySettings.from_environment(ENVIRONMENT).delays) == [15]
    assert ReconcilerSettings.from_environment(ENVIRONMENT).schedules.group == "fleet"


@pytest.mark.parametrize("settings", SETTINGS)
def test_settings_cannot_be_changed(settings: Settings) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        setattr(settings.from_environment(ENVIRONMENT), "name", "other")  # noqa: B010 - a type checker refuses it


@pytest.mark.parametrize("settings", SETTINGS)
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


@pytest.mark.parametrize("settings", [ApiSettings, WorkerSettings])
def test_a_fleet_may_have_no_bus_but_none_without_a_name(settings: Settings) -> None:
    assert settings.from_environment(ENVIRONMENT).model_dump()["event_bus"] is None
    with pytest.raises(ValidationError, match="FLOTILLA_EVENT_BUS"):
        settings.from_environment(ENVIRONMENT | {"FLOTILLA_EVENT_BUS": ""})


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("FLOTILLA_INLINE_PAYLOAD_BYTES", "-1"),
        ("FLOTILLA_RETENTION_DAYS", "0"),
        ("FLOTILLA_RETENTION_DAYS", "long"),
        ("FLOTILLA_LANES", "{"),
        ("FLOTILLA_LANES", '{"fast": {"queue_url": "q"}}'),
        ("FLOTILLA_DEFAULT_LANE", "slow"),
        ("FLOTILLA_DELAYS", "{}"),
        ("FLOTILLA_DELAYS", '{"soon": {"queue_url": "q", "queue_arn": "a"}}'),
        ("FLOTILLA_DELAYS", '{"15": {"queue_url": "q"}}'),
        ("FLOTILLA_SCHEDULES", '{"group": "fleet"}'),
        ("FLOTILLA_WORKERS", '{"slow": {"function": "fleet-worker-slow", "maximum_concurrency": 5}}'),
        ("FLOTILLA_WEBHOOK_ALLOW", '"localhost"'),
    ],
)
def test_what_cannot_be_right_is_refused(variable: str, value: str) -> None:
    with pytest.raises(ValidationError, match=variable):
        ApiSettings.from_environment(ENVIRONMENT | {variable: value})


@pytest.mark.parametrize("settings", SETTINGS)
def test_an_error_repeats_nothing_of_the_environment(settings: Settings) -> None:
    with pytest.raises(ValidationError) as wrong:
        settings.from_environment({"AWS_SECRET_ACCESS_KEY": "private", "FLOTILLA_LANES": '{"fast": "private"}'})
    assert "private" not in str(wrong.value)


def test_a_worker_must_serve_a_lane_that_exists() -> None:
    with pytest.raises(ValidationError, match="FLOTILLA_LANE is 'slow'"):
        WorkerSettings.from_environment(ENVIRONMENT | {"FLOTILLA_LANE": "slow"})
