"""What a step of a workflow costs, beside a task that is submitted: `python -m benchmarks.workflow_cost`.

Counted on a step that is run in memory by the worker's own services: writes by the size of what is written, calls by
their names. The rest is what `benchmarks.cost` counted of a task, without the API's part of it; nothing is timed here.
"""

from __future__ import annotations

import random
import re
import string
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.report import publish, table
from capacity import prices
from flotilla.dynamo.event_log import to_item
from tests.unit.services import sample_agents
from tests.unit.services.crashes import Calls
from tests.unit.services.fleet import Fleet, run
from tests.unit.services.ordering import asked, order_of, worked

_TASK = Path(__file__).resolve().parents[1] / "cost" / "results.md"
_WRITE_UNIT_BYTES = 1024
_LETTERS = string.ascii_letters + string.digits + "+/"
_TOKENS = {"a token of 800 characters": 800, "of 2,048, the most that AWS allows": 2048}
_OF_THE_API = re.compile(r"HTTP API|of (authorizer|api)$|write units of events")


def _task_lines() -> dict[str, tuple[float, float]]:
    """What a task that is submitted singly takes, and its price, by what it is."""
    section = _TASK.read_text(encoding="utf-8").split("\n## ")[1]
    rows = re.findall(r"^\| ([A-Z][^|]+?) +\| ([\d.]+) +\| ([\d.]+) +\|(?: [\d.]+ +\|)+$", section, re.MULTILINE)
    return {what: (float(units), float(price)) for what, units, price in rows}


def _units(item: dict[str, Any]) -> int:
    """Write units, a kilobyte each: of an item count the names and the values."""
    values = [next(iter(value.values())) for value in item.values()]
    size = sum(map(len, item)) + sum(len(value if isinstance(value, bytes) else value.encode()) for value in values)
    return -(-size // _WRITE_UNIT_BYTES)


def _count(token_characters: int) -> tuple[Counter[str], int]:
    """The calls of a worker over one step, and the write units of its log."""
    fleet, calls = Fleet([sample_agents.echo]), Calls()
    # As AWS's own, it cannot be compressed.
    token = "".join(random.Random(1).choices(_LETTERS, k=token_characters))
    body = asked(fleet, value="x" * 100, token=token)
    worked(fleet, body, process=fleet.process(calls))
    task_id = order_of(body).task_id
    events = run(fleet.log.read(task_id))
    return Counter(calls.made), sum(_units(to_item(event, 0)) for event in events)


def main() -> int:
    """Count, print and keep the result."""
    task = _task_lines()
    bills, totals = [], {}
    for name, characters in _TOKENS.items():
        calls, units = _count(characters)
        lines = _bill(task, units, calls)
        totals[name] = sum(per * price for _, per, price in lines)
        if not bills:
            rows = [[what, f"{per:.4f}", f"{price:.4g}", f"{per * price:.3f}"] for what, per, price in lines]
            rows.append(["**total**", "", "", f"**{totals[name]:.2f}**"])
            bills.append(table(["what", "a step", "$ for a million", "$ for a million steps"], rows))
    whole = sum(per * price for per, price in task.values())
    compared = [[name, f"{total:.2f}", f"{total / whole:.1f}"] for name, total in totals.items()]
    publish(
        __file__,
        "What a step of a workflow costs",
        f"{bills[0]}\n\nA task that a client submits singly costs ${whole:.2f} a million; a step, with\n\n"
        f"{table(['', '$ for a million steps', 'times a task'], compared)}\n\n"
        "A state that asks for no task costs its transition. Retries of a state are transitions and tasks again. "
        "Answering the state, starting an execution and waiting cost nothing.",
    )
    return 0


def _bill(task: dict[str, tuple[float, float]], units: int, calls: Counter[str]) -> list[tuple[str, float, float]]:
    views, price = task["DynamoDB: write units of views"]
    return [
        ("Step Functions: state transitions", 1.0, prices.STATE_TRANSITIONS),
        ("Step Functions: answers to states", float(calls["succeed"]), 0.0),
        ("DynamoDB: write units of events", float(units), prices.WRITE_UNITS),
        ("DynamoDB: write units of the index of runs", views, price),
        *((what, per, each) for what, (per, each) in task.items() if not _OF_THE_API.search(what)),
    ]


if __name__ == "__main__":
    sys.exit(main())
