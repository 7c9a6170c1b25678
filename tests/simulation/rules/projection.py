"""What follows the log is what follows from the log."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from flotilla.services.project import entry_of_log
from tests.simulation.processes import drive
from tests.simulation.rules.case import Case, Violation


def projected(case: Case) -> Iterator[Violation]:
    """Each task's entry is the fold of its log, and there is no other."""
    entries = case.world.views.entries
    for task in case:
        if task.state is None:
            continue
        wanted = entry_of_log(task.events)
        found = entries.get(task.task_id)
        if found is None or replace(found, archive_key=None, look_at_ms=wanted.look_at_ms) != wanted:
            yield Violation("projection", f"{task.name}: its entry says {found}, its log {wanted}")
    for task_id in entries.keys() - case.tasks.keys():
        yield Violation("projection", f"an entry of {task_id}, which has no log")


def archived(case: Case) -> Iterator[Violation]:
    """What an entry says is archived is there, and is the log."""
    for task in case:
        entry = case.world.views.entries.get(task.task_id)
        if entry is None or task.state is None or not task.state.status.terminal:
            continue
        if entry.archive_key is None:
            if not case.faults.trouble(("archive",), 0.0, case.world.scheduler.now):
                yield Violation("archive", f"{task.name} has ended and is not archived")
        elif drive(case.world.archive.get(entry.archive_key, task.task_id)) != task.events:
            yield Violation("archive", f"{task.name}: what is archived is not its log")


RULES = (projected, archived)
