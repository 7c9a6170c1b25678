"""The demo ends well only if every document did, and its table is complete and fits the terminal."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import httpx
import pytest
from rich.console import Console

from cli.corpus import DOCUMENTS, Document, read_corpus
from cli.demo import main
from cli.demo_progress import PlainBoard
from cli.demo_report import Totals, print_report
from cli.demo_rows import Row, refused_row, row_of
from tests.unit.cli.fake_api import ANALYSIS, CONNECTION, FakeApi, finished, problem

MIT = Document("mit.txt", "Permission is hereby granted.")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.txt", "b.md", "c.rst"):
        (tmp_path / name).write_text(f"The text of {name}.", encoding="utf-8")
    (tmp_path / "README.md").write_text("About the folder.", encoding="utf-8")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    return tmp_path


def run(api: FakeApi, folder: Path, *arguments: str) -> int:
    return main(["--documents", str(folder), *arguments], connection=CONNECTION, transport=api.transport)


def test_every_document_is_submitted_once_and_reported(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    api = FakeApi()
    assert run(api, folder) == 0
    assert sorted(task["input"]["name"] for task in api.tasks.values()) == ["a.txt", "b.md", "c.rst"]
    assert all(task["agent"] == "document.analyze" for task in api.tasks.values())
    printed = capsys.readouterr().out
    assert all(name in printed for name in ("a.txt", "b.md", "c.rst", "3 documents", "failures 0"))
    assert printed.count("Permission is hereby granted.") == 3


def test_a_second_run_makes_new_tasks(folder: Path) -> None:
    api = FakeApi()
    assert [run(api, folder), run(api, folder)] == [0, 0]
    assert len(api.tasks) == 6


def test_all_is_submitted_before_anything_is_waited_for(folder: Path) -> None:
    api = FakeApi()
    run(api, folder, "--connections", "1")
    assert [call.split()[0] for call in api.calls[:4]] == ["POST", "POST", "POST", "GET"]


def test_a_failed_document_fails_the_demo_and_is_shown(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    api = FakeApi()
    error = {"code": "agent_error", "message": "ValueError: no", "retryable": True}
    api.ends["b.md"] = {"status": "dead_lettered", "attempt": 4, "output": None, "error": error}
    assert run(api, folder) == 1
    printed = capsys.readouterr().out
    assert "dead_lettered: agent_error: ValueError: no" in printed
    assert "failures 1" in printed
    assert "retries 3" in printed


def test_a_refused_document_fails_the_demo_and_not_the_others(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    api = FakeApi(problem(413, "too-large"))
    assert run(api, folder) == 1
    assert len(api.tasks) == 2
    assert "413 too-large: What to do about it." in capsys.readouterr().out


def test_a_result_that_lacks_a_column_fails_the_demo(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    api = FakeApi()
    api.ends["a.txt"] = {"output": ANALYSIS | {"summary": []}}
    assert run(api, folder) == 1
    assert "the result lacks summary" in capsys.readouterr().out


def test_a_busy_api_is_waited_for_and_counted(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    api = FakeApi(problem(429, "rate-limited", {"retry-after": "0"}), httpx.ConnectError("refused"))
    assert run(api, folder) == 0
    assert "repeated calls 2" in capsys.readouterr().out


def test_a_folder_without_documents_is_no_success(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(FakeApi(), tmp_path) == 1
    assert run(FakeApi(), tmp_path / "nowhere") == 1
    assert "there are no documents" in capsys.readouterr().err


def test_the_corpus_that_is_shipped_can_be_read() -> None:
    documents = read_corpus(DOCUMENTS)
    assert len(documents) >= 20
    assert all(document.text.strip() for document in documents)
    assert not {"README.md", "SOURCES.md"} & {document.name for document in documents}


def test_an_idempotency_key_is_of_the_name_the_text_and_the_run() -> None:
    keys = {
        MIT.idempotency_key("run"),
        MIT.idempotency_key("run"),
        MIT.idempotency_key("other run"),
        Document("isc.txt", MIT.text).idempotency_key("run"),
        Document(MIT.name, "other").idempotency_key("run"),
    }
    assert len(keys) == 4


def test_a_row_says_what_the_task_says() -> None:
    row = row_of(MIT, finished("tsk_1", attempt=2))
    assert row == Row(
        document="mit.txt",
        characters=29,
        task_id="tsk_1",
        document_class="permissive",
        score=0.97,
        sections=3,
        dates=1,
        summary="Permission is hereby granted.",
        attempts=2,
        run_ms=40,
        total_ms=1250,
    )
    assert row.complete


@pytest.mark.parametrize(
    "changes",
    [
        {"output": None},
        {"output": []},
        {"output": ANALYSIS | {"document_class": ""}},
        {"output": ANALYSIS | {"score": 1.5}},
        {"output": ANALYSIS | {"score": "high"}},
        {"output": ANALYSIS | {"counts": {"sections": 1}}},
        {"output": ANALYSIS | {"counts": {"sections": -1, "dates": True}}},
        {"output": ANALYSIS | {"summary": [{"text": "  "}]}},
        {"usage": {}},
        {"finished_at": None},
        {"finished_at": "yesterday"},
    ],
)
def test_a_row_with_anything_missing_or_odd_is_not_complete(changes: dict[str, Any]) -> None:
    row = row_of(MIT, finished("tsk_1", **changes))
    assert not row.complete
    assert str(row.problem).startswith("the result lacks ")


def printed_at(width: int, *rows: Row) -> list[str]:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    print_report(console, rows, Totals.of(rows, wall_seconds=2.0, repeats=0))
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined]  # it is the StringIO above


LONG = row_of(
    Document("a-document-whose-name-is-longer-than-any-column.txt", ""),
    finished("tsk_1", output=ANALYSIS | {"summary": [{"text": "word " * 80}]}, attempt=3),
)


@pytest.mark.parametrize("width", [60, 80, 100, 120, 132, 160, 240])
def test_the_table_fits_the_terminal(width: int) -> None:
    lines = printed_at(width, LONG, row_of(MIT, finished("tsk_2")), refused_row(MIT, "no " * 200))
    assert max(map(len, lines)) <= width


@pytest.mark.parametrize("width", [80, 120, 160])
def test_figures_stand_under_their_headings(width: int) -> None:
    lines = printed_at(width, LONG, row_of(MIT, finished("tsk_2")))
    heading = next(line for line in lines if line.startswith("Document"))
    row = next(line for line in lines if line.startswith("mit.txt"))
    for name, figure in (("Score", "0.97"), ("Sect.", "3"), ("Dates", "1"), ("Tries", "1"), ("ms", "1,250")):
        end = heading.index(f"{name}  " if f"{name}  " in heading else name) + len(name)
        assert row[:end].endswith(f" {figure}"), name


def test_failures_stand_at_the_end_where_they_are_seen() -> None:
    lines = printed_at(80, refused_row(Document("a.txt", ""), "refused"), row_of(MIT, finished("tsk_1")))
    assert [line.split()[0] for line in lines if line.startswith(("a.txt", "mit.txt"))] == ["mit.txt", "a.txt"]


def test_without_a_terminal_progress_is_a_few_lines_and_ends_complete() -> None:
    console = Console(file=io.StringIO(), width=80)
    board = PlainBoard(console, 41)
    for _ in range(40):
        board.finished(row_of(MIT, finished("tsk_1")))
    board.finished(refused_row(MIT, "refused"))
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]  # it is the StringIO above
    assert len(lines) == 8
    assert lines[-1].strip() == "41 of 41 done, 1 failed"
