"""Tasks, logs and agents on a terminal. Everything that `--json` would print is there in full; this is the digest."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli.client import Agent, Event, Task

_STATUS_STYLES = {
    "succeeded": "green",
    "dead_lettered": "red",
    "expired": "red",
    "cancelled": "red",
    "retrying": "yellow",
    "parked": "yellow",
    "waiting": "yellow",
}
_COMMON_TO_EVENTS = frozenset({"seq", "kind", "at", "actor", "attempt", "hash", "prev_hash"})
_HASH_CHARACTERS = 8
_ID_CHARACTERS = len("tsk_") + 32
_STATUS_CHARACTERS = len("dead_lettered")


def show_task(console: Console, task: Task) -> None:
    """Print a task: what became of it, then its output."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim")
    grid.add_column(overflow="fold")
    grid.add_row("task", task["id"])
    grid.add_row("status", Text(task["status"], style=_STATUS_STYLES.get(task["status"], "")))
    grid.add_row("agent", f"{task['agent']} @ {task['agent_version']}")
    grid.add_row("lane", task["lane"] + (f", session {task['session']}" if task.get("session") else ""))
    grid.add_row("attempt", f"{task['attempt']} of {task['max_attempts']}")
    for name in ("created_at", "due_at", "started_at", "finished_at", "deadline"):
        if task.get(name) is None and name in ("due_at", "deadline"):
            continue
        grid.add_row(name, str(task.get(name) or ""))
    waiting = task.get("waiting")
    if waiting:
        until = f" until {waiting['until']}" if waiting["until"] else ""
        grid.add_row("waiting", Text(f"for {waiting['for']} since {waiting['since']}{until}", style="yellow"))
        if waiting["detail"] is not None:
            grid.add_row("", Text(json.dumps(waiting["detail"], ensure_ascii=False)))
    error = task.get("error")
    if error:
        grid.add_row("error", Text(f"{error['code']}: {error['message']}", style="red"))
    budget = task.get("budget_usd")
    if budget is not None:
        grid.add_row("budget_usd", dollars(budget))
    failovers: list[dict[str, str]] = task["usage"].get("failovers") or []
    usage = ", ".join(
        f"{name} {dollars(value) if name == 'cost_usd' else value}"
        for name, value in task["usage"].items()
        if value and name != "failovers"
    )
    if usage:
        grid.add_row("usage", usage)
    for each in failovers:
        grid.add_row("failover", f"{each['route']}: {each['served']} instead of {each['requested']}, {each['why']}")
    if task.get("output_url"):
        grid.add_row("output_url", task["output_url"])
    console.print(grid, highlight=False, markup=False)
    if task.get("output") is not None:
        console.print_json(json.dumps(task["output"]), ensure_ascii=False)


def dollars(amount: float) -> str:
    """As a person reads it: a call may cost a few millionths."""
    whole, _, part = f"{amount:.6f}".partition(".")
    return f"{whole}.{part.rstrip('0').ljust(2, '0')}"


def show_tasks(console: Console, tasks: Sequence[Task]) -> None:
    """Print tasks, a line each. The id is never cut: it is what one types next."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("task", no_wrap=True, min_width=_ID_CHARACTERS)
    table.add_column("status", no_wrap=True, min_width=_STATUS_CHARACTERS)
    for heading in ("agent", "created_at", "error or due"):
        table.add_column(heading, overflow="fold")
    for task in tasks:
        error = task.get("error")
        waiting = task.get("waiting")
        last = f"{error['code']}: {error['message']}" if error else str(task.get("due_at") or "")
        if waiting:
            last = f"waits for {waiting['for']}" + (f" until {waiting['until']}" if waiting["until"] else "")
        status = Text(task["status"], style=_STATUS_STYLES.get(task["status"], ""))
        table.add_row(task["id"], status, task["agent"], task["created_at"], Text(last))
    console.print(table, markup=False)


def show_events(console: Console, events: Sequence[Event]) -> None:
    """Print a task's log, two lines an event: what happened, and what the kind says beside it."""
    for event in events:
        line = Text(f"{event['seq']:>3}  ").append(f"{event['kind']:<15}", style="bold")
        line.append(f"  {event['at']}  attempt {event['attempt']}  ")
        line.append(event["hash"][:_HASH_CHARACTERS], style="cyan").append(f"  {event['actor']}", style="dim")
        console.print(line, no_wrap=True, overflow="ellipsis", highlight=False)
        rest = {name: value for name, value in event.items() if name not in _COMMON_TO_EVENTS and value is not None}
        if rest:
            details = Text(f"     {json.dumps(rest, ensure_ascii=False)}", style="dim")
            console.print(details, no_wrap=True, overflow="ellipsis", highlight=False)


def show_agents(console: Console, agents: Sequence[Agent]) -> None:
    """Print the deployed agents with the members of their input; a member in brackets may be left out."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("agent", "version", "lane"):
        table.add_column(heading, no_wrap=True)
    table.add_column("input")
    for agent in agents:
        table.add_row(agent["name"], agent["version"], agent["lane"], _members(agent["input_schema"]))
    console.print(table, markup=False)


def _members(schema: dict[str, Any]) -> Text:
    required = schema.get("required", [])
    optional = [f"[{name}]" for name in schema.get("properties", {}) if name not in required]
    return Text(" ".join([*required, *optional]) or str(schema.get("type", "any")))
