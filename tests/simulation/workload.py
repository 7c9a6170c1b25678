"""What clients and operators ask of a fleet in one history, and what the fleet is like.

A workload is a value: it is drawn from a seed here, or composed and made smaller by Hypothesis (`strategies`).
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from flotilla.services.submit import task_id_for
from flotilla.workflows.order import StepOrder
from tests.simulation.states import body_of

AGENTS = ("sim.work", "sim.work", "sim.work", "sim.cached", "sim.remember", "sim.plain")
SESSIONS = ("red", "blue")
LANES = ("standard", "batch")


@dataclass(frozen=True)
class Submit:
    """Submit a task, and again with the same idempotency key where no answer comes.

    Attributes:
        number: Tells tasks apart.
        delay_seconds: Due so long after the client asks; None at once.
        deadline_seconds: Not to be started later than so long after the client asks.
        wait: See `Script.wait`.
        ordered: A workflow's state asks for it, by an order on its lane, and not a client; `tries` of 8 ask twice.
        tries: Calls before the client gives up.
    """

    number: int
    agent: str = "sim.work"
    moves: tuple[str, ...] = ("ok",)
    steps: int = 0
    seconds: float = 0.0
    shared: str | None = None
    tenant: str = "acme"
    lane: str = LANES[0]
    session: str | None = None
    delay_seconds: float | None = None
    deadline_seconds: float | None = None
    max_attempts: int | None = None
    wait: float | None = None
    tries: int = 4
    ordered: bool = False

    @property
    def key(self) -> str:
        return f"key {self.number}"

    @cached_property
    def task_id(self) -> str:
        if self.ordered:
            return StepOrder.from_body(body_of(self)).task_id
        return task_id_for(self.tenant, self.key)

    def input(self) -> dict[str, Any]:
        name = self.shared if self.shared is not None else str(self.number)
        script = {"name": name, "moves": list(self.moves), "steps": self.steps, "seconds": self.seconds}
        return script if self.wait is None else script | {"wait": self.wait}


@dataclass(frozen=True)
class SubmitMany:
    """Submit several tasks in one call."""

    tasks: tuple[Submit, ...]
    tries: int = 4


@dataclass(frozen=True)
class Cancel:
    """Cancel a task, whatever became of it."""

    number: int
    tries: int = 3


@dataclass(frozen=True)
class Signal:
    """Tell a task something, and again where it does not wait yet.

    Attributes:
        payload: What it is told.
    """

    number: int
    payload: str
    tries: int = 6


@dataclass(frozen=True)
class Redrive:
    """Redrive a task.

    Attributes:
        moves: The corrected script; None leaves the input as it is.
    """

    number: int
    moves: tuple[str, ...] | None = None
    tries: int = 3


@dataclass(frozen=True)
class Hold:
    """Pause something, and resume it after so long."""

    scope: str
    name: str
    seconds: float


@dataclass(frozen=True)
class Wait:
    """Let time pass."""

    seconds: float


Operation = Submit | SubmitMany | Cancel | Signal | Redrive | Hold | Wait


@dataclass(frozen=True)
class Workload:
    """All of it.

    Attributes:
        clients: What each client does, one thing after the other; the clients run side by side.
        concurrency: Invocations of a lane's workers at once.
        worker_timeout_seconds: Of one invocation.
        max_receive_count: After so many hand-outs a message goes to the dead letters.
    """

    clients: tuple[tuple[Operation, ...], ...]
    concurrency: int = 3
    worker_timeout_seconds: float = 60.0
    max_receive_count: int = 500
    inline_bytes: int = 1000
    tasks: dict[int, Submit] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        found: dict[int, Submit] = {}
        for client in self.clients:
            for operation in client:
                if isinstance(operation, Submit):
                    found[operation.number] = operation
                elif isinstance(operation, SubmitMany):
                    found.update({task.number: task for task in operation.tasks})
        object.__setattr__(self, "tasks", found)


MOVES = ("fail", "retry_after", "permanent", "park", "park_long", "crash", "block", "hang", "exit", "bad_output")
DELAYS = (0.4, 1.0, 3.0, 14.0, 16.0, 70.0, 130.0, 500.0, 950.0, 4000.0)
TIMEOUTS = (0.5, 3.0, 20.0, 100.0, 600.0, 1500.0)
"""Of waits for signals: below and beyond what the delay ladder reaches."""

WAITING_AGENTS = ("sim.work", "sim.remember")
WAITS = (0.02, 0.2, 1.0, 3.0, 10.0, 40.0, 400.0)


def drawn(rng: random.Random) -> Workload:
    """A workload for one history."""
    count = rng.choice((1, 2, 3, 3, 4, 4, 5, 6, 8)) if rng.random() > 0.01 else 25
    sessions = SESSIONS[: rng.choice((0, 1, 1, 2))]
    troubled = rng.choice((0.0, 0.15, 0.5))
    delayed = rng.choice((0.0, 0.0, 0.3))
    late = rng.choice((0.0, 0.0, 0.3))
    waiting = rng.choice((0.0, 0.0, 0.5))
    ordered = rng.choice((0.0, 0.0, 0.6))
    agents = AGENTS if rng.random() < 0.85 else ("sim.cached",)
    tasks = [_task(rng, number, agents, sessions, troubled, delayed, late, waiting) for number in range(count)]
    tasks = [_ordered(task) if rng.random() < ordered else task for task in tasks]
    clients = []
    for mine in _parts(rng, tasks):
        operations: list[Operation] = list(_submits(rng, mine))
        for task in mine:
            if task.seconds >= 1 and rng.random() < 0.25:
                _interrupt(rng, operations, task)
            if rng.random() < 0.1:
                _insert(rng, operations, Cancel(task.number))
            if task.wait is not None:
                _tell(rng, operations, task)
            if rng.random() < (0.4 if set(task.moves) & {"permanent", "bad_output", "fail", "crash"} else 0.05):
                operations += [Wait(rng.choice(WAITS)), Redrive(task.number, rng.choice((None, ("ok",))))]
        if rng.random() < 0.1:
            _insert(rng, operations, _hold(rng))
        clients.append(tuple(operations))
    return Workload(
        clients=tuple(clients),
        concurrency=rng.choice((1, 2, 3, 4)),
        worker_timeout_seconds=rng.choice((30.0, 60.0, 180.0)),
        max_receive_count=500 if rng.random() < 0.9 else rng.choice((8, 25)),
        inline_bytes=rng.choice((1000, 1000, 60)),
    )


def _task(
    rng: random.Random,
    number: int,
    agents: tuple[str, ...],
    sessions: tuple[str, ...],
    troubled: float,
    delayed: float,
    late: float,
    waiting: float,
) -> Submit:
    agent = rng.choice(agents)
    session = rng.choice(sessions) if sessions and rng.random() < 0.7 else None
    if agent == "sim.remember" and session is None:
        session = SESSIONS[0]
    moves = ["ok"]
    while rng.random() < troubled and len(moves) < 5:
        moves.insert(0, rng.choice(MOVES))
    if rng.random() < 0.05:
        # Never to succeed; but what parks for ever never ends.
        moves[-1] = rng.choice(("fail", "permanent", "crash", "hang", "bad_output"))
    shared = rng.choice(("A", "A", "B")) if agent == "sim.cached" else None
    return Submit(
        number=number,
        agent=agent,
        moves=tuple(moves) if shared is None or rng.random() < 0.3 else ("ok",),
        steps=rng.choice((0, 0, 0, 1, 3)),
        seconds=rng.choice((0.0, 0.0, 0.05, 1.0, 6.0)) if shared is None else 1.0,
        shared=shared,
        tenant="acme" if rng.random() < 0.9 else "umbrella",
        lane=LANES[0] if rng.random() < 0.85 else LANES[1],
        session=session,
        delay_seconds=rng.choice(DELAYS) if rng.random() < delayed else None,
        deadline_seconds=rng.choice((0.5, 5.0, 30.0, 200.0)) if rng.random() < late else None,
        max_attempts=rng.choice((None, None, 1, 2)),
        wait=rng.choice(TIMEOUTS) if agent in WAITING_AGENTS and rng.random() < waiting else None,
        tries=rng.choice((1, 4, 4, 8)),
    )


def _ordered(task: Submit) -> Submit:
    return replace(task, ordered=True, delay_seconds=None)


def _parts(rng: random.Random, tasks: list[Submit]) -> list[list[Submit]]:
    parts: list[list[Submit]] = [[] for _ in range(rng.choice((1, 1, 2, 3)))]
    for task in tasks:
        rng.choice(parts).append(task)
    return [part for part in parts if part]


def _submits(rng: random.Random, tasks: list[Submit]) -> list[Operation]:
    if len(tasks) > 1 and rng.random() < 0.15 and not any(task.ordered for task in tasks):
        return [SubmitMany(tuple(tasks))]
    operations: list[Operation] = []
    for task in tasks:
        if rng.random() < 0.4:
            operations.append(Wait(rng.choice(WAITS[:6])))
        operations.append(task)
    return operations


def _insert(rng: random.Random, operations: list[Operation], operation: Operation) -> None:
    """Somewhere among the others, sometimes some time after the one before it."""
    place = int(rng.random() * (len(operations) + 1))
    operations[place:place] = [Wait(rng.choice(WAITS)), operation] if rng.random() < 0.7 else [operation]


def _interrupt(rng: random.Random, operations: list[Operation], task: Submit) -> None:
    """Cancel or pause a task that takes a while, while it runs."""
    place = operations.index(task) + 1 if task in operations else len(operations)
    interruption = Cancel(task.number) if rng.random() < 0.6 else Hold("agent", task.agent, rng.choice((5.0, 60.0)))
    operations[place:place] = [Wait(rng.choice((0.2, 1.0, 3.0))), interruption]


def _tell(rng: random.Random, operations: list[Operation], task: Submit) -> None:
    """Tell a task what it waits for: never, once, twice the same or something else."""
    place = operations.index(task) + 1 if task in operations else len(operations)
    for payload in rng.choice(((), ("yes",), ("yes",), ("yes", "yes"), ("yes", "no"))):
        operations[place:place] = [Wait(rng.choice(WAITS)), Signal(task.number, payload)]
        place += 2


def _hold(rng: random.Random) -> Hold:
    scope, name = rng.choice((("fleet", ""), ("lane", LANES[0]), ("agent", "sim.work"), ("agent", "sim.cached")))
    return Hold(scope, name, rng.choice((1.5, 5.0, 60.0, 300.0, 3000.0)))
