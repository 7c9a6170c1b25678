"""The processor time of a set of processes and of all that they started, as the kernel accounts for it.

A process's own time is counted with that of the children it has waited for, so that a child which came and went between
two readings is not missed. What is started elsewhere and only spoken to is not counted: name it as a root.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Accounted:
    """One process.

    Attributes:
        parent: Its parent's process id.
        ticks: Its own time in user and in kernel mode and that of the ended children it has waited for, in clock ticks.
    """

    pid: int
    parent: int
    ticks: int


def parse(text: str) -> Accounted:
    """A process from its `/proc/PID/stat`.

    Raises:
        ValueError: It is something else.
    """
    # The name stands in parentheses and may hold some: the last one ends it.
    head, separator, tail = text.rpartition(")")
    fields = tail.split()
    if not separator or len(fields) < 15:
        raise ValueError("not the record of a process")
    return Accounted(int(head.split(" ", 1)[0]), int(fields[1]), sum(int(field) for field in fields[11:15]))


def below(roots: Iterable[int], processes: Mapping[int, Accounted]) -> set[int]:
    """The roots that run, and all processes that descend from them."""
    children: dict[int, list[int]] = {}
    for process in processes.values():
        children.setdefault(process.parent, []).append(process.pid)
    found: set[int] = set()
    waiting = [pid for pid in roots if pid in processes]
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found.add(pid)
            waiting += children.get(pid, [])
    return found


def ticks_of(roots: Collection[int], processes: Mapping[int, Accounted]) -> int:
    """What the roots and their descendants have used so far, in clock ticks."""
    return sum(processes[pid].ticks for pid in below(roots, processes))


def running() -> dict[int, Accounted]:
    """All processes of this machine."""
    found: dict[int, Accounted] = {}
    for directory in Path("/proc").iterdir():
        if directory.name.isdigit():
            try:
                process = parse((directory / "stat").read_text(encoding="utf-8", errors="replace"))
            except (OSError, ValueError):
                continue  # it has ended meanwhile
            found[process.pid] = process
    return found


def used_ms(roots: Collection[int]) -> float:
    """What the roots and their descendants have used so far, in milliseconds; to a clock tick of each process."""
    return ticks_of(roots, running()) * 1000 / os.sysconf("SC_CLK_TCK")


def tree(root: int) -> set[int]:
    """A process that runs and all its descendants."""
    return below([root], running())
