"""What a worker's cold start imports. A time would depend on the machine; what is imported does not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]

WITH_THE_FIRST_CALL = {
    "anyio",
    "flotilla.dynamo.buckets",
    "flotilla.dynamo.budgets",
    "flotilla.dynamo.circuits",
    "flotilla.integrations.client",
    "flotilla.bedrock",
    "flotilla.integrations.desk",
    "flotilla.llm",
    "flotilla.llm_ports",
    "flotilla.outbound",
    "flotilla.secretsmanager",
    "flotilla.services.budgets",
    "flotilla.services.model_protection",
    "flotilla.services.models",
    "flotilla.services.protection",
    "h11",
    "httpcore",
    "httpx",
}
"""What only calls to integrations and models need, and most tasks make none."""

ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "none",
    "AWS_SECRET_ACCESS_KEY": "none",
    "AWS_DEFAULT_REGION": "us-east-1",
    "FLOTILLA_NAME": "flotilla",
    "FLOTILLA_EVENTS_TABLE": "events",
    "FLOTILLA_CONTROL_TABLE": "control",
    "FLOTILLA_PAYLOADS_BUCKET": "payloads",
    "FLOTILLA_INLINE_PAYLOAD_BYTES": "32768",
    "FLOTILLA_RETENTION_DAYS": "30",
    "FLOTILLA_SESSION_DAYS": "30",
    "FLOTILLA_LANE": "standard",
    "FLOTILLA_DEFAULT_LANE": "standard",
    "FLOTILLA_LANES": '{"standard": {"queue_url": "http://127.0.0.1/lane", "dlq_url": "http://127.0.0.1/dlq"}}',
    "FLOTILLA_DELAYS": '{"1": {"queue_url": "http://127.0.0.1/1", "queue_arn": "arn:1"}}',
}


def imported_by(code: str) -> set[str]:
    program = f"import sys; from functions.worker import handler; {code}; print(*sys.modules)"
    path = f"{ROOT}:{ROOT / 'layers/flotilla/python'}"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=ENVIRONMENT | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


def test_a_cold_start_imports_nothing_that_only_calls_need() -> None:
    assert not WITH_THE_FIRST_CALL & imported_by("pass")


def test_what_calls_need_is_there_when_the_first_is_made_and_http_comes_with_its_first_request() -> None:
    imported = imported_by("handler._calling().integrations()")
    assert "flotilla.services.protection" in imported
    assert not {"httpx", "httpcore", "anyio"} & imported, "they are loaded on a thread, while others work on"


def test_what_models_need_is_there_when_the_first_is_called_and_no_provider_before_it_serves() -> None:
    imported = imported_by("handler._calling().models()")
    assert {"flotilla.services.models", "flotilla.llm.declaration"} <= imported
    assert not {"flotilla.bedrock.converse", "flotilla.llm.openai_compatible", "httpx"} & imported
