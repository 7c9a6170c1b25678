"""What a cold start imports. A time would depend on the machine; what is imported does not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

# Heavy, and needed by a few requests or by none.
NEVER = {
    "aws_lambda_powertools.event_handler",
    "aws_lambda_powertools.utilities.idempotency",
    "boto3",
    "botocore.session",
    "flotilla.agents.context",
    "flotilla.agents.decorator",
    "functions.worker",
    "httpx",
    "jsonschema_rs",
    "jsonschema",
}


# Not heavy each by itself; a cold start that takes tasks has use for none of them.
RARE = {
    "flotilla.cloudwatch.lane_meter",
    "flotilla.dynamo.buckets",
    "flotilla.dynamo.circuits",
    "flotilla.integrations",
    "flotilla.llm",
    "flotilla.outbound",
    "flotilla.services.cancel",
    "flotilla.services.dead_letters",
    "flotilla.services.endpoints",
    "flotilla.services.limit_desk",
    "flotilla.services.limits",
    "flotilla.services.redrive",
    "flotilla.services.triage",
    "functions.api.batches",
    "functions.api.circuits",
    "functions.api.dead_letters",
    "functions.api.lanes",
    "functions.api.limits",
    "functions.api.protected",
    "functions.api.operations",
    "functions.api.states",
    "functions.api.webhooks",
}


def imported_with(function: str) -> set[str]:
    code = f"import sys; import functions.{function}.handler; print(*sys.modules)"
    path = f"{ROOT}:{ROOT / 'layers/flotilla/python'}"
    out = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": path}, capture_output=True, text=True, check=True
    ).stdout
    assert f"functions.{function}.handler" in out.split()
    return set(out.split())


@pytest.mark.parametrize("function", ["api", "authorizer", "broadcaster", "triage", "webhook"])
def test_importing_the_handler_imports_nothing_that_only_some_requests_need(function: str) -> None:
    assert not NEVER & imported_with(function)


def test_the_apis_cold_start_is_that_of_a_submit() -> None:
    assert not RARE & imported_with("api")
