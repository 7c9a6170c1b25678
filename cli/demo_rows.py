"""What the demo's table says of one document, taken from its task.

Invariant: a row is complete only if every column was really found in the task; nothing is filled in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from cli.client import Task
from cli.corpus import Document

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Row:
    """One document's line.

    Attributes:
        score: How sure the classification is, from 0 to 1.
        run_ms: How long the attempt that succeeded ran.
        total_ms: From the moment the task was accepted to the one its result was committed.
        problem: Why there is no result, or what is missing in it; None in a complete row.
    """

    document: str
    characters: int
    task_id: str | None = None
    document_class: str | None = None
    score: float | None = None
    sections: int | None = None
    dates: int | None = None
    summary: str | None = None
    attempts: int | None = None
    run_ms: int | None = None
    total_ms: int | None = None
    problem: str | None = None

    @property
    def complete(self) -> bool:
        """The task succeeded and every column has its value."""
        return self.problem is None


def refused_row(document: Document, problem: str) -> Row:
    """The row of a document that never became a task."""
    return Row(document=document.name, characters=len(document.text), problem=problem)


def row_of(document: Document, task: Task) -> Row:
    """The row of a document whose task is known."""
    output = task.get("output")
    found: dict[str, Any] = {
        "document_class": _found(lambda: _text(output["document_class"])),
        "score": _found(lambda: _share(output["score"])),
        "sections": _found(lambda: _count(output["counts"]["sections"])),
        "dates": _found(lambda: _count(output["counts"]["dates"])),
        "summary": _found(lambda: _text(output["summary"][0]["text"])),
        "attempts": _found(lambda: _count(task["attempt"])),
        "run_ms": _found(lambda: _count(task["usage"]["duration_ms"])),
        "total_ms": _found(lambda: _milliseconds(task["created_at"], task["finished_at"])),
    }
    return Row(
        document=document.name,
        characters=len(document.text),
        task_id=task["id"],
        problem=_problem(task, found),
        **found,
    )


def _problem(task: Task, found: dict[str, Any]) -> str | None:
    if task["status"] != "succeeded":
        error = task.get("error")
        return f"{task['status']}: {error['code']}: {error['message']}" if error else task["status"]
    missing = [name for name, value in found.items() if value is None]
    return f"the result lacks {', '.join(missing)}" if missing else None


def _found(look: Callable[[], T]) -> T | None:
    """What `look` finds; None where the task has no such member or it is no such value."""
    try:
        return look()
    except (KeyError, IndexError, TypeError, ValueError):
        return None


def _text(value: Any) -> str:
    text = " ".join(value.split()) if isinstance(value, str) else ""
    if not text:
        raise ValueError("no text")
    return text


def _share(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError("no share")
    return float(value)


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError("no count")
    return value


def _milliseconds(begin: str, end: str | None) -> int:
    if end is None:
        raise ValueError("not ended")
    elapsed = datetime.fromisoformat(end) - datetime.fromisoformat(begin)
    return _count(round(elapsed.total_seconds() * 1000))
