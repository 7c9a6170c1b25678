from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flotilla.events import fold, verify_chain


@dataclass(frozen=True)
class Violation:
    rule: str
    what: str


def check(world: Any) -> list[Violation]:
    found = []
    for task_id, log in world.log.logs.items():
        events = [e for _, e in sorted(log.items())]
        try:
            verify_chain(events)
            state = fold(events)
        except Exception as error:
            found.append(Violation("log", repr(error)))
            continue
        if not state.status.terminal and any(a.task_id == task_id for a in world.history.accepted()):
            found.append(Violation("liveness", f"{task_id} {state.status} {[e.kind.value for e in events]}"))
    for b in world.history.broken:
        found.append(Violation("broken", b))
    return found
