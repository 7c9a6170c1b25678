"""What the demo tells people to paste is pasted: into a real shell, with a `curl` that says what it was given."""

from __future__ import annotations

import json
import subprocess

import pytest

from cli.connection import Connection
from cli.next_steps import next_steps
from tests.unit.cli.fake_api import CONNECTION

_STAND_INS = "curl() { printf '%s\\0' CALL \"$@\"; }; python() { cat; printf '%s\\0' PYTHON \"$@\"; }\n"


def pasted(connection: Connection, task_id: str | None = "tsk_1", **environment: str) -> list[list[str]]:
    """The commands a shell runs when the lines are pasted, each with its arguments."""
    lines = next_steps(connection, "document.analyze", task_id, "python").removeprefix("What to try next")
    done = subprocess.run(
        ["/bin/bash", "-eu", "-c", _STAND_INS + lines],
        env={"PATH": "/usr/bin:/bin"} | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    words = done.stdout.replace("\n", "").split("\0")
    starts = [position for position, word in enumerate(words) if word in ("CALL", "PYTHON")]
    ends = [*starts[1:], len(words)]
    return [words[start:end] for start, end in zip(starts, ends, strict=True)]


def test_the_urls_dollar_sign_survives_the_shell() -> None:
    urls = [word for command in pasted(CONNECTION) for word in command if word.startswith("http")]
    assert urls == [
        f"{CONNECTION.api_url}/v1/tasks",
        f"{CONNECTION.api_url}/v1/tasks/tsk_1",
        f"{CONNECTION.api_url}/v1/tasks/tsk_1/events",
        f"{CONNECTION.api_url}/v1/agents",
    ]


def test_every_call_carries_the_key() -> None:
    calls = [command for command in pasted(CONNECTION) if command[0] == "CALL"]
    assert len(calls) == 4
    assert all("Authorization: Bearer flt_test" in call for call in calls[:3])
    assert "Authorization: Bearer flt_operator" in calls[3], "to list the agents takes an operator's key"


def test_the_submit_is_what_the_api_takes() -> None:
    call = pasted(CONNECTION)[0]
    assert {"Content-Type: application/json", "Prefer: wait=20", "Idempotency-Key: first-try"} < set(call)
    body = json.loads(call[call.index("-d") + 1])
    assert body["agent"] == "document.analyze"
    assert body["input"]["text"]


def test_the_key_of_a_real_deployment_is_not_shown() -> None:
    deployment = Connection("https://fleet.example.com", "flt_secret", "flt_secret", from_environment=True)
    assert "flt_secret" not in next_steps(deployment, "document.analyze", "tsk_1", "python")
    commands = pasted(deployment, FLOTILLA_API_URL="https://fleet.example.com/", FLOTILLA_API_KEY="flt_secret")
    assert "https://fleet.example.com/v1/tasks" in commands[0]
    assert "Authorization: Bearer flt_secret" in commands[0]


def test_without_a_task_that_succeeded_none_is_named() -> None:
    assert len([command for command in pasted(CONNECTION, None) if command[0] == "CALL"]) == 2


@pytest.mark.parametrize("value", ["it's", 'a"b', "$(touch x)", "`x`", "a b;c"])
def test_whatever_a_url_or_key_holds_is_data_to_the_shell(value: str) -> None:
    call = pasted(Connection(f"http://127.0.0.1/{value}", value, value))[0]
    assert f"http://127.0.0.1/{value}/v1/tasks" in call
    assert f"Authorization: Bearer {value}" in call


def test_lines_fit_a_narrow_terminal() -> None:
    lines = next_steps(CONNECTION, "document.analyze", f"tsk_{0:032x}", ".venv/bin/python").splitlines()
    too_long = [line for line in lines if len(line) > 82 and not line.strip().startswith("export ")]
    assert not too_long
