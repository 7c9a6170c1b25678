"""The commands about workflows."""

from __future__ import annotations

import asyncio
import io
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from rich.console import Console

from cli.__main__ import main
from cli.calls import Calls
from cli.run_tree import elapsed_of, for_a_person, tree
from cli.workflow_board import LiveBoard, PlainBoard, board_on
from cli.workflows import Run, Seen, Workflows
from tests.unit.cli.fake_api import CONNECTION, FakeApi, finished, problem

RUN_ID = "wfl_" + "1" * 32
DATE = {"Date": "Sat, 21 Nov 2026 09:05:00 GMT"}


def typed(api: FakeApi, *arguments: str) -> int:
    return main(["workflow", *arguments], connection=CONNECTION, transport=api.transport)


def step(name: str, agent: str, *, of_map: str | None = None, **counts: int) -> dict[str, Any]:
    total = sum(counts.values())
    return {
        "name": name,
        "agent": agent,
        "map": of_map,
        "status": next(iter(counts), "pending"),
        "tasks": total,
        "counts": counts,
        "task_ids": [f"tsk_{name[0].lower() * 32}" for _ in range(min(total, 20))],
        "complete": True,
    }


def run(status: str = "running", **changes: Any) -> dict[str, Any]:
    ended = status != "running"
    return {
        "id": RUN_ID,
        "workflow": "analysis",
        "version": "abc",
        "status": status,
        "created_at": "2026-11-21T09:00:00.000Z",
        "finished_at": "2026-11-21T09:02:05.000Z" if ended else None,
        "output": {"documents": 3} if status == "succeeded" else None,
        "error": None,
        "steps": [
            step("Prepare", "document.prepare", succeeded=1),
            step("Extract", "document.extract", of_map="Documents", running=2, succeeded=640),
            step("Classify", "document.classify", of_map="Documents"),
            step("Report", "document.report"),
        ],
        "maps": [{"step": "Documents", "total": 1000, "pending": 348, "running": 2, "succeeded": 638, "failed": 12}],
    } | changes


def answers(*runs: dict[str, Any]) -> list[httpx.Response]:
    return [httpx.Response(200, json=each, headers=DATE) for each in runs]


def page(*items: object, next_cursor: str | None = None) -> httpx.Response:
    return httpx.Response(200, json={"items": items, "next_cursor": next_cursor})


def drawn(run: dict[str, Any], *, width: int = 120, plain: bool = False) -> list[str]:
    written = io.StringIO()
    view: Any = run
    Console(file=written, width=width).print(tree(view, elapsed_seconds=83.0, plain=plain, wide=width >= 120))
    return [line.rstrip() for line in written.getvalue().splitlines()]


def test_run_starts_a_run_with_all_that_was_said_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    api = FakeApi(httpx.Response(202, json=run()))
    arguments = ["run", "analysis", "--input", '{"documents": []}', "--key", "k", "--lane", "batch", "--label", "a=b"]
    arguments += ["--deadline", "2030-01-01T00:00:00Z", "--budget-usd", "2.5", "--webhook", "whk_1", "--json"]
    assert typed(api, *arguments) == 0
    assert json.loads(capsys.readouterr().out)["id"] == RUN_ID
    assert api.calls == ["POST /v1/workflows/analysis"]
    assert api.requests[0].headers["idempotency-key"] == "k"
    assert json.loads(api.requests[0].content) == {
        "input": {"documents": []},
        "lane": "batch",
        "labels": {"a": "b"},
        "deadline": "2030-01-01T00:00:00Z",
        "budget_usd": 2.5,
        "webhook": "whk_1",
    }


def test_an_input_may_be_members_a_file_or_nothing(tmp_path: Path) -> None:
    file = tmp_path / "input.json"
    file.write_text('{"n": 1}', encoding="utf-8")
    for arguments, value in ((["n:=1"], {"n": 1}), (["--input", f"@{file}"], {"n": 1}), ([], {})):
        api = FakeApi(httpx.Response(202, json=run()))
        assert typed(api, "run", "analysis", *arguments) == 0
        assert json.loads(api.requests[0].content) == {"input": value}


def test_an_input_may_be_read_from_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO('{"n": 2}'))
    api = FakeApi(httpx.Response(202, json=run()))
    assert typed(api, "run", "analysis", "--input", "-") == 0
    assert json.loads(api.requests[0].content) == {"input": {"n": 2}}


