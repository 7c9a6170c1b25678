"""`flotilla health`: how the fleet is on a terminal, and by the exit status whether it is well."""

from __future__ import annotations

from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli.calls import Calls, json_of

_STYLES = {
    "healthy": "green",
    "degraded": "yellow",
    "unhealthy": "red",
    "ok": "green",
    "succeeded": "green",
    "down": "red",
    "failed": "red",
    "paused": "yellow",
    "behind": "yellow",
}


async def fleet_health(calls: Calls) -> Any:
    """What the API says of the fleet.

    Raises:
        ApiError: It was refused, or the API could not be reached.
    """
    return json_of(await calls.call("GET", "/v1/health", operating=True))


def show_health(console: Console, health: Any) -> None:
    """Print the verdict with its reasons, then what was looked at, a line each; `-` is not known."""
    console.print(Text(health["status"], style=_STYLES.get(health["status"], "")), highlight=False)
    for reason in health["reasons"]:
        console.print(f"  {reason}", markup=False, highlight=False, soft_wrap=True)
    table = _table("dependency", "status", "ms", "since")
    for each in health["dependencies"]:
        table.add_row(each["name"], _styled(each["status"]), str(each["latency_ms"]), each["since"])
    table.add_row("read model follows", _styled(health["read_model"]["status"]), "-", "-")
    console.print(table, markup=False)
    table = _table("lane", "state", "depth", "in flight", "oldest (s)", "objective (s)", "canary", "ms", "sent")
    for lane in health["lanes"]:
        canary = lane["canary"] or {"status": None, "latency_ms": None, "at": None}
        numbers = ("depth", "in_flight", "age_of_oldest_seconds", "objective_seconds")
        table.add_row(
            lane["name"],
            _styled(lane["state"]),
            *(_text(lane[name]) for name in numbers),
            _styled(canary["status"]),
            _text(canary["latency_ms"]),
            _text(canary["at"]),
        )
    console.print(table, markup=False)


def _table(*headings: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table


def _styled(status: str | None) -> Text:
    return Text(_text(status), style=_STYLES.get(status or "", ""))


def _text(value: Any) -> str:
    return "-" if value is None else str(value)
