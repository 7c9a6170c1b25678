"""The codes that states can meet are all that the code has, and no others."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from flotilla.workflows.errors import BUILT_IN

LIBRARY = Path(__file__).parents[3] / "layers" / "flotilla" / "python" / "flotilla"

WAITED_FOR = {
    "agent_not_loadable",
    "budget_spent",
    "circuit_open",
    "integration_crowded",
    "integration_secret",
    "late_start",
    "limited",
    "model_crowded",
    "model_misconfigured",
    "model_secret",
    "model_throttled",
    "parked",
    "store_unavailable",
    "suspended",
    "throttled",
}
"""A task waits for these to pass, and does not end."""

NOT_OF_ATTEMPTS = {
    "attempt_revoked": "the task is another worker's, and goes on there",
    "corrupt_log": "its message is put aside",
    "entry_of_later_version": "of the read model",
    "event_of_later_version": "a newer worker goes on with it",
    "forbidden_destination": "of webhooks",
    "forbidden_url": "of webhooks",
    "input_too_long": "of runs, which have no states yet",
    "left_out": "whoever is left out asks alone",
    "log_contended": "of those who are not workers",
    "no_workflows": "another worker goes on with it",
    "not_ready": "of the API's health",
    "not_redrivable": "of redrives",
    "runs_elsewhere": "of runs",
    "too_many_endpoints": "of webhooks",
    "unknown_workflow": "of runs",
    "unreadable_message": "it is put aside",
    "unresolved": "told as what was called that could not be reached",
}


def codes() -> Iterator[str]:
    """Every code that is written in the library, but those of the API, which have hyphens."""
    for path in LIBRARY.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            value = None
            if (isinstance(node, ast.keyword) and node.arg == "code") or (
                isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) == "default_code"
            ):
                value = node.value
            if isinstance(value, ast.Constant) and isinstance(value.value, str) and "-" not in value.value:
                yield value.value


@pytest.mark.parametrize("code", sorted(set(codes())))
def test_every_code_is_one_that_states_can_meet_or_ends_no_task(code: str) -> None:
    of_stores = code.endswith("_unavailable") and code != "model_unavailable"
    of_webhooks = code.startswith("webhook_")
    others = of_stores or of_webhooks or code in WAITED_FOR or code in NOT_OF_ATTEMPTS
    assert (code in BUILT_IN) != others


def test_no_built_in_code_is_step_functions_own() -> None:
    assert not [code for code in BUILT_IN if code.startswith("States.") or len(code) > 64]


def test_every_code_has_one_line() -> None:
    assert all(meaning and "\n" not in meaning and meaning[0].islower() for meaning in BUILT_IN.values())
