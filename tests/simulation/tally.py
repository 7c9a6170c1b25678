"""What occurred in a history: whether it put anything to the test at all."""

from __future__ import annotations

from collections import Counter

from flotilla.events import Event, Kind
from tests.simulation.agents import TIMEOUT_SECONDS
from tests.simulation.world import World


def tally(world: World) -> Counter[str]:
    """How often each thing occurred; what did not is not in it."""
    found: Counter[str] = Counter(f"call: {fault.value}" for _, _, fault in world.faults.dealt)
    found.update({f"fault: {name}": count for name, count in world.faults.happened.items()})
    if world.faults.plan.skew_seconds:
        found["fault: skew"] = 1
    for written in world.history.written:
        found[written.event.kind.value] += 1
        found.update(_told(written.event))
    found["process died"] = sum(not process.alive for process in world.processes)
    found["run died"] = sum(run.ending == "died" for run in world.history.runs)
    found["run timed out"] = sum(
        run.ended is not None and run.ended - run.began >= TIMEOUT_SECONDS for run in world.history.runs
    )
    found["state told"] = len(world.states.told)
    found["state told too late"] = len(world.states.late)
    found["pause"] = len(world.history.pauses)
    found["reconciler ran"] = world.ticks
    found["redriven to success"] = _redriven_to_success(world)
    sessions = Counter(
        (task.tenant, task.session, task.lane) for task in world.workload.tasks.values() if task.session is not None
    )
    found["session of several"] = sum(count > 1 for count in sessions.values())
    for answer in world.history.answers:
        if answer.what == "submit" and answer.value.replayed:
            found["submit repeated"] += 1
    return +found


def _told(event: Event) -> list[str]:
    body = event.body
    match event.kind:
        case Kind.ACCEPTED if body.get("due_at_ms") is not None:
            return ["delayed"]
        case Kind.STARTED if "takes_over" in body:
            return ["taken over"]
        case Kind.PARKED:
            return [f"parked: {body['reason']}"]
        case Kind.DEAD_LETTERED:
            return [f"dead: {body['cause']}"]
        case Kind.SUCCEEDED if body["usage"].get("cached"):
            return ["answered from a cache"]
        case Kind.SUCCEEDED if body.get("turns"):
            return ["remembered"]
        case _:
            return []


def _redriven_to_success(world: World) -> int:
    kinds: dict[str, list[Kind]] = {}
    for written in world.history.written:
        kinds.setdefault(written.event.task_id, []).append(written.event.kind)
    return sum(Kind.REDRIVEN in log and log[-1] is Kind.SUCCEEDED for log in kinds.values())