def test_two_starts_without_a_key_are_two_runs() -> None:
    api = FakeApi(*(httpx.Response(202, json=run()) for _ in range(2)))
    for _ in range(2):
        assert typed(api, "run", "analysis") == 0
    first, second = (request.headers["idempotency-key"] for request in api.requests)
    assert first != second


def test_a_replay_is_said_and_is_no_failure(capsys: pytest.CaptureFixture[str]) -> None:
    api = FakeApi(httpx.Response(202, json=run(), headers={"idempotent-replay": "true"}))
    assert typed(api, "run", "analysis", "--key", "k") == 0
    assert "earlier start" in capsys.readouterr().err


@pytest.mark.parametrize(("status", "code"), [("succeeded", 0), ("failed", 1), ("cancelled", 1), ("expired", 1)])
def test_run_that_waits_ends_as_the_run_does(status: str, code: int) -> None:
    api = FakeApi(httpx.Response(202, json=run()), *answers(run(), run(status)))
    assert typed(api, "run", "analysis", "--wait") == code
    assert api.requests[1].headers["prefer"] == "wait=25"


def test_a_wait_that_is_over_says_how_the_run_stands(capsys: pytest.CaptureFixture[str]) -> None:
    assert typed(FakeApi(*answers(run(), run())), "get", RUN_ID, "--wait", "0") == 1
    assert "the run is running" in capsys.readouterr().err


def test_waiting_and_watching_are_not_taken_together() -> None:
    with pytest.raises(SystemExit) as exit_:
        typed(FakeApi(), "run", "analysis", "--watch", "--wait")
    assert exit_.value.code == 2


def test_get_shows_the_steps_the_error_and_the_output(capsys: pytest.CaptureFixture[str]) -> None:
    assert typed(FakeApi(*answers(run("succeeded"))), "get", RUN_ID) == 0
    shown = capsys.readouterr().out
    for text in (RUN_ID, "Prepare", "document.extract", "2 min 05 s", '"documents": 3'):
        assert text in shown
    error = {"code": "ReportFailed", "message": "[no] page", "retryable": False}
    assert typed(FakeApi(*answers(run("failed", error=error))), "get", RUN_ID) == 0
    assert "ReportFailed: [no] page" in capsys.readouterr().out


def test_get_names_the_task_that_a_person_is_waited_for_by(capsys: pytest.CaptureFixture[str]) -> None:
    view = run(steps=[step("Ask", "approval.ask", waiting=1)], maps=[], usage={"cost_usd": 0.25, "complete": True})
    assert typed(FakeApi(*answers(view)), "get", RUN_ID) == 0
    shown = capsys.readouterr().out
    assert re.search(rf"waits +Ask: tsk_{'a' * 32}", shown)
    assert re.search(r"usage +cost_usd 0.25\n", re.sub(r" +\n", "\n", shown))


def test_the_tree_has_the_steps_of_a_map_below_it_in_the_definitions_order() -> None:
    lines = drawn(run())
    assert [re.split(r"  +", line.strip())[0] for line in lines] == [
        "● analysis",
        "├─ ✓ Prepare",
        "├─ ● Documents",
        "│",
        "│",
        "└─ · Report",
    ]
    assert "1 min 23 s" in lines[0]
    assert "638 of" not in lines[2]
    assert "650 of 1,000, 12 failed, 2 running" in lines[2]
    assert "├─ ● Extract" in lines[3]
    assert "640 succeeded, 2 running" in lines[3]
    assert "└─ · Classify" in lines[4]
    assert "tsk_" + "p" * 32 in lines[1]


def test_a_narrow_terminal_gets_a_line_for_each_step_and_no_ids_of_tasks() -> None:
    lines = drawn(run(), width=80)
    assert len(lines) == 6
    assert RUN_ID in lines[0]
    assert "tsk_" not in "".join(lines)


def test_a_map_that_has_not_begun_stands_where_it_will_be() -> None:
    lines = drawn(run(maps=[]))
    assert lines[2].strip() == "├─ · Documents"
    assert "Extract" in lines[3]


def test_what_was_counted_in_part_says_so() -> None:
    partly = step("Extract", "document.extract", running=100) | {"complete": False}
    assert "at least 100 running" in drawn(run(steps=[partly], maps=[]))[1]


