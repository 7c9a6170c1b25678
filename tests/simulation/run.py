"""One history from beginning to end: set the clients going, let time pass, judge what happened."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.simulation import workload as workloads
from tests.simulation.checker import Violation, check
from tests.simulation.clients import Clients
from tests.simulation.faults import FaultPlan
from tests.simulation.loop import LivelockError
from tests.simulation.processes import Trace, true_ms
from tests.simulation.workload import Workload
from tests.simulation.world import World

HORIZON_SECONDS = 10 * 86_400.0

MakeWorld = Callable[[FaultPlan, Workload, int, Trace | None], World]


@dataclass
class Outcome:
    """What came of a history.

    Attributes:
        seconds: Virtual time that passed.
        steps: Callbacks that ran.
    """

    violations: list[Violation]
    seconds: float
    steps: int
    tasks: int
    trace: list[str] = field(default_factory=list)


def run(
    plan: FaultPlan, workload: Workload, seed: int, *, traced: bool = False, make_world: MakeWorld = World
) -> Outcome:
    """Run one history and judge it."""
    lines: list[str] = []
    world: World | None = None

    def trace(text: str) -> None:
        assert world is not None
        lines.append(f"{world.scheduler.now:12.3f}  {text}")

    world = make_world(plan, workload, seed, trace if traced else None)
    violations: list[Violation] = []
    try:
        clients = Clients(world)
        clients.start()
        try:
            world.scheduler.run(
                HORIZON_SECONDS, lambda: clients.broken is not None or (not clients.running and world.settled())
            )
        except LivelockError as error:
            violations.append(Violation("livelock", str(error)))
        if clients.broken is not None:
            raise clients.broken
        violations += check(world)
        return Outcome(violations, world.scheduler.now, world.scheduler.steps, len(workload.tasks), lines)
    finally:
        world.clear()


def run_seed(seed: int, *, traced: bool = False, make_world: MakeWorld = World) -> Outcome:
    """The history that follows from a seed."""
    rng = random.Random(seed)
    workload = workloads.drawn(rng)
    plan = FaultPlan.drawn(rng)
    return run(plan, workload, seed, traced=traced, make_world=make_world)


__all__ = ["Outcome", "run", "run_seed", "true_ms"]
