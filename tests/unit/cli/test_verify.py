"""`flotilla verify`: logs as the API tells them, and archived files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from cli.__main__ import main
from flotilla.events import Kind
from flotilla.events.archive_file import pack
from flotilla.events.told import tell
from tests.logs import log_of
from tests.unit.cli.fake_api import CONNECTION, FakeApi

LOG = log_of(Kind.STARTED, Kind.SUCCEEDED)


def verified(views: list[dict[str, Any]]) -> int:
    api = FakeApi(httpx.Response(200, json={"items": views, "next_cursor": None}))
    return main(["verify", LOG[0].task_id, "--json"], connection=CONNECTION, transport=api.transport)


def test_a_whole_log_is_whole(capsys: pytest.CaptureFixture[str]) -> None:
    assert verified([tell(event) for event in LOG]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["whole"], found["events"], found["status"]) == (True, 3, "succeeded")


@pytest.mark.parametrize("altered", [{"actor": "key:other"}, {"attempt": 9}, {"more": 1}, {"at": "never"}])
def test_an_altered_event_is_found(altered: dict[str, Any]) -> None:
    views = [tell(event) for event in LOG]
    views[1] |= altered
    assert verified(views) == 1


@pytest.mark.parametrize("missing", [0, 1])
def test_a_missing_event_is_found(missing: int) -> None:
    assert verified([tell(event) for event in LOG if event.seq != missing]) == 1


def test_an_archived_file_is_checked_log_by_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = log_of(Kind.STARTED, task_id="tsk_other")
    (tmp_path / "logs.gz").write_bytes(pack([LOG, other[1:]]))
    assert main(["verify", "--archive", str(tmp_path / "logs.gz")], connection=CONNECTION) == 1
    printed = capsys.readouterr()
    assert f"{LOG[0].task_id}  whole" in printed.out
    assert "tsk_other  NOT WHOLE" in printed.out
    assert "1 of 2" in printed.err


def test_an_archived_file_is_checked_without_a_deployment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOTILLA_API_URL", "https://flotilla.example")
    monkeypatch.delenv("FLOTILLA_API_KEY", raising=False)
    (tmp_path / "logs.gz").write_bytes(pack([LOG]))
    assert main(["agents"]) == 1, "half a connection is none"
    assert main(["verify", "--archive", str(tmp_path / "logs.gz")]) == 0


def test_a_file_that_was_cut_is_no_archive(tmp_path: Path) -> None:
    (tmp_path / "logs.gz").write_bytes(pack([LOG])[:-9])
    assert main(["verify", "--archive", str(tmp_path / "logs.gz")], connection=CONNECTION) == 1


@pytest.mark.parametrize("arguments", [[], ["tsk_1", "--archive", "f"], ["--archive", "/nowhere/at/all"]])
def test_what_names_no_log_is_refused(arguments: list[str]) -> None:
    assert main(["verify", *arguments], connection=CONNECTION) == 2
