"""The plan of a fleet under a load: what it needs, what it costs, and what gives way first."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from capacity import prices, quotas, task_units
from capacity.alternatives import ALTERNATIVES
from capacity.concurrency import LaneConcurrency, of_lane, whole
from capacity.demand import Demand
from capacity.demands import calls_of_a_send, demands, way_of
from capacity.fleet_shape import MILLION, SECONDS_IN_MONTH, FleetShape, LaneLoad, LaneShape
from capacity.idle import IdleItem, idle_items
from capacity.quotas import Quota
from capacity.sharding import Sharding, sharding
from capacity.task_units import Way


@dataclass(frozen=True, slots=True)
class LanePlan:
    """One lane under its load.

    Attributes:
        load: What is asked of it.
        shape: How it is set.
        concurrency: What that takes.
        dollars_per_million: Tasks, models aside: one at a time, with the maximum as it is set, and in full batches.
        groups: Message groups with work at the same time.
        partitions: Of its queue, by the calls that each takes; SQS adds them by itself, and spreads groups over them.
        pollers: Of its own that the mapping would need for full batches.
        pollers_usd: What these cost a month, kept at all times.
    """

    load: LaneLoad
    shape: LaneShape
    concurrency: LaneConcurrency
    dollars_per_million: tuple[float, float, float]
    groups: float
    partitions: int
    pollers: int
    pollers_usd: float


@dataclass(frozen=True, slots=True)
class Plan:
    """The whole.

    Attributes:
        lanes: That have a load.
        demands: On everything with a limit, the most used first.
        sharding: What the load has to be spread over.
        dollars: A month, by service, with each lane's maximum as it is set; what is idle too.
        orchestration_usd: For a million tasks: all of AWS but the agents' own time.
        waiting_share: Of what Lambda's agents are billed, the part in which they wait for models.
        idle: What is paid in a month without work.
        alternatives: What others ask for as many tasks a month: name, least, most, what comes on top.
        region_concurrency: With which a region is planned.
    """

    lanes: tuple[LanePlan, ...]
    demands: tuple[Demand, ...]
    sharding: Sharding
    dollars: Mapping[str, float]
    orchestration_usd: float
    waiting_share: float
    idle: tuple[IdleItem, ...]
    alternatives: tuple[tuple[str, float, float, str], ...]

    @property
    def carries(self) -> bool:
        """The fleet as it is set bears the load; AWS may have to be asked for quotas."""
        return all(demand.verdict != "cannot" for demand in self.demands)

    @property
    def bottleneck(self) -> Demand | None:
        """What gives way first."""
        return self.demands[0] if self.demands else None

    @property
    def to_raise(self) -> tuple[Demand, ...]:
        """Quotas of AWS to be raised before the load comes: of each the demand that asks for the most."""
        most: dict[Quota, Demand] = {}
        for demand in self.demands:
            quota = demand.quota
            if quota is None or not quota.adjustable or demand.needed <= quota.default:
                continue
            if quota not in most or demand.needed > most[quota].needed:
                most[quota] = demand
        return tuple(most.values())

    @property
    def monthly_usd(self) -> float:
        """All of it, models included."""
        return sum(self.dollars.values())

    def to_json(self) -> dict[str, Any]:
        """All of it, for programs."""
        return {
            "carries": self.carries,
            "lanes": [dataclasses.asdict(lane) for lane in self.lanes],
            "bottleneck": None if self.bottleneck is None else _demand(self.bottleneck),
            "demands": [_demand(each) for each in self.demands],
            "quotas_to_raise": [_demand(each) for each in self.to_raise],
            "sharding": {**dataclasses.asdict(self.sharding), "needed": self.sharding.needed},
            "monthly_usd": self.monthly_usd,
            "monthly_usd_by_service": dict(self.dollars),
            "orchestration_usd_per_million": self.orchestration_usd,
            "waiting_share": self.waiting_share,
            "idle": [dataclasses.asdict(item) for item in self.idle],
            "idle_monthly_usd": sum(item.dollars for item in self.idle),
            "idle_monthly_usd_after_allowances": sum(item.dollars - item.allowance for item in self.idle),
            "alternatives_monthly_usd": [
                {"name": name, "least": least, "most": most, "beside": beside}
                for name, least, most, beside in self.alternatives
            ],
        }


def plan(fleet: FleetShape, loads: Sequence[LaneLoad]) -> Plan:
    """The plan.

    Args:
        fleet: Has every lane that is loaded.
        loads: One for each lane at the most.
    """
    found = {load.lane: of_lane(load, fleet.lanes[load.lane]) for load in loads}
    per_second = sum(load.per_second for load in loads)
    ways = {load.lane: way_of(load, fleet, found[load.lane], per_second) for load in loads}
    asked = demands(fleet, loads, found, ways)
    idle = idle_items(fleet)
    tasks = per_second * SECONDS_IN_MONTH
    agents = sum(_agents_usd(load, ways[load.lane]) for load in loads)
    dollars = _dollars(fleet, loads, ways, idle)
    aws = sum(_per_million(load, fleet, ways[load.lane]) * load.per_month / MILLION for load in loads)
    return Plan(
        lanes=tuple(_lane_plan(load, fleet, found[load.lane], per_second) for load in loads),
        demands=tuple(asked),
        sharding=sharding(fleet, loads, found, asked),
        dollars=dollars,
        orchestration_usd=(aws - agents) / tasks * MILLION if tasks else 0.0,
        waiting_share=_waiting_share(loads, ways),
        idle=tuple(idle),
        alternatives=tuple(
            (each.name, each.least_usd * tasks / MILLION, each.most_usd * tasks / MILLION, each.beside)
            for each in ALTERNATIVES
        ),
    )


def _demand(demand: Demand) -> dict[str, Any]:
    return {**dataclasses.asdict(demand), "used": demand.used, "verdict": demand.verdict}


def _lane_plan(load: LaneLoad, fleet: FleetShape, found: LaneConcurrency, per_second: float) -> LanePlan:
    shape = fleet.lanes[load.lane]
    alone = dataclasses.replace(found, batch=1.0, invocation_seconds=load.seconds)
    full = dataclasses.replace(found, batch=float(shape.batch_size), invocation_seconds=load.batch_seconds)
    one, as_set, most = (
        _per_million(load, fleet, way_of(load, fleet, each, per_second)) for each in (alone, found, full)
    )
    calls = load.per_second * max(calls_of_a_send(load), 1 / found.batch)
    pollers = max(quotas.POLLERS_FIRST, whole(found.full_batches / quotas.POLLER_CONCURRENCY))
    return LanePlan(
        load,
        shape,
        found,
        (one, as_set, most),
        groups=min(found.in_progress, load.sessions) if load.sessions else found.in_progress,
        partitions=max(1, whole(calls / quotas.FIFO_PARTITION_CALLS)),
        pollers=pollers,
        pollers_usd=pollers * prices.POLLER_HOURS * SECONDS_IN_MONTH / 3600,
    )


def _per_million(load: LaneLoad, fleet: FleetShape, way: Way) -> float:
    return task_units.dollars_per_million(way) + sum(price for _, price in _notices(fleet)) + _delays(load)


def _notices(fleet: FleetShape) -> list[tuple[str, float]]:
    """What a million tasks' ends cost that are told, by service."""
    asked = {"event_bus": ("EventBridge", prices.BUS_EVENTS), "topic": ("SNS", prices.SNS_REQUESTS)}
    return [asked[place] for place in fleet.notices]


