"""References to tasks' outputs, `{"$task_output": "tsk_…"}`: how a workflow passes on what is too large for its states.

Invariant: what an agent is given as input holds none. A reference that does not lead to a result of the same run stays
where it is, and a task whose input holds one is refused before its agent sees it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

REFERENCE = "$task_output"

_SHOWN = 3


def reference_to(task_id: str) -> dict[str, str]:
    """What stands for the task's output."""
    return {REFERENCE: task_id}


def references_in(value: Any) -> Iterator[str]:
    """The ids of all tasks to whose outputs `value` refers, each as often as it does."""
    rest = [value]
    while rest:
        found = rest.pop()
        if isinstance(found, dict):
            task_id = _referred(found)
            if task_id is not None:
                yield task_id
            else:
                rest.extend(found.values())
        elif isinstance(found, list):
            rest.extend(found)


def with_outputs(value: Any, outputs: Mapping[str, Any]) -> Any:
    """`value` with the outputs of those tasks that are among `outputs` in the references' places."""
    if isinstance(value, dict):
        task_id = _referred(value)
        if task_id is not None:
            return outputs.get(task_id, value)
        return {name: with_outputs(member, outputs) for name, member in value.items()}
    if isinstance(value, list):
        return [with_outputs(member, outputs) for member in value]
    return value


def complaint(value: Any) -> str | None:
    """Why an input is none, because of references that lead nowhere; None where it holds no reference."""
    left = sorted(set(references_in(value)))
    if not left:
        return None
    shown = ", ".join(task_id[:64] for task_id in left[:_SHOWN])
    more = f" and {len(left) - _SHOWN} more" if len(left) > _SHOWN else ""
    return f"it refers to outputs that are none of this run, or too many or too large: {shown}{more}"


def _referred(value: dict[Any, Any]) -> str | None:
    task_id = value.get(REFERENCE) if len(value) == 1 else None
    return task_id if isinstance(task_id, str) else None
