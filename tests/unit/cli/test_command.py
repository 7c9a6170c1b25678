"""The command: what is typed, what is printed, and how it ends."""

from __future__ import annotations

import io
import json
from pathlib import Path

import httpx
import pytest

from cli.__main__ import main
from tests.unit.cli.fake_api import CONNECTION, FakeApi, finished, problem

EVENTS = [
    {
        "seq": number,
        "kind": kind,
        "at": "2026-11-21T09:00:00.100Z",
        "actor": "key:key_1",
        "attempt": number,
        "hash": f"{number}" * 64,
        "prev_hash": "0" * 64,
        "lane": "standard",
    }
    for number, kind in enumerate(["accepted", "started", "succeeded"])
]
AGENTS = [
    {
        "name": "document.analyze",
        "version": "1",
        "lane": "standard",
        "input_schema": {"properties": {"text": {}, "name": {}}, "required": ["text"]},
        "output_schema": {},
        "integrations": [],
    }
]


def typed(api: FakeApi, *arguments: str) -> int:
    return main(arguments, connection=CONNECTION, transport=api.transport)


def listing(items: object) -> httpx.Response:
    return httpx.Response(200, json={"items": items, "next_cursor": None})


def test_submit_makes_an_input_of_members(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "text.txt").write_text("Größe = 1:2", encoding="utf-8")
    api = FakeApi()
    arguments = [f"text=@{tmp_path}/text.txt", "name=a=b", "pages:=3", 'tags:=["x"]', "--json", "--key", "k"]
    assert typed(api, "submit", "a.b", *arguments) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["status"] == "queued"
    assert api.tasks[printed["id"]] == {
        "agent": "a.b",
        "input": {"text": "Größe = 1:2", "name": "a=b", "pages": 3, "tags": ["x"]},
    }
    assert api.requests[0].headers["idempotency-key"] == "k"


def test_submit_takes_the_whole_input_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    api = FakeApi()
    assert typed(api, "submit", "a.b", "--input", "[1, null]", "--json") == 0
    assert api.tasks[json.loads(capsys.readouterr().out)["id"]]["input"] == [1, None]


def test_submit_reads_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO('{"from": "a pipe"}'))
    api = FakeApi()
    assert typed(api, "submit", "a.b", "--input", "@-") == 0
    assert [task["input"] for task in api.tasks.values()] == [{"from": "a pipe"}]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["plain"],
        ["n:=not json"],
        ["n=@no/such/file"],
        ["a=1", "--input", "{}"],
        ["--input", "{"],
        ["--input", "[" * 99999],
    ],
)
def test_an_input_that_cannot_be_read_is_refused_before_any_call(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    api = FakeApi()
    assert typed(api, "submit", "a.b", *arguments) == 2
    assert api.calls == []
    assert capsys.readouterr().err.startswith("error: ")


def test_a_replay_is_told_beside_the_result(capsys: pytest.CaptureFixture[str]) -> None:
    api = FakeApi()
    for _ in range(2):
        assert typed(api, "submit", "a.b", "x=1", "--key", "k", "--json") == 0
    captured = capsys.readouterr()
    assert "an earlier submit with this key made the task" in captured.err
    assert "earlier" not in captured.out


def test_waiting_ends_well_only_if_the_task_does(capsys: pytest.CaptureFixture[str]) -> None:
    api = FakeApi()
    assert typed(api, "submit", "a.b", "name=good", "--wait") == 0
    assert "Permission is" in capsys.readouterr().out
    error = {"code": "told_to_fail", "message": "told to fail", "retryable": False}
    api.ends["bad"] = {"status": "dead_lettered", "output": None, "error": error}
    assert typed(api, "submit", "a.b", "name=bad", "--wait", "30") == 1
    captured = capsys.readouterr()
    assert "told_to_fail: told to fail" in captured.out
    assert captured.err == "the task is dead_lettered\n"


def test_get_shows_a_task_without_waiting(capsys: pytest.CaptureFixture[str]) -> None:
    task = finished("tsk_1", status="running", finished_at=None, output=None, session="s [red]x[/]", usage={})
    api = FakeApi(httpx.Response(200, json=task))
    assert typed(api, "get", "tsk_1") == 0
    assert api.calls == ["GET /v1/tasks/tsk_1"]
    printed = capsys.readouterr().out
    assert all(
        text in printed for text in ("tsk_1", "running", "document.analyze @ 1", "session s [red]x[/]", "1 of 4")
    )


def test_get_of_a_finished_task_does_not_ask_twice() -> None:
    api = FakeApi(httpx.Response(200, json=finished("tsk_1")))
    assert typed(api, "get", "tsk_1", "--wait") == 0
    assert len(api.calls) == 1


def test_events_show_the_log_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    assert typed(FakeApi(listing(EVENTS)), "events", "tsk_1") == 0
    printed = capsys.readouterr().out
    assert printed.index("accepted") < printed.index("started") < printed.index("succeeded")
    assert typed(FakeApi(listing(EVENTS)), "events", "tsk_1", "--json") == 0
    assert json.loads(capsys.readouterr().out) == EVENTS


def test_agents_are_listed_with_what_they_take(capsys: pytest.CaptureFixture[str]) -> None:
    assert typed(FakeApi(listing(AGENTS)), "agents") == 0
    printed = capsys.readouterr().out
    assert "document.analyze" in printed
    assert "text [name]" in printed
    assert typed(FakeApi(listing(AGENTS)), "agents", "--json") == 0
    assert json.loads(capsys.readouterr().out) == AGENTS


def test_a_refusal_is_one_clear_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert typed(FakeApi(problem(404, "not-found")), "get", "tsk_none") == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "error: 404 not-found: What to do about it.\n  request req-1\n"


def test_a_command_that_does_not_exist_is_a_usage_error() -> None:
    with pytest.raises(SystemExit, match="2"):
        typed(FakeApi(), "launch")
