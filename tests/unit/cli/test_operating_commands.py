"""The commands for who operates a fleet: dead letters, lanes, pauses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from cli.__main__ import main
from tests.unit.cli.fake_api import CONNECTION, FakeApi

LETTER = {
    "task_id": "tsk_1",
    "tenant": "acme",
    "agent": "a.b",
    "lane": "batch",
    "cause": "boom: it broke at <n>",
    "fingerprint": "0123456789abcdef",
    "message": "it broke at 17",
    "attempts": 4,
    "dead_lettered_at": "2026-11-21T09:00:00.100Z",
}
UNREADABLE = LETTER | {"task_id": None, "agent": None, "message": None, "reason": "no log", "message_id": "m-1"}


def typed(api: FakeApi, *arguments: str) -> int:
    return main(arguments, connection=CONNECTION, transport=api.transport)


def page(*items: object) -> httpx.Response:
    return httpx.Response(200, json={"items": items, "next_cursor": None})


def redriven(*task_ids: str, outcome: str = "redriven", next_cursor: str | None = None) -> httpx.Response:
    items = [{"task_id": task_id, "agent": "a.b", "cause": "boom", "outcome": outcome} for task_id in task_ids]
    return httpx.Response(200, json={"items": items, "next_cursor": next_cursor})


def bodies(api: FakeApi) -> list[Any]:
    return [json.loads(request.content) for request in api.requests]


def test_operating_commands_use_the_operators_key() -> None:
    api = FakeApi(page(), page(), page(LETTER))
    for arguments in (["lanes"], ["dlq", "groups"], ["dlq", "list"]):
        assert typed(api, *arguments) == 0
    assert {request.headers["authorization"] for request in api.requests} == {"Bearer flt_operator"}


@pytest.mark.parametrize(
    ("arguments", "path", "state"),
    [
        (["pause", "fleet", "--reason", "fire"], "/v1/fleet/state", "paused"),
        (["pause", "lane", "batch", "--reason", "fire"], "/v1/lanes/batch/state", "paused"),
        (["resume", "agent", "a.b", "--reason", "fire"], "/v1/agents/a.b/state", "active"),
    ],
)
def test_pause_and_resume_set_a_state(arguments: list[str], path: str, state: str) -> None:
    api = FakeApi(httpx.Response(200, json={}))
    assert typed(api, *arguments) == 0
    assert api.calls == [f"PUT {path}"]
    assert bodies(api) == [{"state": state, "reason": "fire"}]


@pytest.mark.parametrize("arguments", [["pause", "lane"], ["resume", "fleet", "batch"]])
def test_a_pause_of_nothing_in_particular_is_refused(arguments: list[str]) -> None:
    api = FakeApi()
    assert typed(api, *arguments) == 2
    assert api.calls == []


def test_dead_letters_are_listed_with_those_nobody_can_read(capsys: pytest.CaptureFixture[str]) -> None:
    assert typed(FakeApi(page(LETTER, UNREADABLE)), "dlq", "list", "--agent", "a.b") == 0
    printed = capsys.readouterr().out
    assert "tsk_1" in printed
    assert "m-1" in printed.replace("\n", "")


def test_groups_are_printed_with_what_to_redrive_them_by(capsys: pytest.CaptureFixture[str]) -> None:
    group = {"agent": "a.b", "cause": "boom", "count": 12, "newest_at": "2026-11-21", "sample_task_id": "tsk_1"}
    assert typed(FakeApi(page(group)), "dlq", "groups", "--json") == 0
    assert json.loads(capsys.readouterr().out) == [group]


def test_redrive_goes_on_until_nothing_is_left(capsys: pytest.CaptureFixture[str]) -> None:
    api = FakeApi(redriven("tsk_1", next_cursor="more"), redriven("tsk_2"))
    assert typed(api, "dlq", "redrive", "--agent", "a.b", "--cause", "c", "--rate", "5", "--json") == 0
    assert [item["task_id"] for item in json.loads(capsys.readouterr().out)] == ["tsk_1", "tsk_2"]
    first = {"filter": {"agent": "a.b", "cause": "c"}, "dry_run": False, "rate_per_second": 5.0}
    assert bodies(api) == [first, first | {"cursor": "more"}]


def test_a_dry_run_redrives_nothing_and_says_what_it_would() -> None:
    api = FakeApi(redriven("tsk_1", outcome="would_redrive"))
    assert typed(api, "dlq", "redrive", "--all", "--dry-run") == 0
    assert bodies(api) == [{"filter": {}, "dry_run": True}]


def test_one_task_is_redriven_with_a_corrected_input(tmp_path: Path) -> None:
    (tmp_path / "input.json").write_text('{"value": 1}', encoding="utf-8")
    api = FakeApi(redriven("tsk_1"))
    assert typed(api, "dlq", "redrive", "tsk_1", "--input", f"@{tmp_path}/input.json") == 0
    assert bodies(api) == [{"ids": ["tsk_1"], "input": {"value": 1}, "dry_run": False}]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["tsk_1", "--all"],
        ["--all", "--agent", "a.b"],
        ["tsk_1", "tsk_2", "--input", "{}"],
        ["--all", "--input", "{}"],
    ],
)
def test_a_redrive_that_is_not_clear_about_what_is_refused(arguments: list[str]) -> None:
    api = FakeApi()
    assert typed(api, "dlq", "redrive", *arguments) == 2
    assert api.calls == []


def test_a_redrive_that_failed_for_one_fails() -> None:
    assert typed(FakeApi(redriven("tsk_1", outcome="failed")), "dlq", "redrive", "tsk_1") == 1
