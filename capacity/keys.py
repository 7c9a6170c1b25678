"""The keys of DynamoDB that a load is hardest on.

One partition takes 1,000 write units and 3,000 read units a second, however much its table does. A task's log is a key
of its own and never hot. What the whole fleet shares is not: the entries of a tenant, which lie in four shares by the
task's id; its day's budget; circuits; and the pauses, which every environment reads.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from capacity import quotas, task_units
from capacity.concurrency import LaneConcurrency
from capacity.fleet_shape import FleetShape, LaneLoad

VIEW_SHARDS = 4
"""Keys of each tenant in the table `views`."""

REPORT_SECONDS = 3.0
"""How often an environment tells of the calls that it made, for each circuit."""

LEASE_SECONDS = 30.0
"""How long what an environment draws of a limit should last it."""

BUDGET_ITEM_BYTES = 300
BUDGET_CALL_BYTES = 40
"""Of a budget's item, for each call under way."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key, or one of several alike.

    Attributes:
        key: What it is of.
        needed: Units a second.
        quota: What it takes.
        remedy: What to do where that is not enough.
    """

    key: str
    needed: float
    quota: quotas.Quota
    remedy: str


def busiest_keys(
    fleet: FleetShape,
    loads: Sequence[LaneLoad],
    found: Mapping[str, LaneConcurrency],
    ways: Mapping[str, task_units.Way],
) -> Iterator[Key]:
    """The busiest of each kind."""
    writes, reads = quotas.PARTITION_WRITES, quotas.PARTITION_READS
    log = max((task_units.write_units(ways[load.lane]) / max(load.seconds, 1.0) for load in loads), default=0.0)
    yield Key("key: one task's log", log, writes, "none needed: each task has its own")
    entries = sum(load.per_second / load.tenants * task_units.entries(ways[load.lane]) for load in loads)
    yield Key(
        f"key: one of the {VIEW_SHARDS} shares of a tenant's entries",
        entries / VIEW_SHARDS,
        writes,
        "more tenants, or more fleets: each tenant's entries lie under four keys",
    )
    pauses = sum(load.per_second / ways[load.lane].batch * ways[load.lane].pause_reads for load in loads)
    yield Key("key: the pauses", pauses, reads, "fuller batches, or more fleets: each environment reads them")
    yield from _of_models(fleet, loads, found)
    yield from _of_limits(fleet, loads, found)


def _of_models(fleet: FleetShape, loads: Sequence[LaneLoad], found: Mapping[str, LaneConcurrency]) -> Iterator[Key]:
    models = {load.model for load in loads if load.model_calls}
    for model in sorted(models):
        environments = sum(found[load.lane].expected for load in loads if load.model == model and load.model_calls)
        calls = sum(load.per_second * load.model_calls for load in loads if load.model == model)
        name = f" of model {model}" if model else ""
        yield Key(
            f"key: the circuit{name}",
            min(environments / REPORT_SECONDS, calls),
            quotas.PARTITION_WRITES,
            "fewer invocations at once (fuller batches), or more fleets",
        )
    if fleet.tenant_day_budget:
        yield Key(
            "key: a tenant's day's budget",
            max((_budget_units(load) for load in loads), default=0.0),
            quotas.PARTITION_WRITES,
            "budgets of tasks, or more tenants: two writes a call, the larger the more calls are under way",
        )


def _budget_units(load: LaneLoad) -> float:
    """Write units of one tenant's budget: reserve and settle, each of the whole item with all calls under way."""
    calls = load.per_second * load.model_calls / load.tenants
    size = BUDGET_ITEM_BYTES + BUDGET_CALL_BYTES * calls * load.call_seconds
    return 2 * calls * max(1.0, size / task_units.WRITE_UNIT_BYTES)


def _of_limits(fleet: FleetShape, loads: Sequence[LaneLoad], found: Mapping[str, LaneConcurrency]) -> Iterator[Key]:
    if fleet.tenant_rate_per_minute is not None:
        calls = sum(load.per_second / load.submit_batch / load.tenants for load in loads if load.through_api)
        yield Key(
            "key: a tenant's limit of submits",
            calls,
            quotas.PARTITION_WRITES,
            "submit up to 100 tasks a call: each call is one write",
        )
    for name, integration in fleet.integrations.items():
        using = [load for load in loads if load.integration_calls.get(name)]
        calls = sum(load.per_second * load.integration_calls[name] for load in using)
        if integration.concurrency is not None:
            yield Key(
                f"key: the slots of integration {name}",
                2 * calls,
                quotas.PARTITION_WRITES,
                "a limit in place of the cap: a cap costs two writes a call",
            )
        if integration.rate_per_minute is not None:
            environments = sum(found[load.lane].expected for load in using)
            yield Key(
                f"key: the limit of integration {name}",
                min(calls, environments / LEASE_SECONDS),
                quotas.PARTITION_WRITES,
                "fewer invocations at once (fuller batches)",
            )
    for name, model in fleet.models.items():
        limited = (model.requests_per_minute is not None) + (model.tokens_per_minute is not None)
        environments = sum(found[load.lane].expected for load in loads if load.model == name and load.model_calls)
        if limited:
            yield Key(
                f"key: a limit of model {name}",
                environments / LEASE_SECONDS,
                quotas.PARTITION_WRITES,
                "fewer invocations at once (fuller batches)",
            )
