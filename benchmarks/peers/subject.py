"""What is measured, behind one interface."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

AT_ONCE = 8
"""Submits at once where they are submitted as fast as they are taken."""

WORKERS, TASKS_EACH = 2, 15
"""Worker processes, and the tasks that each may run at once: together as many as a lane's three batches of ten."""

DEAD_AFTER_SECONDS = 5.0
"""How long a worker may be silent, or a message be held, before its tasks are given to another."""


@dataclass(frozen=True, slots=True)
class Submitted:
    """One task as it was accepted.

    Attributes:
        key: What it is known by to whoever submitted it.
        began_ms: Before the submit, in milliseconds since the epoch.
        ended_ms: When it was accepted.
        task_id: What the system calls it.
    """

    key: str
    began_ms: float
    ended_ms: float
    task_id: str


class Subject(Protocol):
    """A system that takes tasks and runs them.

    Attributes:
        name: In the tables.
        how: One sentence: what it runs on and how it was set up.
        kills: What may be killed, the worker first.
    """

    name: str
    how: str
    kills: Sequence[str]

    def start(self) -> None:
        """Start everything.

        Raises:
            Exception: It cannot be started here; the message says why.
        """
        ...

    def submit(self, workload: str, keys: Sequence[str], *, pace_seconds: float = 0.0) -> list[Submitted]:
        """Submit tasks, each by a call of its own: one every `pace_seconds`, or else `AT_ONCE` at a time."""
        ...

    def has_run(self, submitted: Collection[Submitted]) -> bool:
        """Whether all of these no-op tasks have been run."""
        ...

    def ends(self, submitted: Collection[Submitted]) -> Mapping[str, float]:
        """When the function of each no-op task ended for the first time, in milliseconds since the epoch, by key."""
        ...

    def effect_key(self, submitted: Submitted) -> str:
        """The key that the task sends to the sink."""
        ...

    def roots(self) -> Collection[int]:
        """Processes that with all their descendants are the system, its submitter included."""
        ...

    def kill(self, what: str) -> None:
        """Kill one of these with SIGKILL, in the middle of its work."""
        ...

    def mend(self) -> None:
        """Do what a supervisor does after a kill: start what was killed again, where the system does not by itself."""
        ...

    def stop(self) -> None:
        """Stop everything that was started, however far that came."""
        ...
