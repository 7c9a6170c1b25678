"""`docs/observability.md` says of every metric what the code does: its name, unit and dimensions, and what all cost."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from capacity import prices
from flotilla.events import Kind
from flotilla.runtime.metrics import DIMENSIONS
from flotilla.services import circuit_notices, task_metrics
from tests.fakes.metrics import MemoryMetrics
from tests.logs import LogBuilder, log_of

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = (REPOSITORY / "docs" / "observability.md").read_text(encoding="utf-8")
METRIC = re.compile(r"[A-Z][a-z]+([A-Z][a-z]+)+")
SIZES = {"Lane": 3, "Agent": 5, "Class": 1, "Model": 2, "Route": 1, "Integration": 2, "Circuit": 4, "Protection": 4}
LIMITS = 7
"""Kinds of limits in the fleet that the page speaks of."""

Said = dict[str, tuple[str, frozenset[str]]]


def documented() -> Said:
    """Unit and dimensions by name."""
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| ([\w, ]*?) ?\| .+ \|$", PAGE, re.MULTILINE)
    return {name: (unit, frozenset(filter(None, re.split(r",\s*", of.strip())))) for name, unit, of in rows}


def calls() -> Iterator[tuple[str, str, frozenset[str] | None]]:
    """Name, unit and dimensions of each metric that is counted by its name; None for dimensions in a dict."""
    for folder in ("layers/flotilla/python/flotilla", "functions"):
        for file in (REPOSITORY / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                    continue
                if node.func.attr not in ("count", "measure") or not node.args:
                    continue
                name = node.args[0].value if isinstance(node.args[0], ast.Constant) else None
                if isinstance(name, str) and METRIC.fullmatch(name):
                    yield name, _unit(node, node.func.attr), _dimensions(node)


def _unit(call: ast.Call, kind: str) -> str:
    given = [*call.args[2:3], *(each.value for each in call.keywords if each.arg == "unit")]
    if given:
        assert isinstance(given[0], ast.Constant)
        return str(given[0].value)
    return {"count": "Count", "measure": "Milliseconds"}[kind]


def _dimensions(call: ast.Call) -> frozenset[str] | None:
    names = [each.arg for each in call.keywords if each.arg not in ("unit", "amount", "value")]
    return None if None in names else frozenset(str(name).capitalize() for name in names)


def of_tasks() -> dict[str, frozenset[str]]:
    """Dimensions of what is counted of tasks."""
    metrics = MemoryMetrics()
    costly = LogBuilder()
    costly.add(Kind.ACCEPTED, actor="key:k1")
    costly.add(Kind.STARTED, attempt=1)
    costly.add(Kind.SUCCEEDED, usage={"duration_ms": 1, "cost_usd": 1.0, "peak_memory_mb": 1})
    logs = [
        costly.events,
        log_of(Kind.PARKED, Kind.STARTED, Kind.STARTED, Kind.ATTEMPT_FAILED, Kind.EXPIRED),
        log_of(Kind.STARTED, Kind.DEAD_LETTERED),
    ]
    for log in logs:
        task_metrics.TaskMetrics(metrics, {}).tell(log, 0)
    return {name: frozenset(map(str.capitalize, dimensions)) for name, dimensions in metrics.dimensions().items()}


def test_every_metric_is_documented_and_every_one_documented_is_counted() -> None:
    counted = {name for name, _, _ in calls()} | of_tasks().keys()
    counted |= set(circuit_notices._COUNTED_AS.values())
    by_the_scaler = {name for name in documented() if name.startswith("Lane")}
    source = (REPOSITORY / "layers/flotilla/python/flotilla/services/scale.py").read_text(encoding="utf-8")
    assert all(f'"{name}"' in source for name in by_the_scaler)
    assert documented().keys() == counted | by_the_scaler


def test_units_and_dimensions_are_as_documented() -> None:
    said = documented()
    for name, unit, dimensions in calls():
        assert said[name][0] == unit, name
        assert dimensions is None or said[name][1] == dimensions, name
    for name, dimensions in of_tasks().items():
        assert said[name][1] == dimensions, name
    for _, dimensions in said.values():
        assert {each.lower() for each in dimensions} <= DIMENSIONS


def test_what_they_cost_is_as_documented() -> None:
    sizes = SIZES | {"Limit": LIMITS}
    sets = sum(1 + sum(sizes[each] for each in dimensions) for _, dimensions in documented().values())
    dollars = sets * prices.METRIC_MONTHS
    assert f"at the most {sets} of them, ${dollars:.0f} a month" in " ".join(PAGE.split())
    agents = sum("Agent" in dimensions for _, dimensions in documented().values())
    assert {7: "seven", 8: "eight", 9: "nine"}[agents] + " each" in PAGE
