"""A plan on a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from capacity import quotas
from capacity.demand import Demand
from capacity.planning import LanePlan, Plan
from cli.drawing import number

_STYLES = {"fits": "green", "tight": "yellow", "raise": "yellow", "cannot": "red"}
_SAID = {"fits": "fits", "tight": "tight", "raise": "ask AWS", "cannot": "cannot"}
_SHOWN = 10


def show_plan(console: Console, plan: Plan) -> None:
    """Print all of it."""
    for lane in plan.lanes:
        _show_lane(console, lane)
    _show_demands(console, plan)
    _show_quotas(console, plan)
    if plan.sharding.needed or plan.sharding.tenants > 1:
        _show_sharding(console, plan)
    _show_dollars(console, plan)
    _say(console, *_verdict(plan))


def dollars(amount: float) -> str:
    """Money: cents below a hundred dollars."""
    return f"${amount:,.0f}" if amount >= 100 else f"${amount:,.2f}"


def duration(seconds: float) -> str:
    """A time span."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _table(title: str, *headings: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=title, title_justify="left", title_style="bold")
    for position, heading in enumerate(headings):
        table.add_column(heading, overflow="fold", justify="left" if position == 0 else "right")
    return table


def _say(console: Console, *lines: str) -> None:
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _show_lane(console: Console, lane: LanePlan) -> None:
    load, shape, found = lane.load, lane.shape, lane.concurrency
    title = (
        f"Lane {load.lane}: {load.rate_per_minute:,.0f} tasks a minute of {load.seconds:g} s "
        f"({number(load.per_second)} a second), {number(found.in_progress)} at once"
    )
    table = _table(title, "tasks of an invocation", "invocations at once", "$ a million tasks")
    one, as_set, full = lane.dollars_per_million
    table.add_row("one", number(found.one_at_a_time), f"{one:,.2f}")
    so = "makes it" if found.used <= 1 else "makes it, and not enough"
    name = f"{found.batch:.1f}, as maximum_concurrency = {shape.maximum_concurrency} {so}"
    table.add_row(name, number(found.expected), f"{as_set:,.2f}")
    table.add_row(f"{shape.batch_size}, where work waits", number(found.full_batches), f"{full:,.2f}")
    console.print(table)
    _say(
        console,
        f"maximum_concurrency: {shape.maximum_concurrency} is set; at least {found.recommended:,} leaves a fifth to "
        "spare; the fewer, the fuller the batches and the longer tasks wait",
        f"ramp from nothing to {number(found.full_batches)}: {duration(found.ramp.seconds)}, by then "
        f"{number(found.ramp.backlog)} tasks wait; with pollers of its own {duration(found.own_pollers.seconds)}: "
        f"{lane.pollers:,} of them, {dollars(lane.pollers_usd)} a month",
        f"its queue: {number(lane.groups)} message groups at work, {lane.partitions} partition(s) of "
        f"{quotas.FIFO_PARTITION_CALLS} calls a second",
    )


def _show_demands(console: Console, plan: Plan) -> None:
    table = _table("What it needs, the tightest first", "what", "needed", "there is", "used", "")
    for demand in plan.demands[:_SHOWN]:
        table.add_row(
            demand.what,
            number(demand.needed),
            f"{number(demand.available)} {demand.unit}",
            _used(demand),
            Text(_SAID[demand.verdict], style=_STYLES[demand.verdict]),
        )
    console.print(table, markup=False)
    left = len(plan.demands) - _SHOWN
    if left > 0:
        _say(console, f"and {left} more that are used less (--json has all)")


def _show_quotas(console: Console, plan: Plan) -> None:
    if not plan.to_raise:
        _say(console, "Quotas of AWS to raise: none, the defaults are enough")
        return
    table = _table("Quotas of AWS to raise", "quota", "default", "ask for", "code")
    for demand in plan.to_raise:
        quota = demand.quota
        assert quota is not None
        value = "-" if demand.value is None else f"{demand.value:,}"
        table.add_row(f"{quota.service}: {quota.name}", f"{quota.default:,.0f}", value, quota.code or "-")
    console.print(table, markup=False)


def _show_sharding(console: Console, plan: Plan) -> None:
    shards = plan.sharding
    table = _table("Spread over", "what asks for it", "needed", "one has", "so")
    for reason in shards.reasons:
        so = f"{reason.count} {reason.shards}" + (" or fleets" if reason.shards == "tenants" else "")
        table.add_row(reason.what, number(reason.needed), number(reason.each), so)
    console.print(table, markup=False)
    each = shards.fleets // shards.regions
    lanes = ", ".join(f"{count} of lane {name}" for name, count in shards.lanes.items())
    queues = shards.fleets * sum(shards.lanes.values())
    of_tenants = f"; at least {shards.tenants} tenants, or as many fleets" if shards.tenants > 1 else ""
    _say(
        console,
        f"{shards.regions} regions x {each} fleets in each x {lanes} in each fleet: {queues} queues, each with one "
        f"mapping and one function{of_tenants}",
    )


def _show_dollars(console: Console, plan: Plan) -> None:
    table = _table("Dollars a month, at list prices", "service", "$", "share")
    for service, usd in plan.dollars.items():
        table.add_row(service, dollars(usd), f"{usd / plan.monthly_usd:.0%}")
    table.add_row("all", dollars(plan.monthly_usd), "")
    console.print(table, markup=False)
    idle = ", ".join(f"{item.what} {dollars(item.dollars)}" for item in plan.idle)
    billed = dollars(sum(item.dollars - item.allowance for item in plan.idle))
    _say(
        console,
        f"Idle, in a month without work: {dollars(sum(item.dollars for item in plan.idle))} ({idle}); {billed} of it "
        "where the account has AWS's lasting free allowances for this fleet alone",
    )
    if plan.waiting_share:
        _say(console, f"Of the agents' own time {plan.waiting_share:.0%} is waiting for models")
    others = _table(
        "As many tasks elsewhere, orchestration alone",
        "who",
        "$ a month",
        "and on top",
    )
    own = sum(lane.load.per_month for lane in plan.lanes) / 1_000_000 * plan.orchestration_usd
    others.add_row(f"Flotilla, ${plan.orchestration_usd:.2f} a million", dollars(own), "the agents' time in Lambda")
    for name, least, most, beside in plan.alternatives:
        others.add_row(name, dollars(least) if least == most else f"{dollars(least)} to {dollars(most)}", beside)
    console.print(others, markup=False)


def _verdict(plan: Plan) -> Iterator[str]:
    if plan.bottleneck is not None:
        yield f"First bottleneck: {_described(plan.bottleneck)}"
        for demand in plan.demands[1:]:
            yield f"Next: {_described(demand)}"
            break
    yield ""
    if plan.carries:
        yield "The fleet as it is set carries the load" + (", once these quotas are raised" if plan.to_raise else "")
    else:
        yield "The fleet as it is set CANNOT carry the load:"
        yield from (f"  - {_described(each)}" for each in plan.demands if each.verdict == "cannot")


def _used(demand: Demand) -> str:
    return f"{demand.used:.0%}" if demand.used < 10 else f"{demand.used:,.0f} times"


def _described(demand: Demand) -> str:
    if demand.verdict == "fits":
        bound = demand.setting or (demand.quota.name if demand.quota else demand.service)
        return f"{demand.what}, {_used(demand)} used of what {bound} allows"
    return f"{demand.what}, {_used(demand)} used: {demand.remedy}"
