"""Where one lane, one fleet or one region is not enough: how many of each a load needs, and which number says so.

A *lane* is a queue with one mapping and one function. A *fleet* is lanes with tables of their own, so with keys of
their own; fleets of one region share its quotas. A *region* has an account's quotas once.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from capacity import quotas
from capacity.concurrency import HEADROOM, LaneConcurrency, whole
from capacity.demand import Demand
from capacity.fleet_shape import FleetShape, LaneLoad

REGION_CONCURRENCY = 10_000
"""Concurrent executions with which a region is planned: AWS grants tens of thousands, beyond that case by case."""

OF_A_TENANT = ("key: one of the", "key: a tenant's")
"""Keys that more tenants relieve as well as more fleets do."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why there must be so many: `needed` of what one has `each` of, used to the planned share."""

    shards: str
    count: int
    what: str
    needed: float
    each: float


@dataclass(frozen=True, slots=True)
class Sharding:
    """What a load has to be spread over.

    Attributes:
        regions: Each with the account's quotas.
        fleets: In all of them together.
        lanes: Of each loaded lane, so many in each fleet; each is a queue with a mapping.
        tenants: That the work has to be spread over evenly, unless there are as many fleets.
        reasons: What asks for more than one.
    """

    regions: int
    fleets: int
    lanes: Mapping[str, int]
    tenants: int
    reasons: tuple[Reason, ...]

    @property
    def needed(self) -> bool:
        """One fleet is not enough, or one lane for each load."""
        return self.regions > 1 or self.fleets > 1 or any(count > 1 for count in self.lanes.values())


def sharding(
    fleet: FleetShape,
    loads: Sequence[LaneLoad],
    found: Mapping[str, LaneConcurrency],
    demands: Iterable[Demand],
) -> Sharding:
    """The least that carries the load with headroom."""
    reasons: list[Reason] = []
    lanes_in_all: dict[str, int] = {}
    for load in loads:
        one = found[load.lane]
        asked = [
            _reason(
                "lanes",
                f"invocations at once of lane {load.lane}, in full batches",
                one.full_batches,
                quotas.MAPPING_CONCURRENCY.default,
            ),
            _reason(
                "lanes",
                f"messages in flight of lane {load.lane}",
                load.per_second * load.batch_seconds,
                quotas.FIFO_IN_FLIGHT.default,
            ),
        ]
        lanes_in_all[load.lane] = max(each.count for each in asked)
        reasons += asked
    invocations = sum(found[load.lane].full_batches for load in loads)
    beside = fleet.other_reserved + quotas.UNRESERVED_EXECUTIONS
    region = _reason("regions", "invocations at once, all lanes", invocations, REGION_CONCURRENCY - beside / HEADROOM)
    keys = [
        _reason("tenants" if each.what.startswith(OF_A_TENANT) else "fleets", each.what, each.needed, each.available)
        for each in demands
        if each.what.startswith("key: ")
    ]
    reasons += [region, *keys]
    fleets = max([region.count, *(each.count for each in keys if each.shards == "fleets")])
    # Every region has as many.
    fleets = math.ceil(fleets / region.count) * region.count
    tenants = max((each.count for each in keys if each.shards == "tenants"), default=1)
    now = max((load.tenants for load in loads), default=1)
    return Sharding(
        regions=region.count,
        fleets=fleets,
        lanes={name: math.ceil(count / fleets) for name, count in lanes_in_all.items()},
        tenants=now * tenants if tenants > 1 else 1,
        reasons=tuple(each for each in reasons if each.count > 1),
    )


def _reason(shards: str, what: str, needed: float, each: float) -> Reason:
    return Reason(shards, max(1, whole(needed / HEADROOM / each)), what, needed, each)