def _delays(load: LaneLoad) -> float:
    """Of a million tasks: the sends and receives that a delay takes, a tier and a half of them, alone in its batch."""
    return load.delayed_share * 1.5 * (4 * prices.SQS_FIFO_REQUESTS + prices.LAMBDA_REQUESTS)


def _agents_usd(load: LaneLoad, way: Way) -> float:
    lines = [line for line in task_units.lines(way) if line.what == "Lambda: GB-s of agents"]
    return sum(line.dollars for line in lines) * load.per_month / MILLION


def _waiting_share(loads: Sequence[LaneLoad], ways: Mapping[str, Way]) -> float:
    billed = sum(_agents_usd(load, ways[load.lane]) for load in loads)
    waited = sum(
        _agents_usd(load, ways[load.lane]) * min(1.0, load.model_calls * load.call_seconds / load.seconds)
        for load in loads
        if load.seconds
    )
    return waited / billed if billed else 0.0


def _dollars(
    fleet: FleetShape, loads: Sequence[LaneLoad], ways: Mapping[str, Way], idle: Sequence[IdleItem]
) -> dict[str, float]:
    dollars: defaultdict[str, float] = defaultdict(float)
    for load in loads:
        millions = load.per_month / MILLION
        for line in task_units.lines(ways[load.lane]):
            service = "Lambda, agents' own time" if line.what == "Lambda: GB-s of agents" else line.service
            dollars[service] += line.dollars * millions
        for service, price in _notices(fleet):
            dollars[service] += price * millions
        if load.delayed_share:
            dollars["SQS"] += _delays(load) * millions
        dollars["DynamoDB, kept"] += task_units.kept_dollars(load.per_month, load.payload_bytes, fleet.retention_days)
        if load.model in fleet.models:
            model = fleet.models[load.model]
            call = load.input_tokens * model.input_usd + load.output_tokens * model.output_usd
            # Dollars for a million tokens, so of a million calls with so many each.
            dollars["models"] += call * load.model_calls * millions
    dollars["idle"] = sum(item.dollars for item in idle)
    return {service: usd for service, usd in sorted(dollars.items(), key=lambda item: -item[1]) if usd}
