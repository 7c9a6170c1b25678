"""One history from beginning to end: set the clients going, let time pass, judge what happened."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field

from tests.simulation import workload as workloads
from tests.simulation.checker import Violation, check
from tests.simulation.clients import Clients
from tests.simulation.faults import FaultPlan
from tests.simulation.loop import LivelockError
from tests.simulation.roles import Roles
from tests.simulation.tally import tally
from tests.simulation.workload import Workload
from tests.simulation.world import World

HORIZON_SECONDS = 10 * 86_400.0


@dataclass
class Outcome:
    """What came of a history.

    Attributes:
        seconds: Virtual time that passed.
        steps: Callbacks that ran.
        tally: What occurred in it, how often.
        trace: What happened, step by step, if that was asked for.
    """

    plan: FaultPlan
    workload: Workload
    violations: list[Violation]
    seconds: float
    steps: int
    tally: Counter[str]
    trace: list[str] = field(default_factory=list)


def run(
    plan: FaultPlan, workload: Workload, seed: int, *, traced: bool = False, roles: type[Roles] | None = None
) -> Outcome:
    """Run one history and judge it.

    Args:
        plan: What goes wrong.
        workload: What is asked of the fleet.
        seed: Of all that is left to chance.
        traced: Keep a record of every step.
        roles: Another wiring than the system's own.
    """
    lines: list[str] = []
    world: World | None = None

    def trace(text: str) -> None:
        assert world is not None
        lines.append(f"{world.scheduler.now:12.3f}  {text}")

    world = World(plan, workload, seed, trace if traced else None, roles or Roles)
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
        return Outcome(plan, workload, violations, world.scheduler.now, world.scheduler.steps, tally(world), lines)
    finally:
        world.clear()


def run_seed(seed: int, *, traced: bool = False, roles: type[Roles] | None = None) -> Outcome:
    """The history that follows from a seed."""
    rng = random.Random(seed)
    workload = workloads.drawn(rng)
    plan = FaultPlan.drawn(rng)
    return run(plan, workload, seed, traced=traced, roles=roles)
