"""The plan as a whole: what gives way first, what must be raised or spread, what it costs; reckoned by hand."""

from __future__ import annotations

import dataclasses
import json

import pytest

from capacity import delays
from capacity.demand import Demand
from capacity.fleet_shape import FleetShape, Idle, IntegrationShape, LaneLoad, LaneShape, ModelShape
from capacity.idle import idle_items
from capacity.planning import Plan, plan
from flotilla.primitives.ladder import Hold, Ladder, Tier

LANES = {
    "critical": LaneShape(maximum_concurrency=50, reserved_concurrency=50),
    "standard": LaneShape(maximum_concurrency=200, reserved_concurrency=200),
    "batch": LaneShape(maximum_concurrency=100, reserved_concurrency=100),
}
FLEET = FleetShape(lanes=LANES)


def of(demands: Plan, what: str) -> Demand:
    [found] = [demand for demand in demands.demands if what in demand.what]
    return found


def load(rate: float = 10_000, seconds: float = 6, **more: object) -> LaneLoad:
    return dataclasses.replace(LaneLoad("standard", rate, seconds), **more)


def test_rates_on_queues_tables_and_the_api_follow_from_the_tasks() -> None:
    found = plan(FLEET, [load(12_000)])  # 200 a second
    assert of(found, "API: requests").needed == pytest.approx(200)
    assert of(found, "calls to its queue").needed == pytest.approx(200)  # a send each
    assert of(found, "table events: write units").needed == pytest.approx(600)  # three each
    assert of(found, "table views: write units").needed == pytest.approx(400)  # two each: 6 s are three windows
    assert of(found, "shares of a tenant's entries").needed == pytest.approx(100)  # of four keys
    assert of(found, "messages in flight").needed == pytest.approx(1_200)


def test_a_lane_s_queue_has_a_partition_for_each_300_calls_and_pollers_for_each_ten_invocations() -> None:
    [lane] = plan(FLEET, [load(60_000, 6)]).lanes  # 1,000 sends a second, 6,000 tasks at once, 600 full invocations
    assert (lane.partitions, lane.groups, lane.pollers) == (4, pytest.approx(6_000), 60)
    assert lane.pollers_usd == pytest.approx(60 * 0.00925 * 730)
    [lane] = plan(FLEET, [load(60_000, 6, sessions=8_000, submit_batch=100)]).lanes
    assert (lane.partitions, lane.groups) == (1, pytest.approx(6_000))  # 100 calls a second


def test_what_is_submitted_in_batches_asks_less_of_the_api_and_the_queue() -> None:
    found = plan(FLEET, [load(12_000, submit_batch=100)])
    assert of(found, "API: requests").needed == pytest.approx(2)
    # A send has ten messages; with 1,200 tasks at once in 200 invocations a receive has six.
    assert of(found, "calls to its queue").needed == pytest.approx(200 / 6)


def test_ten_thousand_a_minute_fit_the_usual_fleet_at_two_and_six_seconds_and_not_at_thirty() -> None:
    assert plan(FLEET, [load(seconds=2)]).carries
    assert plan(FLEET, [load(seconds=6)]).carries
    slow = plan(FLEET, [load(seconds=30)])
    assert not slow.carries
    assert slow.bottleneck is not None
    assert slow.bottleneck.setting == "lanes.standard.maximum_concurrency"
    assert slow.bottleneck.value == 625
    assert slow.sharding.regions == slow.sharding.fleets == 1


def test_a_lane_that_must_grow_is_counted_against_the_account() -> None:
    # 500 for the lane, 150 for the two others, 45 beside, 100 unreserved: 795; with headroom 920.
    account = of(plan(FLEET, [load(seconds=30)]), "account: concurrent executions")
    assert account.needed == pytest.approx(795)
    assert account.value == 920
    small = dataclasses.replace(FLEET, account_concurrency=500)
    assert of(plan(small, [load(seconds=30)]), "account: concurrent executions").verdict == "cannot"


def test_a_million_a_minute_at_thirty_seconds_takes_seven_regions_of_nine_lanes() -> None:
    found = plan(FLEET, [load(1_000_000, 30, tenants=100, submit_batch=100)]).sharding
    # 50,000 invocations with a fifth to spare are 62,500: 63 mappings of 1,000, and 7 regions of 10,000.
    assert (found.regions, found.fleets, found.lanes) == (7, 7, {"standard": 9})
    assert {(reason.shards, reason.count) for reason in found.reasons} == {("lanes", 63), ("lanes", 6), ("regions", 7)}


@pytest.mark.parametrize(("seconds", "regions", "lanes"), [(2, 1, 5), (6, 2, 7)])
def test_a_million_a_minute_of_quicker_tasks_takes_fewer(seconds: float, regions: int, lanes: int) -> None:
    # 3,333 and 10,000 invocations; with a fifth to spare 4,167 and 12,500, so 5 and 13 mappings.
    found = plan(FLEET, [load(1_000_000, seconds, tenants=100, submit_batch=100)]).sharding
    assert (found.regions, found.lanes) == (regions, {"standard": lanes})


