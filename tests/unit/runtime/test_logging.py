"""Lines of the log: which invocations say more, and which trace each line is part of."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.synthesis import REPOSITORY

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
SCENE = f"""
import logging
from flotilla import trace_context
from flotilla.runtime import logging as ours

for _ in range(200):
    ours.configured()
    logger = logging.getLogger("flotilla.worker")
    logger.debug("said more")
    logger.info("said")
    for name in ("httpx", "botocore.endpoint"):
        logging.getLogger(name).info("what was sent")
with trace_context.carried("00-{TRACE_ID}-00f067aa0ba902b7-01"):
    logger.info("traced")
    logger.info("traced otherwise", extra={{"trace_id": "its own"}})
"""


def lines(**environment: str) -> list[dict[str, str]]:
    """What a process writes that is told this."""
    library = REPOSITORY / "layers" / "flotilla" / "python"
    told = {"PYTHONPATH": str(library), "POWERTOOLS_SERVICE_NAME": "worker", "POWERTOOLS_LOG_LEVEL": "INFO"}
    ended = subprocess.run(
        [sys.executable, "-c", SCENE], env=told | environment, capture_output=True, text=True, check=True, timeout=60
    )
    assert ended.stderr == ""
    return [json.loads(line) for line in ended.stdout.splitlines()]


def said(found: list[dict[str, str]]) -> dict[str, int]:
    messages = [line["message"] for line in found]
    return {message: messages.count(message) for message in messages}


def test_a_line_says_its_trace_and_libraries_say_nothing() -> None:
    found = lines()
    assert said(found) == {"said": 200, "traced": 1, "traced otherwise": 1}
    assert [line.get("trace_id") for line in found[-3:]] == [None, TRACE_ID, "its own"]


@pytest.mark.parametrize(("share", "least", "most"), [("1", 200, 200), ("0.3", 30, 90)])
def test_a_share_of_invocations_says_more(share: str, least: int, most: int) -> None:
    # Where some are to say more, Lambda's own filter lets it pass, and tells Powertools so.
    found = said(lines(FLOTILLA_DEBUG_SHARE=share, AWS_LAMBDA_LOG_LEVEL="DEBUG"))
    assert least <= found.pop("said more") <= most
    assert found == {"said": 200, "traced": 1, "traced otherwise": 1}
