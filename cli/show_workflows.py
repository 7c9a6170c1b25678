"""Runs of workflows on a terminal. Everything that `--json` would print is there in full; this is the digest."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli.client import Task
from cli.run_tree import STATUS_STYLES, WIDE_CHARACTERS, elapsed_of, tree
from cli.show import dollars
from cli.workflow_board import is_plain
from cli.workflows import Run, Seen

_ID_CHARACTERS = len("wfl_") + 32
_STATUS_CHARACTERS = len("dead_lettered")
_RUN_STATUS_CHARACTERS = len("succeeded")
_SHORT_TIME = slice(len("2026-"), len("2026-11-21T09:00"))
_COMMON_TO_EVENTS = frozenset(
    {"seq", "kind", "at", "actor", "attempt", "hash", "prev_hash", "task_id", "step", "workflow_id", "tenant"}
)


def show_run(console: Console, run: Run) -> None:
    """Print a run: its steps as a tree, what became of it, then its output."""
    wide, elapsed = console.width >= WIDE_CHARACTERS, elapsed_of(Seen(run, None))
    console.print(tree(run, elapsed_seconds=elapsed, plain=is_plain(console), wide=wide), highlight=False)
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim")
    grid.add_column(overflow="fold")
    for name in ("created_at", "finished_at", "deadline", "output_url"):
        if run.get(name):
            grid.add_row(name, str(run.get(name)))
    for step in run.get("steps", []):
        if step["status"] == "waiting" and step["task_ids"]:
            grid.add_row("waits", f"{step['name']}: {step['task_ids'][0]}")
    labels = run.get("labels")
    if labels:
        grid.add_row("labels", " ".join(f"{name}={text}" for name, text in labels.items()))
    error = run.get("error")
    if error:
        grid.add_row("error", Text(f"{error['code']}: {error['message']}", style="red"))
    usage = ", ".join(
        f"{name} {dollars(value) if name.endswith('_usd') else value}"
        for name, value in (run.get("usage") or {}).items()
        if value and name != "complete"
    )
    if usage:
        grid.add_row("usage", usage)
    console.print(grid, highlight=False, markup=False)
    if run.get("output") is not None:
        console.print_json(json.dumps(run["output"]), ensure_ascii=False)


def show_runs(console: Console, runs: Sequence[Run]) -> None:
    """Print runs, a line each. The id is never cut: it is what one types next."""
    table = _table("run", _RUN_STATUS_CHARACTERS)
    table.add_column("created", no_wrap=True)
    table.add_column("workflow", overflow="fold")
    failed = any(run.get("error") for run in runs)
    if failed:
        table.add_column("error", overflow="fold")
    for run in runs:
        error = run.get("error")
        status = Text(run["status"], style=STATUS_STYLES.get(run["status"], ""))
        cells: list[str | Text] = [run["id"], status, _short_time(run["created_at"]), run["workflow"]]
        table.add_row(*cells, *([f"{error['code']}: {error['message']}" if error else ""] if failed else []))
    console.print(table, markup=False)


def show_run_tasks(console: Console, tasks: Sequence[Task]) -> None:
    """Print the tasks of a run, a line each, with the step that asked for each."""
    table = _table("task", _STATUS_CHARACTERS)
    table.add_column("step", overflow="fold", min_width=12)
    table.add_column("error", overflow="fold")
    for task in tasks:
        error = task.get("error")
        table.add_row(
            task["id"],
            Text(task["status"], style=STATUS_STYLES.get(task["status"], "")),
            step_of(task),
            f"{error['code']}: {error['message']}" if error else "",
        )
    console.print(table, markup=False)


def step_of(task: Any) -> str:
    """The step that asked for a task."""
    return str((task.get("workflow") or {}).get("step") or "")


def show_story(console: Console, events: Sequence[Any]) -> None:
    """Print what happened in a run and in its tasks, in order: who, what, and what the kind says beside it."""
    whose = max((len(_whose(event)) for event in events), default=0)
    for event in events:
        line = Text(f"{event['at']}  {_whose(event):<{whose}}  ").append(f"{event['kind']:<15}", style="bold")
        line.append(f"  {event['task_id']}", style="cyan")
        line.append(f"  attempt {event['attempt']}  {event['actor']}", style="dim")
        console.print(line, no_wrap=True, overflow="ellipsis", highlight=False)
        rest = {name: value for name, value in event.items() if name not in _COMMON_TO_EVENTS and value is not None}
        if rest:
            details = Text(f"  {json.dumps(rest, ensure_ascii=False)}", style="dim")
            console.print(details, no_wrap=True, overflow="ellipsis", highlight=False)


def _short_time(time: str) -> str:
    return time[_SHORT_TIME].replace("T", " ")


def _whose(event: Any) -> str:
    return str(event.get("step") or "the run")


def _table(identifier: str, status_characters: int) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(identifier, no_wrap=True, min_width=_ID_CHARACTERS)
    table.add_column("status", no_wrap=True, min_width=status_characters)
    return table