def test_a_terminal_without_unicode_gets_ascii() -> None:
    lines = drawn(run("failed", maps=[]), plain=True)
    assert all(line.isascii() for line in lines)
    assert lines[0].startswith("x analysis")


def test_watch_prints_changes_as_lines_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    before = run(steps=[step("Prepare", "document.prepare", running=1), step("Report", "document.report")], maps=[])
    after = run(
        "succeeded",
        steps=[step("Prepare", "document.prepare", succeeded=1), step("Report", "document.report", succeeded=1)],
        maps=[],
    )
    assert typed(FakeApi(*answers(before, before, after)), "watch", RUN_ID) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:5] == [
        f"{RUN_ID}  analysis running",
        f"  Prepare: running  tsk_{'p' * 32}",
        f"{RUN_ID}  analysis succeeded",
        f"  Prepare: succeeded  tsk_{'p' * 32}",
        f"  Report: succeeded  tsk_{'r' * 32}",
    ]


def test_of_a_map_only_every_eighth_is_told() -> None:
    written = io.StringIO()
    board = PlainBoard(Console(file=written, width=120))
    for done in range(1001):
        of = {"step": "Documents", "total": 1000, "pending": 1000 - done, "running": 0, "succeeded": done, "failed": 0}
        view: Any = run(maps=[of])
        board.show(Seen(view, None))
    told = [line for line in written.getvalue().splitlines() if "Documents:" in line]
    assert len(told) == 9
    assert told[-1].strip() == "Documents: 1,000 of 1,000"


def test_watch_as_json_prints_a_line_for_each_change(capsys: pytest.CaptureFixture[str]) -> None:
    assert typed(FakeApi(*answers(run(), run(), run("failed"))), "watch", RUN_ID, "--json") == 1
    assert [json.loads(line)["status"] for line in capsys.readouterr().out.splitlines()] == ["running", "failed"]


def test_run_that_watches_ends_as_the_run_does(capsys: pytest.CaptureFixture[str]) -> None:
    api = FakeApi(httpx.Response(202, json=run()), *answers(run(), run("cancelled")))
    assert typed(api, "run", "analysis", "--watch") == 1
    assert "analysis cancelled" in capsys.readouterr().out


def test_on_a_terminal_the_tree_is_redrawn_in_place_and_then_gone() -> None:
    written = io.StringIO()
    console = Console(file=written, width=100, force_terminal=True)
    with board_on(console) as board:
        assert isinstance(board, LiveBoard)
        view: Any = run()
        board.show(Seen(view, 1.0))
    assert "Extract" in written.getvalue()
    assert written.getvalue().endswith("\x1b[2K")


def test_time_goes_on_between_two_looks_and_stops_with_the_run() -> None:
    now = [100.0]
    board = LiveBoard(plain=False, wide=True, monotonic=lambda: now[0])
    running: Any = run()
    ended: Any = run("succeeded")
    assert elapsed_of(Seen(running, None)) is None
    board.show(Seen(running, 1795251663.0))  # 63 seconds after it was created
    now[0] += 7
    assert "1 min 10 s" in text_of(board)
    board.show(Seen(ended, None))
    now[0] += 7
    assert "2 min 05 s" in text_of(board)


def text_of(board: LiveBoard) -> str:
    written = io.StringIO()
    Console(file=written, width=120).print(board.drawn())
    return written.getvalue()


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.4, "0 s"), (59.9, "59 s"), (61, "1 min 01 s"), (3725, "1 h 02 min")],
)
def test_a_length_of_time_is_said_for_a_person(seconds: float, said: str) -> None:
    assert for_a_person(seconds) == said


async def followed(api: FakeApi) -> list[str]:
    async with Calls(CONNECTION, transport=api.transport, sleep=api.sleep, monotonic=api.monotonic) as calls:
        workflows = Workflows(calls, sleep=api.sleep, monotonic=api.monotonic)
        return [seen.run["status"] async for seen in workflows.follow(RUN_ID)]


def test_a_run_that_the_api_takes_long_to_tell_of_is_asked_for_less_often() -> None:
    class SlowApi(FakeApi):
        def answer(self, request: httpx.Request) -> httpx.Response:
            self.now += 2.0
            return super().answer(request)

    for api, pause in ((FakeApi(*answers(run(), run("succeeded"))), 0.5), (SlowApi(*answers(run(), run("failed"))), 8)):
        assert len(asyncio.run(followed(api))) == 3
        assert api.waits == [pause]


