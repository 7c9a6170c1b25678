"""Which process is in the middle of a task: it has a connection to what the tasks call."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from urllib.parse import urlsplit

_PATIENCE_SECONDS = 5.0
_POLL_SECONDS = 0.01
_ESTABLISHED = "01"


def busiest(candidates: Callable[[], Iterable[int]], sink_url: str) -> int:
    """The process that has the most tasks at work; waits a little for one that has any.

    Args:
        candidates: The processes there are, by id.
        sink_url: What the tasks call.

    Raises:
        TimeoutError: None has any.
    """
    port = urlsplit(sink_url).port or 0
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        pids = list(candidates())
        # The kernel's table is read once: a task takes no longer than it takes to read it for each process.
        sockets = connected_to(port, Path("/proc/net/tcp").read_text(encoding="ascii"))
        at_work = {pid: len(_sockets_of(pid) & sockets) for pid in pids}
        if any(at_work.values()):
            return max(at_work, key=lambda pid: at_work[pid])
        time.sleep(_POLL_SECONDS)
    raise TimeoutError("no worker is at work")


def connected_to(port: int, table: str) -> set[str]:
    """The sockets that are connected to a port, as `/proc/PID/fd` names them, from the text of `/proc/net/tcp`."""
    rows = (line.split() for line in table.splitlines()[1:])
    suffix = f":{port:04X}"
    return {f"socket:[{row[9]}]" for row in rows if row[2].endswith(suffix) and row[3] == _ESTABLISHED}


def _sockets_of(pid: int) -> set[str]:
    found: set[str] = set()
    try:
        for link in Path(f"/proc/{pid}/fd").iterdir():
            found.add(str(link.readlink()))
    except OSError:
        pass  # it has ended, or has closed one meanwhile
    return found
