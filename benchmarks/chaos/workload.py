"""The tasks: drawn from a seed, submitted over HTTP, some of them twice."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from cli.client import ApiError, FlotillaClient, Submitted

LANES = ("critical", "standard", "batch")
_SESSION_LENGTH = 10
_LONGEST_DELAY_SECONDS = 20
_SUBMITTED_TWICE = 0.05
_AT_ONCE = 8
_SERVER_ERRORS = 500


@dataclass(slots=True)
class Planned:
    """One task to come.

    Attributes:
        task_id: Once it is accepted.
    """

    key: str
    lane: str
    input: dict[str, Any]
    session: str | None = None
    delay_seconds: int | None = None
    twice: bool = False
    task_id: str | None = None


@dataclass(slots=True)
class Plan:
    """All tasks: alone, or in a session one after the other."""

    alone: list[Planned] = field(default_factory=list)
    sessions: list[list[Planned]] = field(default_factory=list)

    @property
    def tasks(self) -> list[Planned]:
        """Every task."""
        return [*self.alone, *(task for session in self.sessions for task in session)]


def plan(seed: int, tasks: int, url: str) -> Plan:
    """10 % flaky, 5 % crashing, 20 % in sessions, 10 % delayed, 5 % submitted twice; over all lanes."""
    draw = random.Random(seed)
    found = Plan()
    for number in range(tasks):
        kind = draw.random()
        value: dict[str, Any] = {"url": url}
        if kind < 0.10:
            value["fail_attempts"] = draw.randint(1, 3)
        elif kind < 0.15:
            value |= {"crash_attempts": 1, "crash_when": draw.choice(["before", "after_effect"])}
        task = Planned(f"chaos-{seed}-{number}", draw.choice(LANES), value, twice=draw.random() < _SUBMITTED_TWICE)
        if draw.random() < 0.10:
            task.delay_seconds = draw.randint(1, _LONGEST_DELAY_SECONDS)
        if draw.random() < 0.20:
            if not found.sessions or len(found.sessions[-1]) == _SESSION_LENGTH:
                found.sessions.append([])
            session = found.sessions[-1]
            task.session = f"chaos-{seed}-{len(found.sessions)}"
            task.lane = session[0].lane if session else task.lane
            session.append(task)
        else:
            found.alone.append(task)
    return found


async def submit_all(client: FlotillaClient, work: Plan) -> int:
    """Submit everything, a session's tasks in its order.

    Returns:
        How many submits were repeats that the API told as such.
    """
    queue: asyncio.Queue[Sequence[Planned]] = asyncio.Queue()
    for strand in [*([task] for task in work.alone), *work.sessions]:
        queue.put_nowait(strand)
    replays = 0

    async def submit_strands() -> None:
        nonlocal replays
        while not queue.empty():
            for task in queue.get_nowait():
                for _ in range(2 if task.twice else 1):
                    submitted = await _submit(client, task)
                    replays += submitted.replayed
                    task.task_id = submitted.task["id"]

    await asyncio.gather(*(submit_strands() for _ in range(_AT_ONCE)))
    return replays


async def _submit(client: FlotillaClient, task: Planned) -> Submitted:
    """Submit until there is an answer: the API's processes are killed as well, and the key makes repeats harmless."""
    while True:
        try:
            return await client.submit(
                "diagnostics.effect",
                task.input,
                idempotency_key=task.key,
                lane=task.lane,
                session=task.session,
                delay_seconds=task.delay_seconds,
            )
        except ApiError as error:
            if error.status is not None and error.status < _SERVER_ERRORS:
                raise
