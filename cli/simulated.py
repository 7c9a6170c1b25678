"""`flotilla plan --simulate`: the load, minute by minute, in the model of SQS and Lambda; as text and as a drawing.

The load sets in at once, after a time without any, and stays. The lanes are scaled as the fleet's own scaler would, by
its own policy, from their minimum; without it each has its maximum at all times.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from capacity import quotas
from capacity.fleet_shape import FleetShape, LaneLoad
from capacity.simulation import (
    LaneResult,
    Load,
    Observed,
    Point,
    Result,
    Rules,
    Scaler,
    Setting,
    SimulatedLane,
    simulate,
    steady,
)
from cli.drawing import Panel, drawing, number, sparkline
from flotilla.primitives.scaling import LaneBounds, LaneScale, ScalingPolicy, decide
from flotilla.primitives.scaling import LaneLoad as Measured

_MEASURES: tuple[tuple[str, str, Callable[[Point], float]], ...] = (
    ("running", "invocations at once", lambda point: float(point.running)),
    ("maximum", "maximum concurrency", lambda point: float(point.concurrency or 0)),
    ("waiting", "messages waiting", lambda point: float(point.waiting)),
    ("p95 (s)", "seconds waited, 95 of 100 tasks at the most", lambda point: point.wait_p95),
)


@dataclass(frozen=True, slots=True)
class Simulated:
    """What came of it: the result, and of each lane how long a task should wait at the most."""

    result: Result
    objectives: Mapping[str, float]
    scaled: bool

    def to_json(self) -> dict[str, Any]:
        """For programs; minute by minute by lane."""
        return {
            "minutes": self.result.seconds / 60,
            "scaled": self.scaled,
            "dollars": self.result.dollars,
            "lanes": {name: self._lane(name, lane) for name, lane in self.result.lanes.items()},
        }

    def _lane(self, name: str, lane: LaneResult) -> dict[str, Any]:
        members = ("tasks", "left", "dead", "wait_p50", "wait_p95", "wait_p99", "wait_max", "late", "invocations")
        values = {
            member: getattr(lane, member) for member in (*members, "cold_starts", "throttles", "turns", "dollars")
        }
        series = {measure: [of(point) for point in lane.series] for measure, _, of in _MEASURES}
        return {**values, "objective_seconds": self.objectives[name], "series": series}

    def show(self, console: Console) -> None:
        """Print a line and a graph for each measure of each lane."""
        how = "scaled by the fleet's own policy" if self.scaled else "at their maximum throughout"
        title = f"Simulated: {self.result.seconds / 60:.0f} minutes, lanes {how}"
        console.print(title, style="bold", markup=False, highlight=False, soft_wrap=True)
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for heading in ("lane", "measure", "minute by minute", "most", "last"):
            table.add_column(heading, no_wrap=True, justify="right" if heading in ("most", "last") else "left")
        for name, lane in self.result.lanes.items():
            for measure, _, of in _MEASURES:
                values = [of(point) for point in lane.series]
                table.add_row(name, measure, sparkline(values), number(max(values)), number(values[-1]))
        console.print(table, markup=False)
        for name, lane in self.result.lanes.items():
            waits = f"{lane.wait_p50:.2f} s (p50), {lane.wait_p95:.2f} s (p95), {lane.wait_max:.1f} s at the most"
            each = lane.tasks / max(lane.invocations, 1)
            console.print(
                f"{name}: {lane.tasks:,} tasks in {lane.invocations:,} invocations ({each:.1f} each), "
                f"${lane.dollars:,.2f}; waited {waits}; {lane.late:,} later than {self.objectives[name]:g} s; "
                f"{lane.left:,} left waiting",
                markup=False,
                highlight=False,
                soft_wrap=True,
            )

    def svg(self) -> str:
        """A drawing: a panel for each measure, a line for each lane."""
        panels = [
            Panel(title, {name: [of(point) for point in lane.series] for name, lane in self.result.lanes.items()})
            for _, title, of in _MEASURES
        ]
        return drawing(panels, across="minutes")


def simulated(shape: FleetShape, loads: Sequence[LaneLoad], *, minutes: int, seed: int = 1) -> Simulated:
    """Run the loads on the lanes as they are set.

    Args:
        shape: The fleet.
        loads: What sets in at once.
        minutes: For how long.
        seed: Another is another run of the same load.
    """
    lanes = {load.lane: _lane(shape, load) for load in loads}
    scaler = None if shape.scaler is None else _scaler(shape, loads)
    result = simulate(
        lanes,
        seconds=minutes * 60.0,
        scaler=scaler,
        every_seconds=60.0 if shape.scaler is None else shape.scaler.every_seconds,
        seed=seed,
        rules=Rules(account_concurrency=shape.account_concurrency, architecture=shape.architecture),
    )
    return Simulated(result, {name: lane.objective_seconds for name, lane in lanes.items()}, scaler is not None)


def _lane(shape: FleetShape, load: LaneLoad) -> SimulatedLane:
    lane = shape.lanes[load.lane]
    at_first = lane.maximum_concurrency if shape.scaler is None else lane.minimum_concurrency
    return SimulatedLane(
        Load(steady(load.per_second), steady(load.seconds), sessions=load.sessions),
        Setting(at_first, lane.reserved_concurrency, lane.provisioned_concurrency),
        objective_seconds=lane.objective_seconds,
        memory_mb=lane.memory_mb,
        batch_size=lane.batch_size,
        visibility_seconds=lane.visibility_seconds,
    )


def _scaler(shape: FleetShape, loads: Sequence[LaneLoad]) -> Scaler:
    """The policy that is deployed, told what its function is told."""
    assert shape.scaler is not None
    loaded = {load.lane for load in loads}
    # What lanes without a load have reserved, nobody uses here; the scaler lends it to those that may borrow.
    pool = shape.account_concurrency - quotas.UNRESERVED_EXECUTIONS - shape.other_reserved
    policy = ScalingPolicy(
        pool=pool,
        raise_cooldown_ms=round(shape.scaler.raise_cooldown_seconds * 1000),
        lower_cooldown_ms=round(shape.scaler.lower_cooldown_seconds * 1000),
    )
    bounds = {
        name: LaneBounds(
            minimum=lane.minimum_concurrency,
            share=lane.maximum_concurrency,
            maximum=lane.borrow_up_to or lane.maximum_concurrency,
            batch_size=lane.batch_size,
            objective_ms=round(lane.objective_seconds * 1000),
            provisioned=lane.provisioned_concurrency,
        )
        for name, lane in shape.lanes.items()
        if name in loaded
    }
    remembered: dict[str, LaneScale] = {}

    def scale(now_ms: int, seen: Mapping[str, Observed], has: Mapping[str, Setting]) -> Mapping[str, Setting]:
        scales = {
            name: replace(
                remembered.get(name, LaneScale(0, 0)),
                concurrency=each.concurrency or 0,
                reserved=each.reserved or 0,
                provisioned=each.provisioned,
            )
            for name, each in has.items()
        }
        measured = {
            name: Measured(each.waiting, each.in_flight, each.oldest_ms, each.running) for name, each in seen.items()
        }
        remembered.update(decide(policy, bounds, measured, scales, now_ms))
        return {name: Setting(each.concurrency, each.reserved, each.provisioned) for name, each in remembered.items()}

    return scale
