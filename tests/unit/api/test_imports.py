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


@pytest.mark.parametrize("function", ["api", "authorizer"])
def test_importing_the_handler_imports_nothing_that_only_some_requests_need(function: str) -> None:
    code = f"import sys; import functions.{function}.handler; print(*sys.modules)"
    path = f"{ROOT}:{ROOT / 'layers/flotilla/python'}"
    out = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": path}, capture_output=True, text=True, check=True
    ).stdout
    assert not NEVER & set(out.split())
    assert f"functions.{function}.handler" in out.split()
