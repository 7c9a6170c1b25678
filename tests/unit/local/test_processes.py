"""Processes are known by pid and start, and stopped with all that they started."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.processes import Process, spawn, start_of, stop

# Says that it is there, then waits to be told to end.
OBEDIENT = "import signal; open('ready', 'w').close(); signal.pause()"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); open('ready', 'w').close(); signal.pause()"
CHILD = f"import os; open('child', 'w').write(str(os.getpid())); {STUBBORN}"
WITH_CHILD = f"import signal, subprocess, sys; subprocess.Popen([sys.executable, '-c', {CHILD!r}]); signal.pause()"


@pytest.fixture
def started(tmp_path: Path) -> Iterator[list[Process]]:
    processes: list[Process] = []
    yield processes
    for process in processes:
        stop(process, grace_seconds=0)


def run(code: str, directory: Path, started: list[Process]) -> Process:
    command = [sys.executable, "-c", code]
    pid = spawn(command, environment={"PATH": os.defpath}, directory=directory, log=directory / "log")
    process = Process(pid, start_of(pid) or "")
    started.append(process)
    while not (directory / "ready").exists():
        assert process.is_alive(), (directory / "log").read_text()
    return process


def test_a_process_is_alive_until_it_is_stopped(tmp_path: Path, started: list[Process]) -> None:
    process = run(OBEDIENT, tmp_path, started)
    assert process.is_alive()
    assert stop(process, grace_seconds=30)
    assert not process.is_alive()
    assert start_of(process.pid) is None


def test_one_that_does_not_listen_is_made_to_end(tmp_path: Path, started: list[Process]) -> None:
    process = run(STUBBORN, tmp_path, started)
    assert not stop(process, grace_seconds=0.1)
    assert not process.is_alive()


def test_what_it_started_ends_with_it(tmp_path: Path, started: list[Process]) -> None:
    process = run(WITH_CHILD, tmp_path, started)
    child = int((tmp_path / "child").read_text())
    assert start_of(child) is not None
    stop(process, grace_seconds=30)
    assert start_of(child) is None


def test_a_pid_that_came_back_is_somebody_else(tmp_path: Path, started: list[Process]) -> None:
    process = run(OBEDIENT, tmp_path, started)
    record = dataclasses.replace(process, started="long ago")
    assert not record.is_alive()
    stop(record, grace_seconds=0)
    assert process.is_alive()


def test_a_record_is_read_back(tmp_path: Path) -> None:
    process = Process(1, "now", fingerprint="f", token="t", port=2)
    process.save(tmp_path / "record")
    assert Process.load(tmp_path / "record") == process
    assert Process.load(tmp_path / "none") is None