def test_one_tenant_s_entries_lie_under_four_keys_however_many_lanes_there_are() -> None:
    found = plan(FLEET, [load(1_000_000, 2)])
    # 16,667 a second, each written twice, under four keys: 8,333 of the 1,000 that one takes.
    key = of(found, "shares of a tenant's entries")
    assert key.needed == pytest.approx(8_333.3, rel=1e-3)
    assert key.verdict == "cannot"
    assert found.sharding.tenants == 11  # 33,333 units / (4 x 800)


def test_quotas_are_to_be_raised_with_a_number_to_ask_for() -> None:
    raised = {demand.quota.name: demand.value for demand in plan(FLEET, [load(1_000_000, 2)]).to_raise if demand.quota}
    assert raised["Table-level write throughput limit"] == 63_000  # 50,000 / 0.8, to two digits
    assert raised["Throttle rate"] == 21_000  # 16,667 / 0.8
    assert plan(FLEET, [load()]).to_raise == ()


def test_a_quota_that_aws_can_raise_is_no_fault_of_the_fleet() -> None:
    fleet = dataclasses.replace(FLEET, api_rate_per_second=100_000, background_memory_mb=1769)
    lanes = {**LANES, "standard": dataclasses.replace(LANES["standard"], maximum_concurrency=1000)}
    fleet = dataclasses.replace(fleet, lanes=lanes, account_concurrency=3_000)
    quick = plan(fleet, [load(840_000, 0.2, tenants=20)])  # 14,000 a second are 280 full invocations
    assert of(quick, "account: requests to HTTP APIs").verdict == "raise"
    assert of(quick, "table events").verdict == "raise"
    assert [each.what for each in quick.demands if each.verdict == "cannot" and not each.estimated] == []


def test_sessions_bound_what_is_at_once() -> None:
    assert of(plan(FLEET, [load(sessions=500)]), "sessions").used == pytest.approx(2)  # 1,000 at once
    assert of(plan(FLEET, [load(sessions=2_000)]), "sessions").verdict == "fits"


def test_one_budget_for_a_busy_tenant_is_a_hot_key() -> None:
    fleet = dataclasses.replace(FLEET, tenant_day_budget=True)
    busy = of(plan(fleet, [load(model_calls=1, call_seconds=3)]), "day's budget")
    # 166.7 calls a second, 500 under way: 300 + 500 x 40 bytes are 19.8 units, and two writes a call.
    assert busy.needed == pytest.approx(2 * 166.67 * 20_300 / 1024, rel=1e-3)
    assert busy.verdict == "cannot"
    spread = of(plan(fleet, [load(model_calls=1, call_seconds=3, tenants=100)]), "day's budget")
    assert spread.needed == pytest.approx(10 / 3)


def test_limits_of_models_and_integrations_are_met_by_the_calls() -> None:
    fleet = dataclasses.replace(
        FLEET,
        models={"haiku": ModelShape(1.0, 5.0, requests_per_minute=15_000, tokens_per_minute=1_000_000)},
        integrations={"crm": IntegrationShape(rate_per_minute=9_000, concurrency=50)},
    )
    asked = load(model="haiku", model_calls=2, input_tokens=100, output_tokens=50, integration_calls={"crm": 1})
    found = plan(fleet, [asked])
    assert of(found, "model haiku: requests").used == pytest.approx(20_000 / 15_000)
    assert of(found, "model haiku: tokens").used == pytest.approx(3.0)  # 20,000 calls of 150
    assert of(found, "integration crm: calls").used == pytest.approx(10 / 9)
    assert of(found, "slots of integration crm").needed == pytest.approx(333.3, rel=1e-3)  # two writes a call
    # 438 million tasks, 2 calls each: 100 tokens at $1 and 50 at $5 a million are $350 for a million calls.
    assert found.dollars["models"] == pytest.approx(438 * 2 * 350)


def test_every_environment_reads_the_pauses() -> None:
    # 200 invocations of 6 s with 5 tasks of 3 calls each: asked for 16 times, but read once a second at the most.
    found = plan(FLEET, [load(model_calls=3)])
    assert of(found, "the pauses").needed == pytest.approx(166.67 / 5 * 6, rel=1e-3)


def test_workflows_start_executions_and_pay_transitions() -> None:
    found = plan(FLEET, [load(60_000, 0.5, tasks_per_run=4)])
    assert of(found, "executions started").needed == pytest.approx(250)
    assert of(found, "executions started").verdict == "tight"  # of 300
    assert of(found, "answers to states").verdict == "raise"  # 1,000 of 500
    # 43,800 minutes of 60,000 tasks at $25 a million.
    assert found.dollars["Step Functions"] == pytest.approx(43_800 * 60_000 * 25 / 1e6)
    assert "API Gateway" not in found.dollars