def test_a_run_that_has_just_ended_is_looked_at_once_more_for_its_last_steps() -> None:
    just_then = {"Date": "Sat, 21 Nov 2026 09:02:05 GMT"}
    api = FakeApi(*(httpx.Response(200, json=run("succeeded"), headers=just_then) for _ in range(2)))
    assert len(asyncio.run(followed(api))) == 2
    assert api.waits == [1.5]


def test_the_story_tells_each_event_with_its_step_and_task(capsys: pytest.CaptureFixture[str]) -> None:
    common = {"actor": "key:k", "attempt": 0, "hash": "a" * 64, "prev_hash": "0" * 64, "workflow_id": RUN_ID}
    first = {"seq": 0, "kind": "accepted", "at": "2026-11-21T09:00:00.100Z", "task_id": RUN_ID, "step": None, **common}
    second = first | {"task_id": "tsk_1", "step": "Extract", "kind": "succeeded", "output": {"pages": 3}}
    api = FakeApi(page(first, next_cursor="more"), page(second))
    assert typed(api, "events", RUN_ID) == 0
    shown = capsys.readouterr().out
    assert re.search(r"the run +accepted", shown)
    assert re.search(r"Extract +succeeded", shown)
    assert '{"output": {"pages": 3}}' in shown
    assert api.calls[1] == f"GET /v1/workflows/{RUN_ID}/events?cursor=more"
    assert typed(FakeApi(page(first)), "events", RUN_ID, "--json") == 0
    assert json.loads(capsys.readouterr().out) == [first]


def test_tasks_are_listed_of_one_step(capsys: pytest.CaptureFixture[str]) -> None:
    api = FakeApi(page(finished("tsk_1", workflow={"run": RUN_ID, "step": "Extract"})))
    assert typed(api, "tasks", RUN_ID, "--step", "Extract", "--limit", "5") == 0
    assert "Extract" in capsys.readouterr().out
    assert parse_qs(urlsplit(api.calls[0]).query) == {"step": ["Extract"], "limit": ["5"]}


def test_runs_are_listed_by_workflow_and_status(capsys: pytest.CaptureFixture[str]) -> None:
    api = FakeApi(page(run("failed", error={"code": "x", "message": "y", "retryable": False})))
    assert typed(api, "list", "--name", "analysis", "--status", "failed") == 0
    assert RUN_ID in capsys.readouterr().out
    assert parse_qs(urlsplit(api.calls[0]).query) == {"name": ["analysis"], "status": ["failed"], "limit": ["20"]}
    assert typed(FakeApi(page(run())), "list", "--json") == 0
    assert json.loads(capsys.readouterr().out)[0]["id"] == RUN_ID


def test_cancel_goes_on_past_a_run_there_is_not_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    api = FakeApi(problem(404, "not-found"), httpx.Response(202, json=run("cancelled")))
    assert typed(api, "cancel", "wfl_0", RUN_ID, "--json") == 1
    printed = capsys.readouterr()
    assert [each["id"] for each in json.loads(printed.out)] == [RUN_ID]
    assert "wfl_0" in printed.err
    assert api.calls == ["POST /v1/workflows/wfl_0/cancel", f"POST /v1/workflows/{RUN_ID}/cancel"]


def test_cancel_of_a_run_that_had_ended_otherwise_fails() -> None:
    assert typed(FakeApi(httpx.Response(202, json=run("succeeded"))), "cancel", RUN_ID) == 1
    assert typed(FakeApi(httpx.Response(202, json=run("cancelled"))), "cancel", RUN_ID) == 0


def test_a_shape_that_is_not_known_passes_through(capsys: pytest.CaptureFixture[str]) -> None:
    view: dict[str, Any] = run() | {"surprise": {"a": 1}}
    assert typed(FakeApi(*answers(view)), "get", RUN_ID, "--json") == 0
    assert json.loads(capsys.readouterr().out)["surprise"] == {"a": 1}


def test_a_run_in_a_list_has_no_steps() -> None:
    short: Any = {name: value for name, value in run().items() if name not in ("steps", "maps")}
    typed_as: Run = short
    assert len(drawn(short)) == 1
    assert elapsed_of(Seen(typed_as, None)) is None
