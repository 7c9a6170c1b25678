"""Every figure of docs/capacity.md is the plan's, for the fleet as it is shipped."""

from __future__ import annotations

import re
from functools import cache

import pytest

from capacity import quotas
from capacity.fleet_shape import LaneLoad
from capacity.planning import LanePlan, Plan, plan
from stacks.capacity_shape import shape_of
from stacks.config import load
from tests.unit.docs.markdown import REPOSITORY

PAGE = (REPOSITORY / "docs" / "capacity.md").read_text(encoding="utf-8")
SECONDS = (2, 6, 30)


@cache
def planned(rate: float, seconds: float, tenants: int = 1, submit_batch: int = 1) -> Plan:
    asked = LaneLoad("standard", rate, seconds, tenants=tenants, submit_batch=submit_batch)
    return plan(shape_of(load(REPOSITORY / "fleet.toml")), [asked])


def lane(rate: float, seconds: float) -> LanePlan:
    return planned(rate, seconds).lanes[0]


def needed(found: Plan, what: str) -> float:
    [demand] = [each for each in found.demands if what in each.what]
    return demand.needed


def month(found: Plan) -> float:
    """What the work costs; what an idle fleet pays is not in it."""
    return found.monthly_usd - found.dollars["idle"]


def row(*cells: object) -> str:
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def whole(amount: float) -> str:
    return f"{amount:,.0f}"


def at_ten_thousand() -> list[str]:
    """The tables of 10,000 a minute, row by row."""
    lanes = [lane(10_000, seconds) for seconds in SECONDS]
    plans = [planned(10_000, seconds) for seconds in SECONDS]
    found = [each.concurrency for each in lanes]
    return [
        row("tasks at once = 166.7 x seconds", *(whole(each.in_progress) for each in found)),
        row("invocations, one task in each", *(whole(each.one_at_a_time) for each in found)),
        row("invocations, ten tasks in each", *(whole(each.full_batches) for each in found)),
        row("`maximum_concurrency` with a fifth to spare", *(whole(each.recommended) for each in found)),
        row("of the 200 that are set, used", *(f"{each.used:.0%}" for each in found)),
        row("tasks of an invocation then", *(f"{each.batch:.1f}" for each in found)),
        row("ramp by 300 a minute", *(f"{each.ramp.seconds:.0f} s" for each in found)),
        row("tasks that wait by then", *(whole(each.ramp.backlog) for each in found)),
        row("ramp with pollers of its own", *(f"{each.own_pollers.seconds:.0f} s" for each in found)),
        row("$ a million tasks, one in each", *(f"{each.dollars_per_million[0]:.2f}" for each in lanes)),
        row("$ a million tasks, with 200", *(f"{each.dollars_per_million[1]:.2f}" for each in lanes)),
        row("$ a million tasks, ten in each", *(f"{each.dollars_per_million[2]:.2f}" for each in lanes)),
        row("$ a month, with 200", *(whole(month(each)) for each in plans)),
        row("… of it the agents' own time", *(whole(each.dollars["Lambda, agents' own time"]) for each in plans)),
        row("`flotilla plan` ends with", *(0 if each.carries else 1 for each in plans)),
    ]


def rates() -> list[str]:
    """What 10,000 a minute of 6 s ask of each service."""
    found = planned(10_000, 6)
    rows = []
    for what, quota in (
        ("API: requests", None),
        ("table events: write units", quotas.TABLE_WRITES),
        ("table views: write units", quotas.TABLE_WRITES),
        ("shares of a tenant's entries", quotas.PARTITION_WRITES),
        ("calls to its queue, the busiest action", quotas.FIFO_CALLS),
        ("messages in flight", quotas.FIFO_IN_FLIGHT),
        ("key: the pauses", quotas.PARTITION_READS),
    ):
        [demand] = [each for each in found.demands if what in each.what]
        assert quota is None or demand.quota == quota
        rows.append(row(demand.what, f"{demand.needed:,.0f}", f"{demand.available:,.0f} {demand.unit}"))
    return rows


def at_a_million() -> list[str]:
    """The table of 1,000,000 a minute."""
    plans = [planned(1_000_000, seconds, tenants=100, submit_batch=100) for seconds in SECONDS]
    found = [each.lanes[0].concurrency for each in plans]
    shards = [each.sharding for each in plans]
    return [
        row("invocations, ten tasks in each", *(whole(each.full_batches) for each in found)),
        row("with a fifth to spare", *(whole(each.recommended) for each in found)),
        row("messages in flight", *(whole(needed(each, "messages in flight")) for each in plans)),
        row("regions, each of 10,000 invocations", *(each.regions for each in shards)),
        row("lanes in each: queue, mapping of 1,000, function", *(each.lanes["standard"] for each in shards)),
        row("queues in all", *(each.fleets * each.lanes["standard"] for each in shards)),
        row("write units a second on the logs", *(whole(needed(each, "table events")) for each in plans)),
        row("$ a month", *(whole(month(each)) for each in plans)),
    ]


def keys() -> list[str]:
    """What one tenant's entries ask of each of their keys."""
    rows = []
    for rate in (10_000, 100_000, 1_000_000):
        found = planned(rate, 6)
        [key] = [each for each in found.demands if "shares of a tenant's entries" in each.what]
        rows.append(row(whole(rate), whole(key.needed), f"{key.used:.0%}", found.sharding.tenants))
    return rows


def elsewhere() -> list[str]:
    """What others ask for 438 million tasks."""
    found = planned(10_000, 6)
    own = found.orchestration_usd * 438
    rows = [row("Flotilla", f"{found.orchestration_usd:.2f}", whole(own))]
    for name, least, most, _ in found.alternatives:
        ends = [least] if least == most else [least, most]
        rows.append(row(name, " to ".join(f"{each / 438:g}" for each in ends), " to ".join(map(whole, ends))))
    return rows


@pytest.mark.parametrize("table", [at_ten_thousand, rates, at_a_million, elsewhere, keys])
def test_the_tables_are_the_plans(table: object) -> None:
    assert callable(table)
    missing = [line for line in table() if line not in PAGE.splitlines()]
    assert not missing, "\n".join(missing)


@pytest.mark.parametrize(
    "sentence",
    [
        "166.7 a second",
        "438 million tasks a month",
        lambda: f"{planned(1_000_000, 2).sharding.tenants} tenants",
        lambda: f"{needed(planned(1_000_000, 2), 'shares of a tenant'):,.0f} units a second",
        lambda: f"{lane(10_000, 30).concurrency.recommended} in place of 200",
        lambda: f"for {planned(1_000_000, 30, 100, 100).to_raise[0].value:,}",
    ],
)
def test_figures_in_the_text_are_the_plans(sentence: object) -> None:
    assert (sentence() if callable(sentence) else sentence) in re.sub(r"\s+", " ", PAGE)