def test_a_month_of_dollars_adds_up_by_service() -> None:
    found = plan(FLEET, [load()])
    # 438 million tasks: 1,000 at once in 200 invocations of a gigabyte, at every second of 730 hours.
    assert found.dollars["Lambda, agents' own time"] == pytest.approx(200 * 730 * 3600 * 13.33 / 1e6)
    assert found.dollars["API Gateway"] == pytest.approx(438)
    # Three units on the log, two on the views, at $0.625; the log read again, and the pauses, a fifth of a read each.
    assert found.dollars["DynamoDB"] == pytest.approx(438 * (5 * 0.625 + 1.2 * 0.125), rel=1e-3)
    assert found.monthly_usd == pytest.approx(sum(found.dollars.values()))


def test_waiting_for_models_is_said() -> None:
    assert plan(FLEET, [load(model_calls=2, call_seconds=2.7)]).waiting_share == pytest.approx(0.9)
    assert plan(FLEET, [load()]).waiting_share == 0


def test_others_are_asked_for_as_many_tasks() -> None:
    found = {name: (least, most) for name, least, most, _ in plan(FLEET, [load()]).alternatives}
    assert found["Temporal Cloud"] == pytest.approx((438 * 57, 438 * 110))
    assert len(found) == 6


def test_an_idle_fleet_pays_for_what_looks_whether_there_is_work() -> None:
    idle = Idle(polled_fifo_queues=12, schedules={"reconciler": 1}, gigabyte_seconds={"reconciler": 0.075}, secrets=2)
    found = {item.what: item.dollars for item in idle_items(dataclasses.replace(FLEET, idle=idle))}
    # 12 queues x 5 polls each 20 s x 730 hours at $0.50 a million.
    assert found["SQS: polls of FIFO queues"] == pytest.approx(12 * 5 * 131_400 * 0.5 / 1e6)
    # 43,800 runs: $0.20 of invocations, 0.075 GB-s at $13.33, ten reads at $0.125, for a million.
    assert found["Lambda: reconciler"] == pytest.approx(43_800 * (0.2 + 0.99975 + 1.25) / 1e6)
    assert found["Secrets Manager: secrets"] == pytest.approx(0.8)
    assert set(found) == {"SQS: polls of FIFO queues", "Lambda: reconciler", "Secrets Manager: secrets"}


def test_what_an_account_has_for_nothing_is_said_beside_the_list_price() -> None:
    idle = Idle(polled_fifo_queues=12, dashboards=4, alarm_metrics=3, alarms=3, custom_metrics=14)
    found = {item.what: item.allowance for item in idle_items(dataclasses.replace(FLEET, idle=idle))}
    # A million of 7.884 million calls, three of four dashboards, all of three alarms, ten of 14 metrics.
    assert found["SQS: polls of FIFO queues"] == pytest.approx(0.5)
    assert found["CloudWatch: dashboards"] == pytest.approx(9.0)
    assert found["CloudWatch: alarms"] == pytest.approx(0.3)
    assert found["CloudWatch: custom metrics"] == pytest.approx(3.0)


def test_delayed_tasks_are_held_in_place_for_what_no_tier_fits() -> None:
    tiers = (1, 15, 120, 480, 900)
    assert delays.hops(tiers, 480) == [(480, 0)]
    assert delays.hops(tiers, 600) == [(480, 120)]
    assert delays.hops(tiers, 100) == [(15, 85)]
    assert delays.hops(tiers, 3_600) == [(1, 89)]  # a schedule enters it 90 s before its time
    found = plan(FLEET, [load(12_000, 1, delayed_share=0.5, delay_seconds=600)])
    assert of(found, "messages held in place").needed == pytest.approx(100 * 120)


@pytest.mark.parametrize("delay", [1, 2, 14, 15, 16, 119, 121, 300, 479, 481, 700, 777, 899, 900])
def test_delayed_tasks_go_the_way_that_the_ladder_sends_them(delay: int) -> None:
    tiers = (1, 15, 120, 480, 900)
    ladder, remaining, path = Ladder(tiers), float(delay), []
    step = ladder.place(remaining)
    while isinstance(step, Tier | Hold):
        if isinstance(step, Tier):
            path.append((step.seconds, 0.0))
        else:
            path[-1] = (path[-1][0], path[-1][1] + step.seconds)
        remaining -= step.seconds
        step = ladder.on_arrival(remaining)
    assert delays.hops(tiers, delay) == path


def test_a_plan_is_json() -> None:
    found = json.loads(json.dumps(plan(FLEET, [load(1_000_000, 30)]).to_json()))
    assert found["sharding"]["needed"]
    assert found["bottleneck"]["used"] == pytest.approx(250)
    assert found["lanes"][0]["concurrency"]["full_batches"] == pytest.approx(50_000)
