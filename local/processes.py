"""Starts background processes and stops exactly those.

A process is known by its pid together with the moment it started, because a pid alone comes back to strangers. Nothing
here signals a process whose start does not match the record, nor a process group whose leader was replaced.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from local.instance import read_json, replace_file

# A child that ended stays a zombie until its parent asks, and a test process is a parent that lives on.
_children: dict[int, subprocess.Popen[bytes]] = {}

_POLL_SECONDS = 0.05
_HAS_PROC = Path("/proc/self/stat").exists()


@dataclass(frozen=True)
class Process:
    """A process we started, as written to its record."""

    pid: int
    started: str
    fingerprint: str = ""
    """Of what it was started with; another fingerprint means that it should be restarted."""
    token: str = ""
    """A secret that it knows; proves over HTTP that it is this one that answers."""
    port: int = 0

    def save(self, path: Path) -> None:
        """Writes the record."""
        replace_file(path, json.dumps(asdict(self)))

    @classmethod
    def load(cls, path: Path) -> Process | None:
        """Reads a record; None where there is none."""
        record = read_json(path)
        try:
            return cls(**record) if record else None
        except TypeError:
            return None

    def is_alive(self) -> bool:
        """Whether this very process still runs."""
        child = _children.get(self.pid)
        if child is not None and child.poll() is not None:
            del _children[self.pid]
            return False
        return start_of(self.pid) == self.started


def start_of(pid: int) -> str | None:
    """When process `pid` started, in units that only compare; None if there is no such process or it is a zombie."""
    if _HAS_PROC:
        try:
            text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
        except OSError:
            return None
        # The command name may hold spaces and parentheses, so count fields from the last one.
        fields = text[text.rindex(")") + 2 :].split()
        return None if fields[0] in "ZX" else fields[19]
    answer = subprocess.run(
        ["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout.split(maxsplit=1)
    return None if len(answer) < 2 or answer[0].startswith("Z") else answer[1].strip()


def spawn(
    command: Sequence[str | Path],
    *,
    environment: Mapping[str, str],
    directory: Path,
    log: Path,
    keep_descriptors: Iterable[int] = (),
) -> int:
    """Starts a process in a session of its own, output appended to `log`; answers its pid."""
    with log.open("ab") as output:
        child = subprocess.Popen(
            [str(word) for word in command],
            env=dict(environment),
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=tuple(keep_descriptors),
        )
    _children[child.pid] = child
    return child.pid


def stop(process: Process, *, grace_seconds: float) -> bool:
    """Asks the process to end, insists after `grace_seconds`, and ends what is left of its group.

    Returns:
        Whether it ended by itself.
    """
    graceful = True
    if process.is_alive():
        _signal(process.pid, signal.SIGTERM)
        graceful = _wait(process, grace_seconds)
        if not graceful:
            _signal(process.pid, signal.SIGKILL)
            _wait(process, 5.0)
    end_group(process)
    return graceful


def end_group(process: Process) -> None:
    """Kills what still runs of the session that `process` led.

    The system gives a pid to nobody while a group of that number exists. So if the leader's pid now belongs to another
    process, our group is gone and the group of that number is a stranger's.
    """
    current = start_of(process.pid)
    if current is not None and current != process.started:
        return
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return
    deadline = time.monotonic() + 5.0
    while time.monotonic() < deadline:
        process.is_alive()
        try:
            os.killpg(process.pid, 0)
        except (ProcessLookupError, PermissionError):
            return
        time.sleep(_POLL_SECONDS)


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _wait(process: Process, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while process.is_alive():
        if time.monotonic() >= deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True
