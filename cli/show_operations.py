"""Lanes, dead letters, pauses, circuits, limits and endpoints on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

_CIRCUIT_STYLES = {"open": "red", "half_open": "yellow", "ramping": "yellow"}
_OUTCOME_STYLES = {"redriven": "green", "would_redrive": "cyan", "failed": "red", "not_found": "red"}


def _table(*headings: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table


def _text(value: Any) -> str:
    return "-" if value is None else str(value)


def show_lanes(console: Console, lanes: Sequence[Any]) -> None:
    """Print the lanes, a line each; `-` is not known."""
    counts = ("depth", "in flight", "oldest (s)", "delayed", "dead")
    table = _table("lane", "state", *counts, "now", "allowed/max", "lent", "borrowed")
    for lane in lanes:
        concurrency = lane["concurrency"]
        table.add_row(
            lane["name"],
            Text(lane["state"], style="yellow" if lane["state"] == "paused" else ""),
            *(_text(lane[name]) for name in ("depth", "in_flight", "age_of_oldest_seconds", "delayed", "dead")),
            _text(concurrency["now"]),
            f"{_text(concurrency['allowed'])}/{_text(concurrency['max'])}",
            *(_text(concurrency[name] or None) for name in ("lent", "borrowed")),
        )
    console.print(table, markup=False)


def show_state(console: Console, scope: str, name: str, state: str) -> None:
    """Say what is paused or active now."""
    console.print(f"{scope} {name}".strip() + f" is {state}", markup=False, highlight=False)


def show_circuits(console: Console, circuits: Sequence[Any]) -> None:
    """Print circuits, a line each."""
    table = _table("circuit", "state", "failing", "p99 (ms)", "calls", "opened", "reason")
    table.columns[0].no_wrap = True
    for circuit in circuits:
        rate, p99_ms = circuit["failure_rate"], circuit["p99_ms"]
        held = "" if circuit["mode"] == "auto" else "held "
        table.add_row(
            circuit["name"],
            Text(held + circuit["state"], style=_CIRCUIT_STYLES.get(circuit["state"], "yellow" if held else "")),
            "-" if rate is None else f"{rate:.1%}",
            "-" if p99_ms is None else f"{p99_ms:.0f}",
            *(_text(circuit[name]) for name in ("volume", "opened_at", "reason")),
        )
    console.print(table, markup=False)


def show_limits(console: Console, limits: Sequence[Any]) -> None:
    """Print limits, a line each; `per` says of whom each has as much."""
    table = _table("limit", "a minute", "burst", "per", "left", "source", "declared")
    table.columns[0].no_wrap = True
    for limit in limits:
        declared = limit["declared"]
        table.add_row(
            limit["name"],
            str(limit["rate_per_minute"]),
            str(limit["burst"]),
            _text(limit["per"]),
            _text(limit["remaining"]),
            Text(limit["source"], style="yellow" if limit["source"] == "set" else ""),
            "-" if declared is None else f"{declared['rate_per_minute']}, {declared['burst']}",
        )
    console.print(table, markup=False)


def show_groups(console: Console, groups: Sequence[Any]) -> None:
    """Print dead letters by agent and cause."""
    table = _table("count", "agent", "cause", "fingerprint", "newest", "sample")
    for group in groups:
        table.add_row(
            str(group["count"]),
            _text(group["agent"]),
            group["cause"],
            _text(group.get("fingerprint")),
            group["newest_at"],
            _text(group["sample_task_id"]),
        )
    console.print(table, markup=False)


def show_dead_letters(console: Console, letters: Sequence[Any], *, whole: bool = False) -> None:
    """Print dead letters; with `whole`, each error in its own words instead of the cause it was grouped under."""
    table = _table("task", "agent", "lane", "attempts", "at", "error" if whole else "cause")
    for letter in letters:
        said = letter.get("message") if whole else letter.get("cause")
        table.add_row(
            _text(letter["task_id"]) if letter["task_id"] else f"message {letter.get('message_id', '')}",
            _text(letter["agent"]),
            _text(letter["lane"]),
            _text(letter.get("attempts")),
            _text(letter.get("dead_lettered_at")),
            _text(said or letter.get("reason")),
        )
    console.print(table, markup=False)


def show_redrive(console: Console, item: Any) -> None:
    """Print what became, or would become, of one dead letter."""
    line = Text(f"{item['task_id']}  ").append(item["outcome"], style=_OUTCOME_STYLES.get(item["outcome"], ""))
    line.append(f"  {_text(item.get('agent'))}  {_text(item.get('cause'))}", style="dim")
    console.print(line, no_wrap=True, overflow="ellipsis", highlight=False)


def show_webhooks(console: Console, endpoints: Sequence[Any]) -> None:
    """Print endpoints, a line each."""
    table = _table("id", "state", "url", "events")
    for endpoint in endpoints:
        table.add_row(endpoint["id"], _text(endpoint["state"]), endpoint["url"], " ".join(endpoint["events"]))
    console.print(table, markup=False)
